"""Preloaded by workers: a model that reports when it begins a block, and then takes a minute."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_parse.models.contract import State
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.models.stain import StainModel
from wsi_parse.registry import MODELS


class SleepyModel(StainModel):
    """The stain model, except that each prediction takes a minute."""

    def predict(self, images: NDArray[np.uint8], scale_pass: ScalePass, state: State) -> Mapping[str, NDArray[Any]]:
        Path(os.environ["SLEEPY_BEGUN"]).touch()
        time.sleep(60)
        return super().predict(images, scale_pass, state)


MODELS.add("sleepy", SleepyModel)
