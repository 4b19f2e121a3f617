"""A model that finds nuclei painted in one exact hue, from pixels only; importing this makes it known as "hue"."""

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
    """Probability is how far a pixel is on the way from the tissue's colour to the nuclei's."""

    spec: ClassVar[ModelSpec] = ModelSpec("hue", "Finds nuclei painted in one hue.", ("nuclei",))

    @classmethod
    def plan(cls, prompts: Sequence[Prompt], settings: ModelSettings) -> tuple[ScalePass, ...]:
        """One pass of large tiles."""
        del settings
        recipes = tuple(Recipe(prompt, "nucleus") for prompt in prompts)
        return (ScalePass("hue", 512.0, 0.5, (Channel("nucleus", "probability"),), recipes),)

    def predict(self, images: NDArray[np.uint8], scale_pass: ScalePass, state: State) -> Mapping[str, NDArray[Any]]:
        """From pixels only."""
        del scale_pass, state
        way = NUCLEUS - TISSUE
        weights = (way / (way @ way)).astype(np.float32)
        share = images.astype(np.float32) @ weights - np.float32(TISSUE @ weights)
        return {"nucleus": share.clip(0, 1)}


MODELS.add("hue", HueModel)
