"""Scores of a model on labelled tiles: Dice of each field, the published measure, and agreement with golden answers."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_parse.evaluate.labelled_tiles import LabelledTile
from wsi_parse.evaluate.scores import dice
from wsi_parse.geometry import Box
from wsi_parse.models.contract import Segmenter, State, to_uint8
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.settings import TissueSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.tissue.detection import detect_tissue

#: A probability from here on, of 255, is inside of an object.
INSIDE = 128


@dataclass
class FieldScores:
    """What was measured, field by field.

    Parameters
    ----------
    fields : int
        Fields that were predicted.
    dice : list of float
        Of each field with a true or a predicted mask.
    smaller : int
        Tiles smaller than a field; they were filled up with white.
    left_out : int
        Tiles for which there was no time.
    differences, agreements : list of float
        Per field with a golden answer: mean difference of the probabilities; share of the pixels on the same side of
        0.5.
    shown : tuple or None
        The first field with a truth: its pixels, the true mask and the predicted one.
    """

    fields: int = 0
    dice: list[float] = field(default_factory=list)
    smaller: int = 0
    left_out: int = 0
    differences: list[float] = field(default_factory=list)
    agreements: list[float] = field(default_factory=list)
    shown: tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        facts: dict[str, Any] = {"labelled_fields": self.fields, "labelled_fields_with_mask": len(self.dice)}
        if self.smaller:
            facts["tiles_smaller_than_a_field"] = self.smaller
        if self.left_out:
            facts["tiles_left_out_for_time"] = self.left_out
        if self.dice:
            facts["dice_mean"] = round(float(np.mean(self.dice)), 4)
            facts["dice_median"] = round(float(np.median(self.dice)), 4)
        if self.differences:
            facts["golden_fields"] = len(self.differences)
            facts["golden_mean_difference"] = round(float(np.mean(self.differences)), 4)
            facts["golden_agreement_min"] = round(float(np.min(self.agreements)), 4)
        return facts


def score_fields(
    model: Segmenter,
    scale_pass: ScalePass,
    tiles: Iterable[LabelledTile],
    mpp_um: float,
    until: float | None = None,
) -> FieldScores:
    """Predict every field of labelled tiles, and compare.

    Parameters
    ----------
    model : Segmenter
    scale_pass : ScalePass
        With one recipe.
    tiles : iterable of LabelledTile
    mpp_um : float
        Microns per pixel of the tiles.
    until : float, optional
        Value of `time.monotonic()` after which no further tile is begun; at least one is done.
    """
    side = round(scale_pass.field_um / mpp_um)
    scores = FieldScores()
    for tile in tiles:
        if until is not None and scores.fields and time.monotonic() > until:
            scores.left_out += 1
            continue
        scores.smaller += min(tile.mask.shape) < side
        for box in _fields(tile.mask.shape, side):
            _add(scores, model, scale_pass, tile, box, side)
    return scores


def prepare_for(model: Segmenter, image: NDArray[np.uint8], scale_pass: ScalePass) -> State:
    """Let the model prepare for a tile as it does for a slide."""
    with open_slide(image, SlideOptions(scale_pass.read_mpp)) as slide:
        return model.prepare(slide, detect_tissue(slide, TissueSettings(detect=False)))


def probability_of(
    model: Segmenter, scale_pass: ScalePass, image: NDArray[np.uint8], state: State
) -> NDArray[np.uint8]:
    """Return the probability map of the prompt, (t, t); for one class of cells, that of a cell times the class."""
    (recipe,) = scale_pass.recipes
    channels = model.predict(image[None], scale_pass, state)

    def channel(name: str) -> NDArray[np.uint8]:
        return to_uint8(name, np.asarray(channels[name]))[0]

    probability = channel(recipe.probability)
    if recipe.class_channel is None or scale_pass.channel(recipe.class_channel).kind != "class":
        return probability
    of_class = Image.fromarray(channel(recipe.class_channel)).resize(probability.shape, Image.Resampling.NEAREST)
    return np.rint(probability * (np.asarray(of_class) / 255)).astype(np.uint8)


def _add(scores: FieldScores, model: Segmenter, scale_pass: ScalePass, tile: LabelledTile, box: Box, side: int) -> None:
    """Predict a field of a tile, and note how it compares."""
    pixels, truth = tile.image[box.slices], tile.mask[box.slices]
    # A copy: torch warns of arrays that may not be written.
    read = np.array(
        Image.fromarray(_padded(pixels, side)).resize(
            (scale_pass.tile_px, scale_pass.tile_px), Image.Resampling.BICUBIC
        )
    )
    probability = Image.fromarray(probability_of(model, scale_pass, read, prepare_for(model, read, scale_pass)))
    enlarged = np.asarray(probability.resize((side, side), Image.Resampling.BILINEAR))
    enlarged = enlarged[: truth.shape[0], : truth.shape[1]]
    found = enlarged >= INSIDE
    scores.fields += 1
    if found.any() or truth.any():
        scores.dice.append(dice(found, truth))
    if tile.golden is not None:
        golden = tile.golden[box.slices]
        scores.differences.append(float(np.abs(enlarged.astype(np.int16) - golden).mean() / 255))
        scores.agreements.append(float((found == (golden >= INSIDE)).mean()))
    if scores.shown is None and truth.any():
        scores.shown = pixels, truth, found


def _fields(shape: tuple[int, ...], side: int) -> Iterator[Box]:
    """Yield the boxes of a tile's whole fields; what is smaller than a field is one."""
    height, width = shape
    for y in range(0, max(1, height - side + 1), side):
        for x in range(0, max(1, width - side + 1), side):
            yield Box(x, y, side, side).intersection(Box(0, 0, width, height))


def _padded(tile: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Fill a field up with white, as outside of a slide."""
    out = np.full((side, side, 3), 255, np.uint8)
    out[: tile.shape[0], : tile.shape[1]] = tile
    return out
