"""Whether the network goes by the look of a data set: tiles are given the look of another set, and measured again.

python -m workflows.train_mini.looks WEIGHTS DATA

Darkening alone proves nothing, because light and strength of a stain are normalised before the network. So a look is
also the covariance of colours, sharpness, pixel size and coding.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from workflows.train_mini.as_slides import AsSlides
from workflows.train_mini.intervals import intervals_of
from workflows.train_mini.looked import LOG_NAME, log_look
from workflows.train_mini.measure import Finder, Scores, compared
from workflows.train_mini.selection import Selection, measuring_parser, of_sets
from workflows.train_mini.tables import looks_table
from workflows.train_mini.tiles import EITHER, Tile
from wsi_parse.models.mini.facts import CLASSES, READ_MPP
from wsi_parse.models.mini.stain_normalization import StainNormalization, density_of
from wsi_parse.tissue.samples import Sample

_NEOPLASTIC = CLASSES.index("neoplastic")
# At most so many tiles of a set are run, spread over its groups.
_TILES = 40
# Sharpness is seen at the read scale, up to this many microns.
_DETAIL_UM = 0.6
_STEPS = 12
# Blur in microns and sharpening that are tried at most.
_MOST_BLUR_UM, _MOST_SHARPENING = 1.5, 1.5
# What is sharpened is first smoothed by so many microns, and no colour direction varies less than this share of their
# mean: noise, not tissue, would be amplified.
_NOISE_UM, _FLOOR, _MOST_GAIN = 0.2, 0.1, 1.2


@dataclass(frozen=True)
class Look:
    """The look of a set.

    Parameters
    ----------
    mpp : float
        Of its images as published.
    white : float array (3,)
        Density of white in each colour.
    mean : float array (3,)
    covariance : float array (3, 3)
        Of the density above white of the denser half of the pixels.
    sharpness : float
        Share of fine detail; see :func:`sharpness`.
    jpeg : int or None
        Quality of its coding; None: not coded with losses.
    """

    mpp: float
    white: NDArray[np.float64]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    sharpness: float
    jpeg: int | None

    @classmethod
    def of(cls, tiles: Sequence[Tile], mpp: float, jpeg: int | None) -> "Look":
        """Estimate the look of a set from its tiles; each tile counts alike."""
        colours = [_colours(tile.image) for tile in tiles]
        white, mean, covariance = (np.mean([one[part] for one in colours], axis=0) for part in range(3))
        detail = float(np.median([sharpness(tile) for tile in tiles]))
        return cls(mpp, white, mean, covariance, detail, jpeg)


def sharpness(tile: Tile) -> float:
    """Return how much of the variation of density at the read scale is finer than 0.6 µm."""
    density = density_of(tile.at(READ_MPP).image).mean(axis=2)
    fine = density - ndimage.gaussian_filter(density, _DETAIL_UM / READ_MPP)
    return float(fine.std() / max(float(density.std()), 1e-6))


def _colours(image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return white, and mean and covariance of the density above it of the denser half of the pixels.

    A limit of density would take in other pixels once the stain is changed.
    """
    white = np.array(StainNormalization.of([Sample.whole(image)]).white)
    over = density_of(image).reshape(-1, 3).astype(np.float64) - white
    strength = over.mean(axis=1)
    stained = over[strength >= np.median(strength)]
    covariance = np.cov(stained.T)
    return white, stained.mean(axis=0), covariance + _FLOOR * np.trace(covariance) / 3 * np.eye(3)


def with_look(tile: Tile, look: Look) -> Tile:
    """Return a tile as the scanner and laboratory of another set might have shown it.

    Colours: the density above white is mapped so that mean and covariance of stained pixels become about those of the
    look, on the white of the look; white stays white. Then sharpness, pixel size and coding.
    """
    white, mean, covariance = _colours(tile.image)
    over = density_of(tile.image).astype(np.float64) - white
    turn = _limited(_root(covariance, -0.5) @ _root(look.covariance, 0.5))
    turned = over @ turn
    moved = look.mean - mean @ turn
    stain = np.clip(over.mean(axis=2, keepdims=True) / mean.mean(), 0, 1)
    image = _image_of(np.maximum(turned + stain * moved, -0.05) + look.white)
    changed = _as_sharp(replace(tile, image=image), look.sharpness).at(look.mpp)
    return replace(changed, image=_coded(changed.image, look.jpeg))


