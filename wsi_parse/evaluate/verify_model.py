"""Verify the weights of a model: are they undamaged, does the model run, and how good are its results."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_parse.errors import UsageError
from wsi_parse.evaluate.scores import dice
from wsi_parse.gates import check_input
from wsi_parse.geometry import Box
from wsi_parse.models.contract import Segmenter, State, to_uint8
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.registry import MODELS, plugin_named
from wsi_parse.settings import ModelSettings, TissueSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.synthetic import SyntheticSlide
from wsi_parse.tissue.detection import detect_tissue

_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
_INSIDE = 128
# A labelled tile is a small part of a slide.
_MAX_PIXELS = 80_000_000


def verify(name: str, file: Path | None, labelled: Path | None, text: str | None, mpp: float) -> dict[str, Any]:
    """Check weights and predict with them.

    Parameters
    ----------
    name : str
        Of the model.
    file : Path or None
        Its weights; None takes the installed ones.
    labelled : Path or None
        Folder with tiles in `images` and masks of the same names in `masks`; non-zero pixels show the target of `text`.
    text : str or None
        Prompt, in words that the model knows; None takes the first target of the model.
    mpp : float
        Microns per pixel of the labelled tiles.

    Returns
    -------
    dict
        The results, as text and numbers.

    Raises
    ------
    WeightsError
        If the weights are damaged or of another model.
    UsageError
        If the folder cannot be used.
    """
    settings = ModelSettings(name=name, weights=file)
    model_class: type[Segmenter] = MODELS.get(name)
    with plugin_named("model", name):
        return _verified(model_class, settings, labelled, text or model_class.spec.prompts[0], mpp)


def _verified(
    model_class: type[Segmenter], settings: ModelSettings, labelled: Path | None, text: str, mpp: float
) -> dict[str, Any]:
    weights = model_class.find_weights(settings)
    facts: dict[str, Any] = {}
    if weights is not None:
        weights.check()
        facts |= model_class.weights_info(weights)
        facts |= {"sha256": weights.sha256, "revision": weights.revision}
    model = model_class(settings, weights)
    prompt = model_class.spec.prompt_of(text)
    scale_pass = model_class.plan([prompt], settings)[0]
    facts |= {"prompt": prompt.name, "field_um": scale_pass.field_um}
    facts |= _on_synthetic_field(model, scale_pass)
    if labelled is not None:
        facts |= _on_labelled(model, scale_pass, labelled, mpp)
    return facts


def _prepare(model: Segmenter, image: NDArray[np.uint8], scale_pass: ScalePass) -> State:
    """Let the model prepare for a tile as it does for a slide."""
    with open_slide(image, SlideOptions(scale_pass.read_mpp)) as slide:
        return model.prepare(slide, detect_tissue(slide, TissueSettings(detect=False)))


def _probability(model: Segmenter, scale_pass: ScalePass, image: NDArray[np.uint8], state: State) -> NDArray[np.uint8]:
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


def _on_synthetic_field(model: Segmenter, scale_pass: ScalePass) -> dict[str, Any]:
    """Predict a synthetic field: this shows that the model runs, not how well."""
    side = max(1024, scale_pass.tile_px)
    corner = (side - scale_pass.tile_px) // 2
    slide = SyntheticSlide(side, side, seed=1)
    image = slide.pixels(Box(corner, corner, scale_pass.tile_px, scale_pass.tile_px))
    started = time.perf_counter()
    state = _prepare(model, image, scale_pass)
    probability = _probability(model, scale_pass, image, state)
    return {
        **{name: state[key] for name, key in (("device", "device_name"), ("precision", "precision")) if key in state},
        "painted_mask_share": round(float((probability >= _INSIDE).mean()), 4),
        "painted_highest_probability": round(float(probability.max() / 255), 4),
        "seconds": round(time.perf_counter() - started, 2),
    }


def _on_labelled(model: Segmenter, scale_pass: ScalePass, folder: Path, mpp: float) -> dict[str, Any]:
    """Compute the Dice of each field with a true or a predicted mask, the published measure."""
    side = round(scale_pass.field_um / mpp)
    fields, scores, smaller = 0, [], 0
    for image, mask in _pairs(folder):
        smaller += min(mask.shape) < side
        for tile, truth in _tiles(image, mask, side):
            read = np.asarray(
                Image.fromarray(_padded(tile, side)).resize(
                    (scale_pass.tile_px, scale_pass.tile_px), Image.Resampling.BICUBIC
                )
            )
            probability = Image.fromarray(_probability(model, scale_pass, read, _prepare(model, read, scale_pass)))
            found = np.asarray(probability.resize((side, side), Image.Resampling.BILINEAR)) >= _INSIDE
            found = found[: truth.shape[0], : truth.shape[1]]
            fields += 1
            if found.any() or truth.any():
                scores.append(dice(found, truth))
    scores_found: dict[str, Any] = {"labelled_fields": fields, "labelled_fields_with_mask": len(scores)}
    if smaller:
        scores_found["tiles_smaller_than_a_field"] = smaller
    if scores:
        scores_found |= {
            "dice_mean": round(float(np.mean(scores)), 4),
            "dice_median": round(float(np.median(scores)), 4),
        }
    return scores_found


def _tiles(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], side: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Cut a labelled tile into whole fields; what is smaller than a field is one."""
    height, width = mask.shape
    for y in range(0, max(1, height - side + 1), side):
        for x in range(0, max(1, width - side + 1), side):
            part = Box(x, y, side, side).intersection(Box(0, 0, width, height)).slices
            yield image[part], mask[part]


