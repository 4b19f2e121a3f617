"""Contours of labelled pixels, all at once, along the pixels' edges and through the threshold of the probability.

Every side of a pixel that faces another label is an edge, directed with its label on the right hand (y down:
clockwise, signed area positive). Following the edges of one label gives rings; each edge becomes one point where
the line between the two pixel centres crosses the threshold (marching squares). Labels are 4-connected: pixels that
touch only at a corner are separate, so every 4-connected part has one outer ring.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from wsi_parse.geometry import Box

# Sides of a pixel in clockwise order, and the step (row, column) to the pixel across.
_ACROSS = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
_CORNER = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float64)
OPEN = -1
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Lines:
    """Contours as ragged arrays: line i holds points `offsets[i]` to `offsets[i + 1]`.

    Parameters
    ----------
    points : float array (N, 2)
        (x, y) in lattice pixels of the array that was traced plus its origin.
    offsets : int array (lines + 1,)
    label : int array (lines,)
    pixels : int array (lines,)
        Signed number of enclosed pixels; negative for holes. For an open line, its share of that sum.
    start, follows : int array (lines,)
        Keys of the first edge of a line, and of the edge that follows its last one; a closed line is followed by
        its own `start`.
    """

    points: NDArray[np.float64]
    offsets: NDArray[np.int64]
    label: NDArray[np.int64]
    pixels: NDArray[np.int64]
    start: NDArray[np.int64]
    follows: NDArray[np.int64]

    @property
    def closed(self) -> NDArray[np.bool_]:
        """Which lines are rings."""
        return self.start == self.follows


def trace(
    labels: NDArray[np.integer],
    window: Box,
    core: Box,
    values: NDArray[np.uint8] | None = None,
    inside: NDArray[np.bool_] | None = None,
    covered: NDArray[np.bool_] | None = None,
    threshold_255: float = 127.5,
) -> Lines:
    """Trace the contours of all labels.

    Parameters
    ----------
    labels : int array (window.height, window.width)
        0 is background.
    window : Box
        Where the array lies on its lattice.
    core : Box
        Edges of the pixels of this box are traced; it lies at least one pixel inside the window. A line that leaves
        the core is open.
    values : uint8 array, optional
        Probabilities; they place the contour between a pixel at or above `threshold_255` and one below it.
    inside : bool array, optional
        Which pixels are at or above the threshold: between two of them (touching cells) the contour is half-way.
    covered : bool array, optional
        Where tiles were predicted: towards other pixels the contour is the edge of the pixel.
    threshold_255 : float
        On the 0..255 scale.

    Returns
    -------
    Lines
    """
    width = labels.shape[1]
    area = core.relative_to(window)
    pixel, side = _edges(labels, area)
    if not len(pixel):
        empty = np.empty(0, np.int64)
        return Lines(np.empty((0, 2)), np.zeros(1, np.int64), empty, empty, empty, empty)
    row, column = np.divmod(pixel, width)
    following, target_pixel, target_side = _following(labels, pixel, side, row, column, area)
    order, offsets, closed = _in_line(following)
    row, column, side = row[order], column[order], side[order]
    points = _crossings(row, column, side, values, inside, covered, threshold_255)
    label = labels.ravel()[pixel[order]].astype(np.int64)
    # Sum of y dx over the horizontal edges: pixels enclosed, exactly.
    share = np.where(side == 0, -(row + window.y), np.where(side == 2, row + window.y + 1, 0))
    first, last = offsets[:-1], offsets[1:] - 1
    start = _key(row[first] + window.y, column[first] + window.x, side[first])
    target_row, target_column = np.divmod(target_pixel[order][last], width)
    follows = _key(target_row + window.y, target_column + window.x, target_side[order][last])
    points += (window.x, window.y)
    return Lines(
        points,
        offsets,
        label[first],
        np.add.reduceat(share, first),
        start,
        np.where(closed, start, follows),
    )


def _key(row: NDArray[np.int64], column: NDArray[np.int64], side: NDArray[np.int64]) -> NDArray[np.int64]:
    return ((row + 1) << 33) | ((column + 1) << 2) | side


def _edges(labels: NDArray[np.integer], area: Box) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find (pixel index, side) of all edges in `area`."""
    width, flat = labels.shape[1], labels.ravel()
    found: list[list[NDArray[np.int64]]] = [[] for _ in _ACROSS]
    for strip in area.strips(_ROWS_AT_ONCE):
        row, column = np.divmod(np.flatnonzero(labels[strip.slices] != 0), strip.width)
        marked = (row + strip.y) * width + column + strip.x
        own = flat.take(marked)
        for side, (step_y, step_x) in enumerate(_ACROSS):
            found[side].append(marked[flat.take(marked + (step_y * width + step_x)) != own])
    pixels = [np.concatenate(of_side) if of_side else np.empty(0, np.int64) for of_side in found]
    return np.concatenate(pixels), np.repeat(np.arange(len(_ACROSS)), [len(of_side) for of_side in pixels])