def _limited(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the change of colours without directions that it amplifies more than tissue bears."""
    left, gain, right = np.linalg.svd(turn)
    limited: NDArray[np.float64] = (left * np.minimum(gain, _MOST_GAIN)) @ right
    return limited


def _root(matrix: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    root: NDArray[np.float64] = (vectors * np.maximum(values, 1e-9) ** power) @ vectors.T
    return root


def _image_of(density: NDArray[np.float64]) -> NDArray[np.uint8]:
    return (256 * np.exp(-density) - 1).clip(0, 255).round().astype(np.uint8)


def _as_sharp(tile: Tile, wanted: float) -> Tile:
    """Blur or sharpen a tile until it is as sharp as wanted, as far as that does not make noise of it."""
    image = tile.image.astype(np.float32)
    smooth = ndimage.gaussian_filter(image, (_NOISE_UM / tile.mpp,) * 2 + (0,))
    soft = ndimage.gaussian_filter(image, (1 / tile.mpp * _DETAIL_UM,) * 2 + (0,))

    def changed(amount: float) -> Tile:
        if blur:
            values = ndimage.gaussian_filter(image, (amount * _MOST_BLUR_UM / tile.mpp,) * 2 + (0,))
        else:
            values = image + amount * _MOST_SHARPENING * (smooth - soft)
        return replace(tile, image=values.clip(0, 255).round().astype(np.uint8))

    blur = sharpness(tile) > wanted
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        too_little = (sharpness(changed(middle)) > wanted) == blur
        low, high = (middle, high) if too_little else (low, middle)
    return changed(low)


def _coded(image: NDArray[np.uint8], quality: int | None) -> NDArray[np.uint8]:
    if quality is None:
        return image
    coded = io.BytesIO()
    Image.fromarray(image).save(coded, "JPEG", quality=quality)
    return np.asarray(Image.open(coded))


def tumour_called(scores: Sequence[Scores]) -> dict[str, float]:
    """Return the share of labelled tumour nuclei that are found and called neoplastic."""
    found = known = 0
    for s in scores:
        of_found, of_known = s.paired_classes()
        found += int(((of_found == _NEOPLASTIC) & np.isin(of_known, (_NEOPLASTIC, EITHER))).sum())
        known += int(np.isin(s.known_class, (_NEOPLASTIC, EITHER)).sum())
    return {"share": found / max(1, known)}


def nuclei_called(scores: Sequence[Scores]) -> dict[str, float]:
    """Return the share of true nuclei, of those found, that are called neoplastic."""
    real = [s.found_share > 0.5 for s in scores]
    as_it = sum(int((r & (s.found_class == _NEOPLASTIC)).sum()) for s, r in zip(scores, real, strict=True))
    return {"share": as_it / max(1, sum(int(r.sum()) for r in real))}


# What is given which look, and what is to stay as it is. TNBC has no classes, but is carcinoma.
_TRIALS = (
    ("brca_m2c", "nuinsseg", "tumour nuclei found and called neoplastic", tumour_called),
    ("tnbc", "nuinsseg", "nuclei called neoplastic (carcinoma)", nuclei_called),
    ("nuinsseg", "tnbc", "nuclei called neoplastic (normal organs)", nuclei_called),
)
# The coding of the tiles at hand.
_JPEG = {"nuinsseg": 90, "tnbc": None}


def compare_looks(find: Finder, selection: Selection) -> list[dict[str, Any]]:
    """Measure tiles as they are and with the look of another set; the difference with its interval by group.

    The tiles are those of calibration groups, and of a set without such groups the held-out ones.
    """
    tiles = {name: _spread(selection, name) for name, *_ in _TRIALS if name in selection.settings.sets}
    results = []
    for name, other, words, measure in _TRIALS:
        if name not in tiles or other not in tiles:
            continue
        look = Look.of(tiles[other], selection.settings.sets[other].mpp or READ_MPP, _JPEG[other])
        pairs = [(compared(tile, find(tile)), compared_as_shown(tile, find, look)) for tile in tiles[name]]

        def both(some: Sequence[tuple[Scores, Scores]], measure: Any = measure) -> dict[str, float]:  # noqa: ANN401
            own, changed = (measure([pair[part] for pair in some])["share"] for part in (0, 1))
            return {"own": own, "changed": changed, "difference": changed - own}

        figures = intervals_of(pairs, both, lambda pair: pair[0].tile.group)
        results.append({"set": name, "look": other, "figure": words, "tiles": len(pairs), **figures})
    return results


def compared_as_shown(tile: Tile, find: Finder, look: Look) -> Scores:
    """Compare what is found in a tile with another look with its truth."""
    changed = with_look(tile, look)
    return compared(changed, find(changed))


def tiles_of_looks(selection: Selection) -> list[Tile]:
    """Return the held-out tiles that :func:`compare_looks` looks at."""
    calibrated = {tile.set_name for tile in selection.calibration()}
    return of_sets(selection.held_out(), [name for name, *_ in _TRIALS if name not in calibrated])


def _spread(selection: Selection, name: str) -> list[Tile]:
    tiles = of_sets(selection.calibration(), [name]) or of_sets(selection.held_out(), [name])
    return tiles[:: -(-len(tiles) // _TILES)]


def main() -> None:
    """Run the command."""
    parser = measuring_parser("looks", __doc__)
    given = parser.parse_args()
    selection = Selection(given.data, given.settings)
    log_look("looks", given.weights, tiles_of_looks(selection), given.settings.with_name(LOG_NAME))
    with AsSlides(given.weights) as find:
        results = compare_looks(find, selection)
    print(looks_table({"looks": results}))


if __name__ == "__main__":
    main()
