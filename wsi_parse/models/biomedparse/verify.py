"""Verify real weights in one command: are they whole, do they answer, and how well."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_parse.errors import UsageError
from wsi_parse.geometry import Box
from wsi_parse.models.base import Pass
from wsi_parse.models.biomedparse.convert import read_converted
from wsi_parse.models.biomedparse.segmenter import BiomedParseModel
from wsi_parse.prompts import Prompt
from wsi_parse.settings import ModelSettings
from wsi_parse.synthetic import SyntheticSlide

_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy"}
_INSIDE = 128


def verify(file: Path | None, labelled: Path | None, text: str, mpp: float) -> dict[str, Any]:
    """Check weights and let them answer.

    Parameters
    ----------
    file : Path or None
        Converted weights; None takes the installed ones.
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
    weights = BiomedParseModel.find_weights(settings)
    weights.check()
    sizes, tensors = read_converted(weights.path)
    facts: dict[str, Any] = {
        "keys": f"{len(tensors)}, all expected ones and no other",
        "parameters": f"{sum(tensor.numel() for tensor in tensors.values()):,}",
        "network": "as released" if sizes == type(sizes)() else f"not the released one: {sizes.width} channels",
        "sha256": weights.sha256,
        "revision": weights.revision or "not known",
    }
    model = BiomedParseModel(settings, weights)
    job = BiomedParseModel.plan([Prompt.parse(text)], settings)[0]
    facts |= _on_the_packages_picture(model, job)
    if labelled is not None:
        facts |= _on_labelled(model, job, labelled, mpp)
    return facts


def _answer(model: BiomedParseModel, job: Pass, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    state = model.runs_on
    answers = [model.predict(image[None], job, state)[job.channels[0].name][0] for image in images]
    return np.stack(answers)


def _on_the_packages_picture(model: BiomedParseModel, job: Pass) -> dict[str, Any]:
    """A painted field: says that it runs, not how well."""
    slide = SyntheticSlide(1024, 1024, seed=1)
    image = slide.pixels(Box(384, 384, job.tile_px, job.tile_px))
    started = time.perf_counter()
    answer = _answer(model, job, image[None])[0]
    state = model.runs_on
    return {
        "device": f"{state['device_name']}, {state['precision']}",
        "painted picture": f"{(answer >= _INSIDE).mean():.1%} mask, highest probability {answer.max() / 255:.2f}",
        "seconds": round(time.perf_counter() - started, 2),
    }


def _on_labelled(model: BiomedParseModel, job: Pass, folder: Path, mpp: float) -> dict[str, Any]:
    scores = []
    for name, image, mask in _pairs(folder):
        side = round(job.field_um / mpp)
        for tile, truth in _tiles(image, mask, side):
            read = np.asarray(Image.fromarray(tile).resize((job.tile_px, job.tile_px), Image.Resampling.BICUBIC))
            probability = _answer(model, job, read[None])[0]
            found = np.asarray(Image.fromarray(probability).resize((side, side), Image.Resampling.BILINEAR)) >= _INSIDE
            total = int(found.sum()) + int(truth.sum())
            if total:
                scores.append(2 * int((found & truth).sum()) / total)
        if not scores:
            raise UsageError(f"{name} is smaller than a field of {job.field_um:g} um, or empty.", "Check --mpp.")
    return {
        "labelled fields": len(scores),
        "Dice mean / median": f"{np.mean(scores):.3f} / {np.median(scores):.3f}",
    }


def _tiles(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], side: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    for y in range(0, image.shape[0] - side + 1, side):
        for x in range(0, image.shape[1] - side + 1, side):
            part = Box(x, y, side, side).slices
            yield image[part], mask[part]


def _pairs(folder: Path) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.bool_]]]:
    images = {path.stem: path for path in sorted((folder / "images").glob("*")) if path.suffix.lower() in _SUFFIXES}
    masks = {path.stem: path for path in sorted((folder / "masks").glob("*")) if path.suffix.lower() in _SUFFIXES}
    if not images or images.keys() - masks.keys():
        missing = ", ".join(sorted(images.keys() - masks.keys())[:3]) or "images"
        raise UsageError(
            f"{folder.name} is not a folder of labelled tiles: {missing} missing.",
            "Put tiles into images/ and masks of the same names into masks/.",
        )
    for stem, path in images.items():
        mask = _read(masks[stem])
        yield stem, _read(path)[..., :3], (mask if mask.ndim == 2 else mask.max(axis=2)) > 0


def _read(path: Path) -> NDArray[np.uint8]:
    return np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.asarray(Image.open(path))