def _following(
    labels: NDArray[np.integer],
    pixel: NDArray[np.int64],
    side: NDArray[np.int64],
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    area: Box,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Find for each edge the index of the next one of the same label; OPEN where that lies outside `area`."""
    width, flat = labels.shape[1], labels.ravel()
    own = flat[pixel]
    ahead = _ACROSS[(side + 1) % 4]
    across = _ACROSS[side]
    front = pixel + ahead[:, 0] * width + ahead[:, 1]
    diagonal = front + across[:, 0] * width + across[:, 1]
    has_front = flat[front] == own
    has_diagonal = has_front & (flat[diagonal] == own)
    target = np.where(has_diagonal, diagonal, np.where(has_front, front, pixel))
    target_side = np.where(has_diagonal, (side + 3) % 4, np.where(has_front, side, (side + 1) % 4))
    target_row, target_column = np.divmod(target, width)
    stays = (
        (target_row >= area.y) & (target_row < area.bottom) & (target_column >= area.x) & (target_column < area.right)
    )
    following = np.full(len(pixel), OPEN, np.int64)
    following[stays] = _number_of_edge(pixel, side, target[stays], target_side[stays], labels.size)
    return following, target, target_side


def _number_of_edge(
    pixel: NDArray[np.int64],
    side: NDArray[np.int64],
    of_pixel: NDArray[np.int64],
    of_side: NDArray[np.int64],
    count: int,
) -> NDArray[np.int64]:
    """Look up the numbers of edges among all edges, of which each side of each pixel has at most one.

    They are in the order of their sides, then of their pixels, so that looking one up in a table of pixels, side by
    side, takes a third of the time of searching for it.
    """
    number = np.empty(len(of_pixel), np.int64)
    table = np.empty(count, np.int32)
    for one in range(len(_ACROSS)):
        first, last = np.searchsorted(side, (one, one + 1))
        table[pixel[first:last]] = np.arange(first, last)
        wanted = of_side == one
        number[wanted] = table[of_pixel[wanted]]
    return number


def _in_line(following: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Sort edges into lines: open lines in the order of their ends, then rings, which start with their lowest edge."""
    # Only where something is traced: it takes a while to import.
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    count = len(following)
    every = np.arange(count)
    ends = following == OPEN
    jump = np.where(ends, every, following)
    graph = csr_array((np.ones(count, np.int8), jump, np.arange(count + 1)), shape=(count, count))
    lines, line = connected_components(graph, directed=False)
    lowest = np.full(lines, count)
    np.minimum.at(lowest, line, every)
    place = lowest.copy()
    place[line[ends]] = every[ends] - count
    by_place = np.argsort(place)
    number = np.empty(lines, np.int64)
    number[by_place] = np.arange(lines)
    line, closed = number[line], place[by_place] >= 0
    before = np.empty(count, np.int64)
    before[following[~ends]] = every[~ends]
    last = before[lowest[place >= 0]]
    jump[last] = last
    # Pointer doubling: after k rounds each edge knows its rank before the end of its line, if that is below 2**k.
    rank = (jump != every).astype(np.int64)
    left = np.flatnonzero(rank)
    while len(left):
        further = rank[jump[left]]
        left, further = left[further > 0], further[further > 0]
        beyond = jump[jump[left]]
        rank[left] += further
        jump[left] = beyond
    sizes = np.bincount(line, minlength=lines)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    order = np.empty(count, np.int64)
    order[offsets[line] + sizes[line] - 1 - rank] = every
    return order, offsets, closed


def _crossings(
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    side: NDArray[np.int64],
    values: NDArray[np.uint8] | None,
    inside: NDArray[np.bool_] | None,
    covered: NDArray[np.bool_] | None,
    threshold_255: float,
) -> NDArray[np.float64]:
    """Place a point (x, y) on each edge; on its middle where the probabilities do not cross the threshold."""
    across = _ACROSS[side]
    share = np.full(len(row), 0.5)
    if values is not None:
        other = (row + across[:, 0], column + across[:, 1])
        low = values[other].astype(np.float64)
        high = values[row, column].astype(np.float64)
        falls = (high > threshold_255) & (low < threshold_255)
        if inside is not None:
            falls &= ~inside[other]
        if covered is not None:
            falls &= covered[other]
        share[falls] = (high[falls] - threshold_255) / (high[falls] - low[falls])
        # Rounded to 1/256, so that adding the window's origin is exact and windows agree to the last bit.
        share = np.rint(share * 256) / 256
    return np.stack([column + 0.5 + share * across[:, 1], row + 0.5 + share * across[:, 0]], axis=1)


def polygons_of(lines: Lines, keep_holes: bool) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Build one polygon per label from closed lines: the largest outer ring, with its holes if `keep_holes`.

    Returns
    -------
    polygons : object array (N,) of shapely Polygon
        In the lattice pixels of `lines`.
    labels : int array (N,)
        Label of each polygon, ascending.
    """
    outer = np.flatnonzero(lines.pixels > 0)
    best = outer[np.lexsort((-lines.pixels[outer], lines.label[outer]))]
    labels, first = np.unique(lines.label[best], return_index=True)
    rings, owner = best[first], np.arange(len(labels))
    if keep_holes:
        holes = np.flatnonzero(lines.pixels < 0)
        rings = np.concatenate([rings, holes])
        owner = np.concatenate([owner, np.searchsorted(labels, lines.label[holes])])
    order = np.argsort(owner, kind="stable")
    points, offsets = closed_rings(lines, rings[order])
    ends = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(labels)))])
    return shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, (offsets, ends)), labels


def closed_rings(lines: Lines, which: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Collect the points of some lines, each closed by its first point.

    Returns
    -------
    points : float array (N, 2)
    offsets : int array (rings + 1,)
        Ring i holds points `offsets[i]` to `offsets[i + 1]`.
    """
    sizes = np.diff(lines.offsets)[which] + 1
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes)
    wrapped = within % np.repeat(sizes - 1, sizes)
    return lines.points[np.repeat(lines.offsets[which], sizes) + wrapped], offsets


