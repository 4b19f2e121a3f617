"""Preloaded by workers: a model that kills its process when it sees a black tile."""

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


class DeadlyModel(StainModel):
    """The stain model, except that a black tile kills the process."""

    def predict(self, images: NDArray[np.uint8], scale_pass: ScalePass, state: State) -> Mapping[str, NDArray[Any]]:
        if (images.max(axis=(1, 2, 3)) == 0).any():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(images, scale_pass, state)


MODELS.add("deadly", DeadlyModel)
