"""A model of three channels at two strides: finds discs painted in exact hues, from pixels only."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_parse.errors import UnknownPromptError
from wsi_parse.models.contract import ModelSpec, Segmenter, State
from wsi_parse.models.scale_pass import Channel, Recipe, ScalePass
from wsi_parse.prompts import Prompt
from wsi_parse.settings import ModelSettings
from wsi_parse.slides import Slide
from wsi_parse.tissue.mask import TissueMask

TUMOUR, IMMUNE = (200, 30, 40), (40, 30, 200)
_CLASSES = {"neoplastic cells": "tumour", "inflammatory cells": "immune"}


class FakeClassModel(Segmenter):
    """Nucleus and distance at stride 1, two classes at stride 2; class prompts vote over whole nuclei."""

    spec: ClassVar[ModelSpec] = ModelSpec("fake", "for tests", ("nuclei", "neoplastic cells", "inflammatory cells"))

    @classmethod
    def plan(cls, prompts: Sequence[Prompt], settings: ModelSettings) -> tuple[ScalePass, ...]:
        recipes = []
        for prompt in prompts:
            if prompt.name not in cls.spec.prompts:
                raise UnknownPromptError(f"The fake model does not know {prompt.text}.", "Use nuclei.")
            answer = _CLASSES.get(prompt.name)
            classes = tuple(_CLASSES.values()) if answer else ()
            recipes.append(Recipe(prompt, "nucleus", "distance", classes, answer))
        channels = (
            Channel("nucleus", "probability", 1),
            Channel("distance", "distance", 1),
            Channel("tumour", "class", 2),
            Channel("immune", "class", 2),
        )
        return (ScalePass("fake", settings.field_um or 128.0, 0.5, channels, tuple(recipes)),)

    def prepare(self, slide: Slide, tissue: TissueMask) -> State:
        return {"tissue_mm2": tissue.area_mm2}

    def predict(self, images: NDArray[np.uint8], scale_pass: ScalePass, state: State) -> Mapping[str, NDArray[Any]]:
        tumour, immune = (np.abs(images.astype(int) - hue).max(axis=3) < 60 for hue in (TUMOUR, IMMUNE))
        nucleus = tumour | immune
        distance = np.stack([ndimage.distance_transform_edt(one) for one in nucleus])
        return {
            "nucleus": nucleus.astype(np.float32),
            "distance": np.clip(distance / 10, 0, 1).astype(np.float32),
            "tumour": tumour[:, ::2, ::2].astype(np.float32),
            "immune": (immune[:, ::2, ::2] * 255).astype(np.uint8),
        }
