"""Touching cells of a window are split, by a rule that needs only a fixed neighbourhood (a local watershed).

Each pixel of the mask climbs a landscape (distance to the edge of the mask and probability, smoothed; or the model's
distance channel) by steps to its highest neighbour, up to a maximum. A maximum with a shallow saddle towards a higher
one nearby climbs on to that one; the remaining maxima are seeds, and a cell consists of all pixels that climbed to
one seed. Every step looks at a fixed radius, all numbers are whole, and ties are decided by position. So two windows
that both contain the path of a pixel agree about it, and a cell is kept only by the window that owns its seed.

Which saddle is shallow scales with the cell. On the distance to the edge of the mask it is a share of the height, so it
does that by itself. A model's distance channel has the same range in every nucleus, but more maxima in a large one.
There, the valley between two maxima may be the deeper, the wider the mask is all the way between them, as long as the
probability stays high: at a border of two nuclei it falls, and mostly the mask has a neck.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wsi_parse.geometry import Box
from wsi_parse.objects.distance import chessboard_distance, taxicab_distance
from wsi_parse.objects.pairs import pairs_within
from wsi_parse.slides.opencv import opencv

# In row-major order: among equal neighbours the first one always wins.
_NEIGHBOURS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
# A maximum joins a higher one if the saddle between them is at least this share of its own height ...
_SADDLE_SHARE = (17, 20)
_SMOOTHING_PX = 2
_SMOOTHING_GAIN = 4 ** (2 * _SMOOTHING_PX)
# Whole numbers that float32 holds.
_EXACT_BELOW = 1 << 24
# ... or, on a model's distance channel, less than this share of the channel's range below it, times the fourth power of
# the lowest probability between them, times the squared distance to the edge between them, of which that in a usual
# nucleus counts as 1, less does not count, and more than twice the distance neither.
_VALLEY_SHARE = (4, 25)
_DEEPEST = 2
_DISTANCE_SCALE = 8
_DISTANCE_RANGE = 255 * _DISTANCE_SCALE * _SMOOTHING_GAIN
_DIRECTION_BITS = 4
# Says for each pair of maxima (row, column), the lower and the higher one, whether they belong to one cell; it looks at
# so many points between them.
_AreOne = Callable[[NDArray[np.int64], NDArray[np.int64], int], NDArray[np.bool_]]


@dataclass(frozen=True)
class SplitParameters:
    """How touching cells are split; lengths in pixels of the object lattice.

    Parameters
    ----------
    max_radius : int
        A pixel belongs to a cell only if no step of its climb is farther than this from the seed, on either axis.
    seed_merge_radius : float
        Maxima nearer to each other than this may be joined.
    distance_cap : int
        Largest distance to the edge of the mask that is distinguished.
    usual_depth : int
        Distance to the edge in a nucleus of usual size. On a model's distance channel, maxima are joined over deeper
        valleys if the edge of the mask is farther than this all the way between them.
    """

    max_radius: int
    seed_merge_radius: float
    distance_cap: int
    usual_depth: int

    @property
    def halo(self) -> int:
        """Margin around a chunk, in pixels, on which the split of its cells depends."""
        to_edge = max(2 * self.distance_cap, _DEEPEST * self.usual_depth)
        return self.max_radius + int(np.ceil(self.seed_merge_radius)) + to_edge + _SMOOTHING_PX + 2


def label_cells(
    probability: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    distance: NDArray[np.uint8] | None,
    window: Box,
    core: Box,
    parameters: SplitParameters,
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Split the mask of a window into cells and keep those whose seed lies in the core.

    Parameters
    ----------
    probability : uint8 array (window.height, window.width)
        0..255.
    inside : bool array of the same shape
        The mask.
    distance : uint8 array of the same shape, or None
        A model's distance channel.
    window, core : Box
        On the object lattice; the window reaches `parameters.halo` beyond the core.
    parameters : SplitParameters

    Returns
    -------
    labels : int32 array (window.height, window.width)
        1, 2, … in row-major order of the seeds; 0 elsewhere.
    seeds : int array (cells, 2)
        (x, y) of the seeds' pixels on the object lattice.
    """
    labels = np.zeros(inside.shape, np.int32)
    pixels = np.flatnonzero(inside)
    if not len(pixels):
        return labels, np.empty((0, 2), np.int64)
    height = np.where(inside, landscape(probability, inside, distance, parameters.distance_cap), 0)
    parent = _climb(height, inside, pixels)
    tops = np.flatnonzero(parent == np.arange(len(pixels)))
    if distance is None:
        are_one: _AreOne = partial(_share_a_ridge, height)
    else:
        are_one = partial(_share_a_nucleus, height, probability, inside, parameters.usual_depth)
    parent[tops] = tops[_join(height, pixels[tops], parameters.seed_merge_radius, are_one)]
    seed, farthest = _follow(parent, pixels, inside.shape[1])
    row, column = np.divmod(pixels, inside.shape[1])
    area = core.relative_to(window)
    is_seed = np.flatnonzero(parent == np.arange(len(pixels)))
    owned = (
        (row[is_seed] >= area.y)
        & (row[is_seed] < area.bottom)
        & (column[is_seed] >= area.x)
        & (column[is_seed] < area.right)
    )
    kept = is_seed[owned]
    number = np.zeros(len(pixels), np.int32)
    number[kept] = np.arange(1, len(kept) + 1)
    labels.ravel()[pixels] = np.where(farthest <= parameters.max_radius, number[seed], 0)
    return labels, np.stack([column[kept] + window.x, row[kept] + window.y], axis=1)


