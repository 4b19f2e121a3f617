"""Preloaded by workers: a model that kills its process when it sees an even tile of its colour."""

import os
import signal
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_parse.models.contract import State
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.models.stain import StainModel
from wsi_parse.registry import MODELS

# As dark as tissue; black is not shown to models.
COLOUR = (150, 60, 140)
# JPEG changes it a little.
_CLOSE = 12


class DeadlyModel(StainModel):
    """The stain model, except that a tile of one colour, about :data:`COLOUR`, kills the process."""

    def predict(self, images: NDArray[np.uint8], scale_pass: ScalePass, state: State) -> Mapping[str, NDArray[Any]]:
        if (np.abs(images.astype(int) - COLOUR).max(axis=(1, 2, 3)) <= _CLOSE).any():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(images, scale_pass, state)


MODELS.add("deadly", DeadlyModel)
