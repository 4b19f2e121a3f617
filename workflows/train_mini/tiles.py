"""Labelled tiles of all sets in one format, at one scale."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_parse.models.mini.facts import CLASSES

#: Tiles are kept at this pixel size; the network reads at twice this size.
TILE_MPP = 0.25
#: The class is not known.
UNKNOWN = 255
#: Neoplastic or epithelial: the labels do not tell which.
EITHER = len(CLASSES)
#: A nucleus of normal tissue, whatever else it is.
NOT_NEOPLASTIC = len(CLASSES) + 1
#: What is known of a pixel: nothing; whether it is a nucleus; also which one, so that distances are known.
NOTHING, MASK, INSTANCES = range(3)
#: A tile without a pixel size is scaled to this median area of its nuclei.
_MEDIAN_UM2 = 25.0
_NEAREST = Image.Resampling.NEAREST


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
        For each number an index into CLASSES, EITHER, NOT_NEOPLASTIC or UNKNOWN.
    apart : bool
    known : uint8 array (H, W) or None
        NOTHING, MASK or INSTANCES for each pixel; None: everything that `apart` allows.
    centres : float array (N, 2) or None
        Labelled points (x, y) in pixels of the tile, if these are the truth; `nuclei` are then only derived.
    centre_classes : uint8 array (N,) or None
        As `classes`, of the points.
    organ : str
        Empty if it is not known.
    tumour : bool array (H, W) or None
        Where most of the tissue is tumour, if regions are the truth.
    """

    set_name: str
    group: str
    name: str
    mpp: float
    image: NDArray[np.uint8]
    nuclei: NDArray[np.int32]
    classes: NDArray[np.uint8] | None
    apart: bool = True
    known: NDArray[np.uint8] | None = None
    centres: NDArray[np.float64] | None = None
    centre_classes: NDArray[np.uint8] | None = None
    organ: str = ""
    tumour: NDArray[np.bool_] | None = None

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
        nuclei = np.asarray(Image.fromarray(self.nuclei).resize((width, height), _NEAREST))
        known, tumour = (
            values if values is None else np.asarray(Image.fromarray(values).resize((width, height), _NEAREST))
            for values in (self.known, self.tumour)
        )
        # The size in whole pixels decides, so that a point stays on its nucleus.
        factor = np.array([width, height]) / np.array(self.nuclei.shape[::-1])
        centres = None if self.centres is None else self.centres * factor
        return replace(self, mpp=mpp, image=image, nuclei=nuclei, known=known, tumour=tumour, centres=centres)

    def known_pixels(self) -> NDArray[np.uint8]:
        """Return NOTHING, MASK or INSTANCES for each pixel (H, W)."""
        if self.known is not None:
            return self.known
        return np.full(self.nuclei.shape, INSTANCES if self.apart else MASK, np.uint8)


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
    known += [tile.centre_classes for tile in tiles if tile.centre_classes is not None]
    points = sum(len(tile.centres) for tile in tiles if tile.centres is not None)
    count = np.bincount(np.concatenate(known), minlength=256) if known else np.zeros(256, int)
    names = (*CLASSES, "neoplastic or epithelial", "not neoplastic")
    classes = ", ".join(f"{number:,} {name}" for name, number in zip(names, count, strict=False) if number)
    median = f", median area {np.median(areas):.0f} µm²" if len(areas) else ""
    marked = f"{points:,} points" if points else f"{len(areas):,} nuclei"
    return (
        f"{tiles[0].set_name}: {len(tiles)} tiles, {len({tile.group for tile in tiles})} groups, "
        f"{marked}{median}; {classes or 'no classes'}"
    )


def sha256_of(tiles: Sequence[Tile]) -> str:
    """Hash everything that is used for training or measuring."""
    digest = hashlib.sha256()
    for tile in tiles:
        digest.update(repr((tile.group, tile.name, tile.image.shape)).encode())
        for values in (
            tile.image,
            tile.nuclei,
            tile.classes,
            tile.known,
            tile.centres,
            tile.centre_classes,
            tile.tumour,
        ):
            digest.update(b"" if values is None else np.ascontiguousarray(values).data)
    return digest.hexdigest()