def rings_of(polygons: NDArray[np.object_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the rings of polygons as :func:`closed_rings` does, outer ones and holes, polygon by polygon."""
    rings = shapely.get_rings(polygons)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    return points, np.searchsorted(ring, np.arange(len(rings) + 1))


def ring_areas(points: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the area (rings,) that each of some closed rings encloses, whatever its direction."""
    x, y = points.T
    twice = x * np.roll(y, -1) - np.roll(x, -1) * y
    # No side leads from the last point of a ring to the first point of the next.
    twice[offsets[1:] - 1] = 0
    return np.asarray(np.abs(np.add.reduceat(twice, offsets[:-1])) / 2)


def lines_of_mask(mask: NDArray[np.bool_]) -> Lines:
    """Trace the 4-connected parts of a mask (rows, columns), in pixels of the mask; all lines are rings."""
    labels, _ = ndimage.label(np.pad(mask, 1))
    core = Box(0, 0, mask.shape[1], mask.shape[0])
    return trace(labels, core.expanded(1), core)


def polygons_of_mask(mask: NDArray[np.bool_]) -> NDArray[np.object_]:
    """Return a polygon, with holes, for each 4-connected part of a mask (rows, columns), in pixels of the mask."""
    return polygons_of(lines_of_mask(mask), keep_holes=True)[0]
