"""Placement of nuclei: candidates on jittered lattices, of which those too close to a stronger one are dropped."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from wsi_parse.synthetic.glands import glands_near
from wsi_parse.synthetic.layout import MARGIN_UM, SQUARE_PX, Fields, Layout, fields_of_square
from wsi_parse.synthetic.noise import fraction, hash_lattice
from wsi_parse.synthetic.nuclei import NUCLEUS, SHAPES, TURNS, Kind, shape_of

# (kind, shape), in microns.
_MAJOR = np.array([[shape_of(kind, index).semi_major_um for index in range(SHAPES)] for kind in Kind])
_MINOR = np.array([[shape_of(kind, index).semi_minor_um for index in range(SHAPES)] for kind in Kind])

# Lattice pitch and jitter in microns.
_LATTICE = {
    Kind.NEOPLASTIC: (9.8, 3.6),
    Kind.INFLAMMATORY: (6.8, 2.6),
    Kind.CONNECTIVE: (13.5, 5.0),
}
# Nuclei of glands are always kept; lymphocytes and stroma make room for them.
_RANK = {Kind.EPITHELIAL: 3.0, Kind.NEOPLASTIC: 2.0, Kind.INFLAMMATORY: 1.0, Kind.CONNECTIVE: 0.0}

_CANDIDATE = np.dtype([*NUCLEUS.descr, ("strength", "<f8")])


@lru_cache(maxsize=1024)
def nuclei_of_square(layout: Layout, column: int, row: int) -> NDArray[np.void]:
    """Return the nuclei (dtype NUCLEUS) whose centre lies in one square and on the slide, in order of y, then x.

    Candidates up to MARGIN_UM around the square are considered too, so that neighbouring squares agree which are kept.
    """
    if min(column, row) < 0:
        return np.empty(0, NUCLEUS)
    fields = fields_of_square(layout, column, row)
    if fields.blank or layout.density <= 0.0:
        return np.empty(0, NUCLEUS)
    candidates = np.concatenate(
        [_scattered(layout, column, row, fields, kind) for kind in _LATTICE] + [_in_glands(layout, column, row, fields)]
    )
    kept = candidates[_is_kept(candidates, layout)]
    inside = (kept["x"] >= column * SQUARE_PX) & (kept["x"] < min((column + 1) * SQUARE_PX, layout.width))
    inside &= (kept["y"] >= row * SQUARE_PX) & (kept["y"] < min((row + 1) * SQUARE_PX, layout.height))
    nuclei = kept[inside]
    nuclei = nuclei[np.lexsort((nuclei["x"], nuclei["y"]))]
    result = nuclei[list(NUCLEUS.names or ())].astype(NUCLEUS)
    result.flags.writeable = False
    return result


def _scattered(layout: Layout, column: int, row: int, fields: Fields, kind: Kind) -> NDArray[np.void]:
    """Return the candidates of one kind on its staggered, jittered lattice."""
    pitch, jitter = _LATTICE[kind]
    left, top = column * SQUARE_PX * layout.mpp[0] - MARGIN_UM, row * SQUARE_PX * layout.mpp[1] - MARGIN_UM
    right, bottom = left + SQUARE_PX * layout.mpp[0] + 2 * MARGIN_UM, top + SQUARE_PX * layout.mpp[1] + 2 * MARGIN_UM
    columns, rows = (
        axis.reshape(-1)
        for axis in np.meshgrid(
            np.arange(math.floor(left / pitch) - 1, math.ceil(right / pitch) + 1),
            np.arange(math.floor(top / pitch) - 1, math.ceil(bottom / pitch) + 1),
        )
    )
    bits = hash_lattice(columns, rows, layout.seed * 1000 + 100 + int(kind))
    x_um = (columns + 0.5 * (rows % 2)) * pitch + (2 * fraction(bits, 0) - 1) * jitter
    y_um = rows * pitch + (2 * fraction(bits, 1) - 1) * jitter
    near = (x_um > left) & (x_um < right) & (y_um > top) & (y_um < bottom)
    x_um, y_um, bits = x_um[near], y_um[near], bits[near]
    x, y = x_um / layout.mpp[0] - column * SQUARE_PX, y_um / layout.mpp[1] - row * SQUARE_PX
    chance = _chance(fields, kind, x, y) * layout.density
    chosen = fraction(bits, 2) < chance
    x, y, bits = x[chosen], y[chosen], bits[chosen]
    shape_bits = hash_lattice(bits.astype(np.int64), np.zeros_like(bits, np.int64), 7)
    angle = fraction(shape_bits, 0) * math.pi
    if kind is Kind.CONNECTIVE:
        angle = _along_fibres(fields, x, y, layout.mpp) + 0.5 * (fraction(shape_bits, 0) - 0.5)
    return _candidates(kind, x + column * SQUARE_PX, y + row * SQUARE_PX, angle, shape_bits)


def _in_glands(layout: Layout, column: int, row: int, fields: Fields) -> NDArray[np.void]:
    """Return the candidates of the rings of epithelium."""
    axes = [
        np.array([start * size - MARGIN_UM, (start + SQUARE_PX) * size + MARGIN_UM])
        for start, size in ((column * SQUARE_PX, layout.mpp[0]), (row * SQUARE_PX, layout.mpp[1]))
    ]
    rings = [gland.nuclei() for gland in glands_near(layout.seed, *axes)]
    if not rings:
        return np.empty(0, _CANDIDATE)
    nuclei = np.concatenate(rings)
    (left, right), (top, bottom) = axes
    near = (nuclei[:, 0] > left) & (nuclei[:, 0] < right) & (nuclei[:, 1] > top) & (nuclei[:, 1] < bottom)
    x_um, y_um, angle = nuclei[near].T
    x, y = x_um / layout.mpp[0], y_um / layout.mpp[1]
    bits = hash_lattice(np.round(x_um * 1024).astype(np.int64), np.round(y_um * 1024).astype(np.int64), 8)
    chosen = (
        fraction(bits, 3)
        < _chance(fields, Kind.EPITHELIAL, x - column * SQUARE_PX, y - row * SQUARE_PX) * layout.density
    )
    return _candidates(Kind.EPITHELIAL, x[chosen], y[chosen], angle[chosen], bits[chosen])


def _chance(fields: Fields, kind: Kind, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability (0..1) of a candidate of a kind at positions in the square."""
    tissue = (fields.at("tissue", x, y) > 5.0).astype(np.float64)
    if kind is Kind.EPITHELIAL:
        return tissue * (fields.at("lumen", x, y) < -3.0)
    tumour = fields.at("tumour", x, y)
    if kind is Kind.NEOPLASTIC:
        return tissue * np.where(tumour > 1.5, 0.95, 0.0)
    stroma = tissue * ((tumour < -3.0) & (fields.at("gland", x, y) < -4.0))
    if kind is Kind.CONNECTIVE:
        return stroma * np.float64(0.62)
    return stroma * fields.at("lymphocytes", x, y) + tissue * np.where(tumour > 1.5, 0.015, 0.0)


