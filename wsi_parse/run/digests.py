"""Digests: three nested hashes, of what decides the maps of a run, its objects, and its outputs."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from wsi_parse._version import __version__
from wsi_parse.models.scale_pass import Recipe, ScalePass
from wsi_parse.models.weights import Weights
from wsi_parse.prompts import Prompt
from wsi_parse.registry import EXPORTERS, MODELS, READERS
from wsi_parse.settings import RunSettings
from wsi_parse.slides.slide import Slide


class Digests(BaseModel):
    """What the three stages of a run depend on, each as 16 hexadecimal digits.

    Each digest holds the one before it: equal objects need equal maps, and equal outputs need equal objects. Where the
    work is done is in none of them, nor how tiles are grouped into blocks.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    predict: str = ""
    """Of the slide's content and pixel size, the region, the tissue, the tiles, and the model with its passes."""
    objects: str = ""
    """Also of how objects are made from the maps, and whether unreadable places are left out."""
    outputs: str = ""
    """Also of what is written, and how it is named and coloured."""

    @classmethod
    def of(
        cls,
        settings: RunSettings,
        slide: Slide,
        scale_passes: Sequence[ScalePass],
        prompts: Sequence[Prompt],
        weights: Weights | None,
        roi_hash: str,
    ) -> "Digests":
        """Hash a run that is decided.

        Parameters
        ----------
        settings : RunSettings
            With the name of a model in place of "auto".
        slide : Slide
        scale_passes : sequence of ScalePass
        prompts : sequence of Prompt
            With the classes and colours of the settings.
        weights : Weights or None
        roi_hash : str
            Of the file with the region of interest; "" without one.
        """
        predict = _hash(
            __version__,
            slide.info.fingerprint,
            slide.info.reader,
            (slide.pixel_size.x_um, slide.pixel_size.y_um),
            roi_hash,
            settings.tissue.model_dump(mode="json"),
            settings.tiles.model_dump(mode="json", exclude={"block"}),
            # The organ is in the words and lines of the recipes.
            settings.model.model_dump(mode="json", exclude={"weights", "threads", "organ"}),
            weights and weights.sha256,
            # Ours have the version of this package.
            (READERS.package_of(slide.info.reader), MODELS.package_of(settings.model.name)),
            [_predicted(scale_pass) for scale_pass in scale_passes],
        )
        objects = _hash(
            predict,
            settings.objects.model_dump(mode="json"),
            [[_extracted(recipe) for recipe in scale_pass.recipes] for scale_pass in scale_passes],
            [[(one.name, one.low, one.high) for one in scale_pass.learnt] for scale_pass in scale_passes],
            # Blocks that were read whole are the same maps either way.
            settings.slide.skip_unreadable,
        )
        outputs = _hash(
            objects,
            settings.export.model_dump(mode="json", exclude={"keep", "classes"}),
            [(prompt.text, prompt.name, prompt.class_name, prompt.colour) for prompt in prompts],
            slide.name,
            # Cautions and notes depend on it.
            settings.model.organ,
            [EXPORTERS.package_of(name) for name in settings.export.formats],
        )
        return cls(predict=predict, objects=objects, outputs=outputs)


def _predicted(scale_pass: ScalePass) -> list[Any]:
    """Return what the maps of a pass depend on; see :meth:`wsi_parse.models.contract.Segmenter.predict`."""
    words = sorted({(recipe.probability, recipe.model_prompt) for recipe in scale_pass.recipes if recipe.model_prompt})
    channels = [(channel.name, channel.kind, channel.stride) for channel in scale_pass.channels]
    return [scale_pass.name, scale_pass.field_um, scale_pass.read_mpp, channels, words]


def _extracted(recipe: Recipe) -> list[Any]:
    """Return what the objects of a recipe depend on: not its words, class name and colour."""
    return [
        recipe.prompt.name,
        recipe.prompt.kind,
        recipe.probability,
        recipe.distance,
        recipe.classes,
        recipe.class_channel,
        recipe.competing,
        recipe.min_class_probability,
    ]


def _hash(*values: Any) -> str:  # noqa: ANN401 - anything that JSON holds
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
