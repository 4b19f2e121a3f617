"""A model that finds nuclei of one exact hue; importing this module registers it as "hue"."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.scale_slide import NUCLEUS, TISSUE
from wsi_parse.models.contract import ModelSpec, Segmenter, State
from wsi_parse.models.scale_pass import Channel, Recipe, ScalePass
from wsi_parse.prompts import Prompt
from wsi_parse.registry import MODELS
from wsi_parse.settings import ModelSettings


class HueModel(Segmenter):
    """The probability is the position of a pixel's colour between the colours of tissue and nuclei."""

    spec: ClassVar[ModelSpec] = ModelSpec("hue", "Finds nuclei painted in one hue.", ("nuclei",))

    @classmethod
    def plan(cls, prompts: Sequence[Prompt], settings: ModelSettings) -> tuple[ScalePass, ...]:
        """Plan one pass of large tiles."""
        del settings
        recipes = tuple(Recipe(prompt, "nucleus") for prompt in prompts)
        return (ScalePass("hue", 512.0, 0.5, (Channel("nucleus", "probability"),), recipes),)

    def predict(self, images: NDArray[np.uint8], scale_pass: ScalePass, state: State) -> Mapping[str, NDArray[Any]]:
        """Compute the probability from pixels only."""
        del scale_pass, state
        difference = NUCLEUS - TISSUE
        weights = (difference / (difference @ difference)).astype(np.float32)
        share = images.astype(np.float32) @ weights - np.float32(TISSUE @ weights)
        return {"nucleus": share.clip(0, 1)}


MODELS.add("hue", HueModel)
