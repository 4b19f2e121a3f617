"""Models that answer zeros at three scales, so that a run costs what is around the network; import registers them."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wsi_parse.models.contract import ModelSpec, Segmenter, State
from wsi_parse.models.scale_pass import Channel, Recipe, ScalePass
from wsi_parse.prompts import Prompt
from wsi_parse.registry import MODELS
from wsi_parse.settings import ModelSettings

TILE_PX = 512
#: Microns per pixel of each model: half the scale of a 40x slide, its own scale, and one that divides no tile.
SCALES = {"zeros-half": 0.5, "zeros-native": 0.25, "zeros-odd": 0.505}


class Zeros(Segmenter):
    """Finds nothing, in no time."""

    spec: ClassVar[ModelSpec]
    batch = 4

    @classmethod
    def plan(cls, prompts: Sequence[Prompt], settings: ModelSettings) -> tuple[ScalePass, ...]:
        """Plan one pass."""
        del settings
        recipes, mpp = tuple(Recipe(prompt, "nucleus") for prompt in prompts), SCALES[cls.spec.name]
        return (ScalePass(cls.spec.name, TILE_PX * mpp, mpp, (Channel("nucleus", "probability"),), recipes),)

    def predict(self, images: NDArray[np.uint8], scale_pass: ScalePass, state: State) -> Mapping[str, NDArray[Any]]:
        """Answer zeros."""
        del scale_pass, state
        return {"nucleus": np.zeros(images.shape[:3], np.uint8)}


class ZerosHalf(Zeros):
    """Reads at 0.5 µm per pixel."""

    spec = ModelSpec("zeros-half", "Finds nothing.", ("nuclei",))


class ZerosNative(Zeros):
    """Reads at 0.25 µm per pixel."""

    spec = ModelSpec("zeros-native", "Finds nothing.", ("nuclei",))


class ZerosOdd(Zeros):
    """Reads at 0.505 µm per pixel."""

    spec = ModelSpec("zeros-odd", "Finds nothing.", ("nuclei",))


for _model in (ZerosHalf, ZerosNative, ZerosOdd):
    MODELS.add(_model.spec.name, _model)