def _along_fibres(
    fields: Fields, x: NDArray[np.float64], y: NDArray[np.float64], mpp: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the direction of the level lines of the stream function."""
    step = 12.0
    slope_x = (fields.at("flow", x + step, y) - fields.at("flow", x - step, y)) / mpp[0]
    slope_y = (fields.at("flow", x, y + step) - fields.at("flow", x, y - step)) / mpp[1]
    return np.arctan2(-slope_x, slope_y)


def _candidates(
    kind: Kind,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    angle: NDArray[np.float64],
    bits: NDArray[np.uint64],
) -> NDArray[np.void]:
    result = np.empty(len(x), _CANDIDATE)
    # Stamps have their centroid in the middle of a pixel.
    result["x"], result["y"] = np.floor(x) + 0.5, np.floor(y) + 0.5
    result["kind"] = int(kind)
    result["shape"] = (fraction(bits, 1) * SHAPES).astype(np.uint8)
    result["turn"] = np.round(angle * (TURNS / math.pi)).astype(np.int64) % TURNS
    result["angle"] = result["turn"] * (math.pi / TURNS)
    result["semi_major_um"] = _MAJOR[kind, result["shape"]]
    result["semi_minor_um"] = _MINOR[kind, result["shape"]]
    result["strength"] = _RANK[kind] + fraction(bits, 2)
    return result


def _is_kept(candidates: NDArray[np.void], layout: Layout) -> NDArray[np.bool_]:
    """Return which candidates have no stronger one too close (Matérn's type II hard-core process)."""
    if layout.touching:
        reach = 0.9 * np.sqrt(candidates["semi_major_um"] * candidates["semi_minor_um"])
    else:
        # Ripples reach past the ellipse, and a pixel of background must stay between two nuclei.
        reach = 1.12 * candidates["semi_major_um"] + max(layout.mpp)
    centres_um = np.stack([candidates["x"], candidates["y"]], axis=1) * layout.mpp
    kept = np.ones(len(candidates), bool)
    if len(candidates) < 2:
        return kept
    pairs = cKDTree(centres_um).query_pairs(2 * float(reach.max()), output_type="ndarray")
    first, second = pairs[:, 0], pairs[:, 1]
    apart = np.hypot(*(centres_um[first] - centres_um[second]).T)
    close = apart < reach[first] + reach[second]
    first, second = first[close], second[close]
    strength = candidates["strength"]
    kept[np.where(strength[first] < strength[second], first, second)] = False
    return kept
