"""Labelled tiles of all sets in one format, at one scale."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import regionprops

from workflows.train_mini.settings import SetSettings
from wsi_parse.models.mini.facts import CLASSES

#: Tiles are kept at this pixel size; the network reads at twice this size.
TILE_MPP = 0.25
#: The class is not known.
UNKNOWN = 255
#: A large round nucleus of normal tissue: most likely epithelial, but not labelled.
DOUBTFUL = len(CLASSES)
#: A tile without a pixel size is scaled to this median area of its nuclei.
_MEDIAN_UM2 = 25.0
#: Share of its convex hull that a single nucleus fills at least.
_CONVEX = 0.9


@dataclass(frozen=True)
class Tile:
    """A labelled tile.

    Parameters
    ----------
    set_name, group, name : str
        A group (a field, a patient) is trained on or held out as a whole.
    mpp : float
    image : uint8 array (H, W, 3)
    nuclei : int32 array (H, W)
        Number of the nucleus, 0 elsewhere; if `apart` is False, touching nuclei share a number.
    classes : uint8 array (nuclei + 1,) or None
        Index into CLASSES for each number, or UNKNOWN.
    apart : bool
    """

    set_name: str
    group: str
    name: str
    mpp: float
    image: NDArray[np.uint8]
    nuclei: NDArray[np.int32]
    classes: NDArray[np.uint8] | None
    apart: bool = True

    def areas_um2(self) -> NDArray[np.float64]:
        """Return the area of each nucleus that has a pixel."""
        areas = np.bincount(self.nuclei.ravel())[1:]
        return areas[areas > 0].astype(np.float64) * self.mpp**2

    def at(self, mpp: float) -> "Tile":
        """Return the tile at another scale: images by area, numbers by the nearest pixel."""
        if abs(self.mpp / mpp - 1) < 1e-3:
            return self
        height, width = (max(1, round(side * self.mpp / mpp)) for side in self.nuclei.shape)
        how = Image.Resampling.BOX if mpp > self.mpp else Image.Resampling.BICUBIC
        image = np.asarray(Image.fromarray(self.image).resize((width, height), how))
        nuclei = np.asarray(Image.fromarray(self.nuclei).resize((width, height), Image.Resampling.NEAREST))
        return replace(self, mpp=mpp, image=image, nuclei=nuclei)


def guessed(tile: Tile, settings: SetSettings) -> Tile:
    """Guess classes from size and shape.

    In carcinoma large nuclei are neoplastic, small round ones inflammatory, long ones connective: on CoNSeP 75 %, 61 %
    and 61 % of such guesses are right. In normal tissue large ones are DOUBTFUL, and long ones connective; if touching
    nuclei are merged, shapes that are not convex get no class.
    """
    classes = np.full(tile.nuclei.max() + 1, UNKNOWN, np.uint8)
    for nucleus in regionprops(tile.nuclei):
        area = nucleus.area * tile.mpp**2
        length = nucleus.axis_major_length / max(nucleus.axis_minor_length, 1.0)
        if not tile.apart and (area <= 6 or nucleus.solidity < _CONVEX):
            continue
        if area > settings.large_um2 and length < 2:
            classes[nucleus.label] = DOUBTFUL if settings.normal else CLASSES.index("neoplastic")
        elif 8 < area < 22 and length < 1.4 and not settings.normal:
            classes[nucleus.label] = CLASSES.index("inflammatory")
        elif 6 < area < 40 and length > 2.2:
            classes[nucleus.label] = CLASSES.index("connective")
    return replace(tile, classes=classes)


def scaled(tile: Tile, mpp: float | None) -> Tile:
    """Scale a tile to the common pixel size."""
    if mpp is None:
        areas_px = replace(tile, mpp=1.0).areas_um2()
        if not len(areas_px):
            raise SystemExit(f"{tile.set_name}: {tile.name} has no nuclei to estimate its scale from. Set mpp.")
        mpp = float(np.sqrt(_MEDIAN_UM2 / np.median(areas_px)))
    return replace(tile, mpp=mpp).at(TILE_MPP)


def described(tiles: Sequence[Tile]) -> str:
    """Describe a set in one line, so that the user can check it."""
    areas = np.concatenate([tile.areas_um2() for tile in tiles])
    known = [tile.classes[1:] for tile in tiles if tile.classes is not None]
    count = np.bincount(np.concatenate(known), minlength=256) if known else np.zeros(256, int)
    classes = ", ".join(f"{number:,} {name}" for name, number in zip(CLASSES, count, strict=False) if number)
    median = f", median area {np.median(areas):.0f} µm²" if len(areas) else ""
    return (
        f"{tiles[0].set_name}: {len(tiles)} tiles, {len({tile.group for tile in tiles})} groups, "
        f"{len(areas):,} nuclei{median}; {classes or 'no classes'}"
    )


def sha256_of(tiles: Sequence[Tile]) -> str:
    """Hash everything that is used for training or measuring."""
    digest = hashlib.sha256()
    for tile in tiles:
        digest.update(repr((tile.group, tile.name, tile.image.shape)).encode())
        for values in (tile.image, tile.nuclei, tile.classes):
            digest.update(b"" if values is None else np.ascontiguousarray(values).data)
    return digest.hexdigest()


def held_out(tiles: list[Tile], settings: SetSettings) -> set[str]:
    """Return the groups that are not used in training."""
    groups = sorted({tile.group for tile in tiles})
    unknown = set(settings.held_out) - set(groups)
    if unknown:
        raise SystemExit(f"There is no group {', '.join(sorted(unknown))}. Choose from: {', '.join(groups)}.")
    every = set(groups[:: settings.held_out_every]) if settings.held_out_every else set()
    return every | set(settings.held_out) if settings.share else set(groups)