def _padded(tile: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Fill a field up with white, as outside of a slide."""
    out = np.full((side, side, 3), 255, np.uint8)
    out[: tile.shape[0], : tile.shape[1]] = tile
    return out


def _pairs(folder: Path) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Yield images (rows, columns, 3), and masks (rows, columns) that are true for any label."""
    check_input(folder, "a folder of labelled tiles", folder=True)
    images = {path.stem: path for path in sorted((folder / "images").glob("*")) if path.suffix.lower() in _SUFFIXES}
    masks = {path.stem: path for path in sorted((folder / "masks").glob("*")) if path.suffix.lower() in _SUFFIXES}
    if not images or images.keys() - masks.keys():
        missing = ", ".join(sorted(images.keys() - masks.keys())[:3]) or "images"
        raise UsageError(
            f"{folder.name} is not a folder of labelled tiles: it lacks {missing}.",
            "Put tiles into images/ and masks of the same names into masks/ (PNG, JPEG or TIFF).",
        )
    for stem, path in images.items():
        image, mask = np.asarray(_open_picture(path).convert("RGB")), _mask_of(_open_picture(masks[stem]))
        if image.shape[:2] != mask.shape:
            raise UsageError(
                f"The mask of {stem} has another size than its tile.", "Give masks of the same size as the tiles."
            )
        yield image, mask


def _mask_of(picture: Image.Image) -> NDArray[np.bool_]:
    """Return where any label is; opacity is ignored."""
    labels = np.asarray(picture.convert(picture.mode[:-1]) if picture.mode in {"RGBA", "LA"} else picture)
    return np.asarray(np.atleast_3d(labels).max(axis=2) > 0)


def _open_picture(path: Path) -> Image.Image:
    check_input(path, "a picture")
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            if width * height <= _MAX_PIXELS:
                picture.load()
                return picture
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UsageError(f"{path.name} cannot be read as a picture.", "Give PNG, JPEG or TIFF files.") from error
    raise UsageError(
        f"{path.name} has {width} x {height} px, but a labelled tile has at most {_MAX_PIXELS / 1e6:g} million pixels.",
        "Cut it into tiles.",
    )