def landscape(
    probability: NDArray[np.uint8], inside: NDArray[np.bool_], distance: NDArray[np.uint8] | None, distance_cap: int
) -> NDArray[np.int32]:
    """Return the heights to climb (rows, columns), in whole numbers, for arrays as in :func:`label_cells`.

    The height is the smoothed distance to the edge of the mask, or the model's distance channel; probability decides
    between equal distances.
    """
    if distance is not None:
        height = distance.astype(np.int32) * _DISTANCE_SCALE
    else:
        # Chessboard plus city-block distance: rounder than either, a whole number, and local to `distance_cap` pixels.
        height = chessboard_distance(inside, distance_cap).astype(np.int32)
        height += taxicab_distance(inside, 2 * distance_cap)
        height *= 64
        height += probability >> 2
    return _smoothed(height, max(255 * _DISTANCE_SCALE, 64 * (3 * distance_cap + 1)))


def _smoothed(height: NDArray[np.int32], largest: int) -> NDArray[np.int32]:
    """Filter by [1 2 1] along both axes, again and again, without dividing, so values grow and stay whole numbers.

    None of them is larger than `largest`.
    """
    cv2 = opencv() if largest * _SMOOTHING_GAIN < _EXACT_BELOW else None
    if cv2 is None:
        for axis in (0, 1) * _SMOOTHING_PX:
            height = _filtered(height, axis)
        return height
    # In a quarter of the time. These floats hold all the numbers exactly.
    kernel, filtered = np.array([1, 2, 1], np.float32), height.astype(np.float32)
    for _ in range(_SMOOTHING_PX):
        filtered = cv2.sepFilter2D(filtered, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
    return filtered.astype(np.int32)


def _filtered(height: NDArray[np.int32], axis: int) -> NDArray[np.int32]:
    moved = np.moveaxis(height, axis, 0)
    result = moved * 2
    result[1:] += moved[:-1]
    result[:-1] += moved[1:]
    return np.moveaxis(result, 0, axis)


def _climb(height: NDArray[np.int32], inside: NDArray[np.bool_], pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the index (into `pixels`) of each pixel's highest neighbour in the mask; its own at a maximum."""
    rows, width = inside.shape
    padded = np.full((rows + 2, width + 2), -1, np.int32)
    np.copyto(padded[1:-1, 1:-1], height, where=inside)
    # The low bits hold the direction, counted down, so that among equal heights the first neighbour wins.
    padded <<= _DIRECTION_BITS
    flat = padded.ravel()
    row, column = np.divmod(pixels, width)
    corner = row * (width + 2) + column
    steps = np.array([(step_y + 1) * (width + 2) + step_x + 1 for step_y, step_x in _NEIGHBOURS])
    best = np.full(len(pixels), np.iinfo(np.int32).min, np.int32)
    for order, step in enumerate(steps):
        np.maximum(best, flat[step:].take(corner) + np.int32(len(steps) - order), out=best)
    taken = len(steps) - (best & ((1 << _DIRECTION_BITS) - 1))
    index = np.empty(padded.size, np.int32)
    index[corner] = np.arange(len(pixels), dtype=np.int32)
    return index.take(corner + steps[taken] - (width + 3)).astype(np.int64)


def _join(height: NDArray[np.int32], tops: NDArray[np.int64], distance: float, are_one: _AreOne) -> NDArray[np.int64]:
    """Return for each maximum the index of the higher one that it climbs on to; its own if it is a seed."""
    own = np.arange(len(tops))
    points = np.stack(np.divmod(tops, height.shape[1]), axis=1)
    pairs = pairs_within(points, distance)
    if not len(pairs):
        return own
    # Maxima are ordered by height, then by position (row-major, as in the climb).
    rank = np.empty(len(tops), np.int64)
    rank[np.lexsort((-tops, height.ravel()[tops]))] = own
    pairs = np.where((rank[pairs[:, 0]] < rank[pairs[:, 1]])[:, None], pairs, pairs[:, ::-1])
    low, high = pairs[are_one(points[pairs[:, 0]], points[pairs[:, 1]], int(np.ceil(distance)))].T
    order = np.lexsort((rank[high], low))
    own[low[order]] = high[order]
    return own


def _share_a_ridge(
    height: NDArray[np.int32], low: NDArray[np.int64], high: NDArray[np.int64], steps: int
) -> NDArray[np.bool_]:
    """Return for each pair of maxima (row, column) on the distance to the edge whether they belong to one cell."""
    least = height[low[:, 0], low[:, 1]] * np.int64(_SADDLE_SHARE[0])
    result = np.zeros(len(low), np.bool_)
    possible = np.arange(len(low))
    for parts in _half_way_first(steps):
        saddle = _lowest_between(height, low[possible], high[possible], parts, steps)
        possible = possible[saddle * np.int64(_SADDLE_SHARE[1]) >= least[possible]]
    result[possible] = True
    return result


def _share_a_nucleus(
    height: NDArray[np.int32],
    probability: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    usual_depth: int,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    steps: int,
) -> NDArray[np.bool_]:
    """Return for each pair of maxima (row, column) on a model's distance channel whether they belong to one nucleus."""
    top = height[low[:, 0], low[:, 1]].astype(np.int64)
    limit = _DEEPEST * usual_depth
    result = np.zeros(len(low), np.bool_)
    possible = np.arange(len(low))
    for parts in _half_way_first(steps):
        line = low[possible], high[possible], parts, steps
        valley = (top[possible] - _lowest_between(height, *line)) * (_VALLEY_SHARE[1] * 255**2 * usual_depth**2)
        square = _lowest_between(probability, *line).astype(np.int64) ** 2 // 255
        allowed = square**2 * (_VALLEY_SHARE[0] * _DISTANCE_RANGE)
        passes = valley < allowed * limit**2
        possible, valley, allowed = possible[passes], valley[passes], allowed[passes]
    # The distance to the edge is only measured where it decides.
    shallow = valley < allowed * usual_depth**2
    result[possible[shallow]] = True
    rest = possible[~shallow]
    quarters = [(low[rest] * (4 - part) + high[rest] * part) // 4 for part in (1, 2, 3)]
    narrowest = np.min([_squared_distance_to_edge(inside, points, limit) for points in quarters], axis=0)
    result[rest] = valley[~shallow] < allowed[~shallow] * narrowest
    return result


def _half_way_first(steps: int) -> tuple[Iterable[int], ...]:
    """Return the parts of a line to look at: first its middle, because most pairs already fail there; then all."""
    return [steps // 2], range(1, steps)


def _squared_distance_to_edge(inside: NDArray[np.bool_], points: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Return the squared distance from each pixel (row, column) to the nearest one outside the mask, up to limit²."""
    row, column = np.mgrid[-limit : limit + 1, -limit : limit + 1].reshape(2, -1)
    squared = row**2 + column**2
    near = squared < limit**2
    rows = np.clip(points[:, :1] + row[near], 0, inside.shape[0] - 1)
    columns = np.clip(points[:, 1:] + column[near], 0, inside.shape[1] - 1)
    return np.where(inside[rows, columns], limit**2, squared[near]).min(axis=1, initial=limit**2)


def _lowest_between(
    values: NDArray[np.int32] | NDArray[np.uint8],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    parts: Iterable[int],
    steps: int,
) -> NDArray[np.int32]:
    """Return the lowest value on some parts of the way from one pixel (row, column) to the other, for each pair."""
    lowest = np.full(len(start), np.iinfo(np.int32).max, np.int32)
    for part in parts:
        # Whole-number rounding of start + (stop - start) * part / steps, half up.
        point = (2 * (start * (steps - part) + stop * part) + steps) // (2 * steps)
        np.minimum(lowest, values[point[:, 0], point[:, 1]], out=lowest)
    return lowest


def _follow(
    parent: NDArray[np.int64], pixels: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return each pixel's seed, and the largest distance (on either axis) of its path from the seed."""
    seed = parent
    while True:
        further = seed.take(seed)
        if np.array_equal(further, seed):
            break
        seed = further
    index = np.stack(np.divmod(pixels, width)).astype(np.int32)
    away = np.abs(index - index.take(seed, axis=1))
    farthest = np.maximum(away[0], away[1])
    jump = parent
    while not np.array_equal(jump, seed):
        np.maximum(farthest, farthest.take(jump), out=farthest)
        jump = jump.take(jump)
    return seed, farthest
