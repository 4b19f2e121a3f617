"""Labelled tiles: pictures, masks of the same names, and answers of another implementation if there are any."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_parse.errors import UsageError
from wsi_parse.gates import check_input

_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
# A labelled tile is a small part of a slide.
_MAX_PIXELS = 80_000_000


@dataclass(frozen=True)
class LabelledTile:
    """A tile, and where its objects are.

    Parameters
    ----------
    image : uint8 array (rows, columns, 3)
    mask : bool array (rows, columns)
        True for any label.
    golden : uint8 array (rows, columns) or None
        Probabilities that another implementation of the model gave, 0 to 255.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    golden: NDArray[np.uint8] | None = None


def read_labelled_tiles(folder: Path) -> Iterator[LabelledTile]:
    """Read the tiles of a folder, by name.

    Parameters
    ----------
    folder : Path
        With tiles in `images`, masks of the same names in `masks` (non-zero is an object), and, if there are any,
        probabilities of the same names in `golden` (grey pictures, 0 to 255).

    Raises
    ------
    UsageError
        If the folder cannot be used.
    """
    check_input(folder, "a folder of labelled tiles", folder=True)
    images, masks, goldens = (_pictures(folder / name) for name in ("images", "masks", "golden"))
    if not images or images.keys() - masks.keys():
        missing = ", ".join(sorted(images.keys() - masks.keys())[:3]) or "images"
        raise UsageError(
            f"{folder.name} is not a folder of labelled tiles: it lacks {missing}.",
            "Put tiles into images/ and masks of the same names into masks/ (PNG, JPEG or TIFF).",
        )
    for stem, path in images.items():
        image, mask = np.asarray(_open_picture(path).convert("RGB")), _mask_of(_open_picture(masks[stem]))
        golden = np.asarray(_open_picture(goldens[stem]).convert("L")) if stem in goldens else None
        for name, other in (("mask", mask), ("golden answer", golden)):
            if other is not None and image.shape[:2] != other.shape:
                raise UsageError(
                    f"The {name} of {stem} has another size than its tile.",
                    "Give masks of the same size as the tiles.",
                )
        yield LabelledTile(image, mask, golden)


def _pictures(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*")) if path.suffix.lower() in _SUFFIXES}


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
