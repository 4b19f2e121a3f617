"""Samples for the fit: labelled tiles at many scales, with the blur and the compression that slides have."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from wsi_parse.tissue.dense_fields import measured_field
from wsi_parse.tissue.spot_sizes import spot_sizes

#: Folder, µm per pixel and ending of each set; that of nuinsseg is not published, its nuclei fit this one.
SETS = {
    "consep": (0.25, "jpg"),
    "tnbc": (0.25, "png"),
    "brca_m2c": (0.5, "jpg"),
    "brecahad": (0.24, "jpg"),
    "nuinsseg": (0.165, "jpg"),
}
SCALES_UM = (0.15, 2.6)
_SIDE_PX, _MIN_SIDE_PX = 512, 40
# Tiles that are reduced further are put together first, so that a sample has enough nuclei.
_MONTAGE_FROM = 2.2
_MONTAGE_SIDES = ((520, 3), (4096, 2))
_SCALES_PER_TILE, _TILES_PER_ORGAN = 5, 6


@dataclass(frozen=True)
class Sample:
    """One picture at one scale.

    Parameters
    ----------
    set_name, group : str
        Group: a patient, a field or an organ.
    mpp : float
    shares : float array
        Of :func:`wsi_parse.tissue.spot_sizes.spot_sizes`.
    """

    set_name: str
    group: str
    mpp: float
    shares: NDArray[np.float64]


def samples(data: Path, seed: int) -> Iterator[Sample]:
    """Make the samples of all sets under `data`."""
    rng = np.random.default_rng(seed)
    for name, (mpp, ending) in SETS.items():
        groups: dict[str, list[Path]] = {}
        for path in sorted((data / name / "images").glob(f"*.{ending}")):
            if (group := _group(name, path, data)) is not None:
                groups.setdefault(group, []).append(path)
        for group, paths in groups.items():
            tiles = [_image(path) for path in paths[: _TILES_PER_ORGAN if name == "nuinsseg" else None]]
            for tile in tiles:
                for step in rng.choice(np.arange(-2, 8), _SCALES_PER_TILE, replace=False).tolist():
                    factor = float(2 ** ((step + rng.uniform(-0.5, 0.5)) / 2))
                    if not SCALES_UM[0] <= mpp * factor <= SCALES_UM[1]:
                        continue
                    found = _at_scale(tile if factor < _MONTAGE_FROM else _montage(tiles, rng), factor, rng)
                    if found is not None:
                        yield Sample(name, f"{name} {group}", mpp * found[1], found[0])


def count_of(found: list[Sample]) -> dict[str, int]:
    """Count the samples of each set."""
    return dict(Counter(sample.set_name for sample in found))


def _group(name: str, path: Path, data: Path) -> str | None:
    """Return what must not be divided between fit and test; None for a tile that is left out."""
    if name == "nuinsseg":
        table = (data / "nuinsseg_organs" / "index_organ.csv").read_text().splitlines()
        organs = {row["index"]: f"{row['species']} {row['organ']}" for row in csv.DictReader(table)}
        # These are melanoma, and their border is unsure.
        return None if 132 <= int(path.stem) <= 143 else organs.get(path.stem)
    return path.stem[:12] if name == "brca_m2c" else path.stem.partition("_")[0] if name == "tnbc" else path.stem


def _image(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _montage(tiles: list[NDArray[np.uint8]], rng: np.random.Generator) -> NDArray[np.uint8]:
    side = min(1024, *(min(tile.shape[:2]) for tile in tiles))
    across = next(count for largest, count in _MONTAGE_SIDES if side <= largest)
    chosen = rng.choice(len(tiles), (across, across), replace=len(tiles) < across**2)
    rows = [
        np.concatenate([np.rot90(tiles[index][:side, :side], int(rng.integers(4))) for index in row], axis=1)
        for row in chosen.tolist()
    ]
    return np.concatenate(rows, axis=0)


def _at_scale(
    tile: NDArray[np.uint8], factor: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], float] | None:
    """Return the shares of a part of a tile, `factor` times reduced, and the exact factor; None if it is too small."""
    side = int(_SIDE_PX * factor)
    y, x = (int(rng.integers(0, max(1, length - side + 1))) for length in tile.shape[:2])
    part = Image.fromarray(np.ascontiguousarray(tile[y : y + side, x : x + side]))
    size = round(part.width / factor), round(part.height / factor)
    if min(size) < _MIN_SIDE_PX:
        return None
    exact = part.height / size[1]
    if blur := float(rng.choice([0.0, 0.0, 0.4, 0.8]) * rng.random()):
        part = part.filter(ImageFilter.GaussianBlur(blur * max(factor, 1.0)))
    part = part.resize(size, Image.Resampling.BOX if factor > 1 else Image.Resampling.BICUBIC)
    if quality := int(rng.choice([0, 0, 30, 50, 70, 85])):
        stored = io.BytesIO()
        part.save(stored, "JPEG", quality=quality, subsampling=int(rng.choice([0, 2])))
        part = Image.open(stored).convert("RGB")
    field = measured_field(np.asarray(part))
    return None if field is None else (spot_sizes(field.density, field.low, field.high), exact)
