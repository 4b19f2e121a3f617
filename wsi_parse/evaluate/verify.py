"""Verify the weights of a model in one command: are they whole, do they answer, and how well."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_parse.errors import UsageError
from wsi_parse.evaluate.scores import dice
from wsi_parse.geometry import Box
from wsi_parse.models.contract import Segmenter, State, to_uint8
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.prompts import Prompt
from wsi_parse.registry import MODELS
from wsi_parse.settings import ModelSettings, TissueSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.synthetic import SyntheticSlide
from wsi_parse.tissue.detection import detect_tissue

_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
_INSIDE = 128


def verify(name: str, file: Path | None, labelled: Path | None, text: str, mpp: float) -> dict[str, Any]:
    """Check weights and let them answer.

    Parameters
    ----------
    name : str
        Of the model.
    file : Path or None
        Its weights; None takes the installed ones.
    labelled : Path or None
        Folder of tiles in `images` and of masks by the same names in `masks`: not zero is what `text` asks for.
    text : str
        Prompt.
    mpp : float
        Microns per pixel of the labelled tiles.

    Returns
    -------
    dict
        What was seen, in words and numbers.

    Raises
    ------
    WeightsError
        Where the weights are not what they should be.
    UsageError
        Where the folder cannot be used.
    """
    settings = ModelSettings(weights=file)
    model_class: type[Segmenter] = MODELS.get(name)
    weights = model_class.find_weights(settings)
    facts: dict[str, Any] = {}
    if weights is not None:
        weights.check()
        facts |= model_class.describe_weights(weights)
        facts |= {"sha256": weights.sha256, "revision": weights.revision}
    model = model_class(settings, weights)
    scale_pass = model_class.plan([Prompt.parse(text)], settings)[0]
    facts |= _on_a_painted_field(model, scale_pass)
    if labelled is not None:
        facts |= _on_labelled(model, scale_pass, labelled, mpp)
    return facts


def _prepared(model: Segmenter, image: NDArray[np.uint8], scale_pass: ScalePass) -> State:
    """Let the model look at a tile as it looks at a slide."""
    with open_slide(image, SlideOptions(scale_pass.read_mpp)) as slide:
        return model.prepare(slide, detect_tissue(slide, TissueSettings(detect=False)))


def _answer(model: Segmenter, scale_pass: ScalePass, image: NDArray[np.uint8], state: State) -> NDArray[np.uint8]:
    """Return the probability that the prompt's objects are outlined in, (t, t)."""
    name = scale_pass.recipes[0].probability
    return to_uint8(name, np.asarray(model.predict(image[None], scale_pass, state)[name]))[0]


def _on_a_painted_field(model: Segmenter, scale_pass: ScalePass) -> dict[str, Any]:
    """Predict a painted field: says that the model runs, not how well."""
    side = max(1024, scale_pass.tile_px)
    corner = (side - scale_pass.tile_px) // 2
    slide = SyntheticSlide(side, side, seed=1)
    image = slide.pixels(Box(corner, corner, scale_pass.tile_px, scale_pass.tile_px))
    started = time.perf_counter()
    state = _prepared(model, image, scale_pass)
    answer = _answer(model, scale_pass, image, state)
    return {
        **{name: state[key] for name, key in (("device", "device_name"), ("precision", "precision")) if key in state},
        "painted_mask_share": round(float((answer >= _INSIDE).mean()), 4),
        "painted_highest_probability": round(float(answer.max() / 255), 4),
        "seconds": round(time.perf_counter() - started, 2),
    }


def _on_labelled(model: Segmenter, scale_pass: ScalePass, folder: Path, mpp: float) -> dict[str, Any]:
    """Dice of each field that has any mask, true or found; the published measure."""
    side = round(scale_pass.field_um / mpp)
    fields, scores = 0, []
    for image, mask in _pairs(folder):
        for tile, truth in _tiles(image, mask, side):
            read = np.asarray(
                Image.fromarray(tile).resize((scale_pass.tile_px, scale_pass.tile_px), Image.Resampling.BICUBIC)
            )
            probability = Image.fromarray(_answer(model, scale_pass, read, _prepared(model, read, scale_pass)))
            found = np.asarray(probability.resize((side, side), Image.Resampling.BILINEAR)) >= _INSIDE
            fields += 1
            if found.any() or truth.any():
                scores.append(dice(found, truth))
    if not fields:
        raise UsageError(
            f"No tile of {folder.name} holds a field of {scale_pass.field_um:g} um ({side} px).", "Check --mpp."
        )
    scores_found: dict[str, Any] = {"labelled_fields": fields, "labelled_fields_with_mask": len(scores)}
    if scores:
        scores_found |= {
            "dice_mean": round(float(np.mean(scores)), 4),
            "dice_median": round(float(np.median(scores)), 4),
        }
    return scores_found


def _tiles(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], side: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    for y in range(0, image.shape[0] - side + 1, side):
        for x in range(0, image.shape[1] - side + 1, side):
            part = Box(x, y, side, side).slices
            yield image[part], mask[part]


def _pairs(folder: Path) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Images (rows, columns, 3), and masks (rows, columns) that are true where any label is."""
    images = {path.stem: path for path in sorted((folder / "images").glob("*")) if path.suffix.lower() in _SUFFIXES}
    masks = {path.stem: path for path in sorted((folder / "masks").glob("*")) if path.suffix.lower() in _SUFFIXES}
    if not images or images.keys() - masks.keys():
        missing = ", ".join(sorted(images.keys() - masks.keys())[:3]) or "images"
        raise UsageError(
            f"{folder.name} is not a folder of labelled tiles: {missing} missing.",
            "Put tiles into images/ and masks of the same names into masks/ (PNG, JPEG or TIFF).",
        )
    for stem, path in images.items():
        image, mask = np.asarray(_opened(path).convert("RGB")), _mask_of(_opened(masks[stem]))
        if image.shape[:2] != mask.shape:
            raise UsageError(f"The mask of {stem} has another size than its tile.", "Give masks of the tiles' size.")
        yield image, mask


def _mask_of(picture: Image.Image) -> NDArray[np.bool_]:
    """Where any label is; how opaque a pixel is plays no part."""
    labels = np.asarray(picture.convert(picture.mode[:-1]) if picture.mode in {"RGBA", "LA"} else picture)
    return np.asarray(np.atleast_3d(labels).max(axis=2) > 0)


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture
    except (OSError, ValueError) as error:
        raise UsageError(f"{path.name} cannot be read as a picture.", "Give PNG, JPEG or TIFF.") from error
