"""Contours of labelled pixels, all at once, along the pixels' edges and through the threshold of the probability.

Every side of a pixel that faces another label is an edge, directed with its label on the right hand (y down:
clockwise, signed area positive). Following the edges of one label gives rings; each edge becomes one point where
the line between the two pixel centres crosses the threshold (marching squares). Labels are 4-connected: pixels that
touch only at a corner are separate, so every 4-connected part has one outer ring.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wsi_parse.contours.rings import Rings, ragged_index
from wsi_parse.geometry import Box

# Sides of a pixel in clockwise order, and the step (row, column) to the pixel across.
_ACROSS = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
OPEN = -1
_SIDES = np.arange(len(_ACROSS), dtype=np.int8)
_ROWS_AT_ONCE, _EDGES_AT_ONCE = 512, 1 << 18


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


class Labelled(Protocol):
    """Lines that are all closed: the label of each, and how many pixels it encloses, negative for holes."""

    @property
    def label(self) -> NDArray[np.int64]: ...  # noqa: D102

    @property
    def pixels(self) -> NDArray[np.int64]: ...  # noqa: D102


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
    following, target_pixel, target_side = _following(labels, pixel, side, area)
    order, offsets, closed = _in_line(following)
    del following
    first, last = offsets[:-1], offsets[1:] - 1
    ends = order[last]
    target_row, target_column = np.divmod(target_pixel[ends].astype(np.int64), width)
    follows = _key(target_row + window.y, target_column + window.x, target_side[ends])
    del target_pixel, target_side
    row, column = np.divmod(pixel[order], np.int32(width))
    side = side[order]
    label = labels.ravel()[pixel[order[first]]].astype(np.int64)
    del pixel, order
    start = _key(row[first].astype(np.int64) + window.y, column[first].astype(np.int64) + window.x, side[first])
    points = _crossings(row, column, side, values, inside, covered, threshold_255)
    points += (window.x, window.y)
    # Sum of y dx over the horizontal edges: pixels enclosed, exactly.
    y = row.astype(np.int64) + window.y
    share = np.where(side == 0, -y, np.where(side == 2, y + 1, 0))
    pixels = np.add.reduceat(share, first)
    return Lines(points, offsets, label, pixels, start, np.where(closed, start, follows))


def _key(row: NDArray[np.int64], column: NDArray[np.int64], side: NDArray[np.int8]) -> NDArray[np.int64]:
    return ((row + 1) << 33) | ((column + 1) << 2) | side


def _edges(labels: NDArray[np.integer], area: Box) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Find (pixel index, side) of all edges in `area`; they are in the order of their sides, then of their pixels."""
    width, flat = labels.shape[1], labels.ravel()
    if labels.size > np.iinfo(np.int32).max // len(_ACROSS):
        raise ValueError(f"An array of {labels.shape} pixels is too large to be traced at once.")
    found: list[list[NDArray[np.int32]]] = [[] for _ in _ACROSS]
    for strip in area.strips(_ROWS_AT_ONCE):
        row, column = np.divmod(np.flatnonzero(labels[strip.slices] != 0).astype(np.int32), np.int32(strip.width))
        marked = (row + np.int32(strip.y)) * np.int32(width) + column + np.int32(strip.x)
        own = flat.take(marked)
        for side, (step_y, step_x) in enumerate(_ACROSS.tolist()):
            found[side].append(marked[flat.take(marked + np.int32(step_y * width + step_x)) != own])
    pixels = [np.concatenate(of_side) if of_side else np.empty(0, np.int32) for of_side in found]
    return np.concatenate(pixels), np.repeat(_SIDES, [len(of_side) for of_side in pixels])


def _following(
    labels: NDArray[np.integer], pixel: NDArray[np.int32], side: NDArray[np.int8], area: Box
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]]:
    """Find for each edge the number, pixel and side of the next one of the same label; OPEN outside of `area`."""
    width = labels.shape[1]
    steps = (_ACROSS[:, 0] * width + _ACROSS[:, 1]).astype(np.int32)
    target, target_side = np.empty_like(pixel), np.empty_like(side)
    stays = np.empty(len(pixel), bool)
    # A part after another, so that what lies between stays small.
    for start in range(0, len(pixel), _EDGES_AT_ONCE):
        part = slice(start, start + _EDGES_AT_ONCE)
        target[part], target_side[part] = _next_edges(labels.ravel(), pixel[part], side[part], steps)
        row, column = np.divmod(target[part], np.int32(width))
        stays[part] = (row >= area.y) & (row < area.bottom) & (column >= area.x) & (column < area.right)
    following = np.full(len(pixel), OPEN, np.int32)
    following[stays] = _number_of_edge(pixel, side, target[stays], target_side[stays], labels.size)
    return following, target, target_side


def _next_edges(
    flat: NDArray[np.integer], pixel: NDArray[np.int32], side: NDArray[np.int8], steps: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Return pixel and side of the edges that follow some; `steps` lead across each side of a pixel."""
    ahead_side = (side + np.int8(1)) % np.int8(4)
    own = flat[pixel]
    front = pixel + steps[ahead_side]
    diagonal = front + steps[side]
    has_front = flat[front] == own
    has_diagonal = has_front & (flat[diagonal] == own)
    target = np.where(has_diagonal, diagonal, np.where(has_front, front, pixel))
    return target, np.where(has_diagonal, (side + np.int8(3)) % np.int8(4), np.where(has_front, side, ahead_side))


def _number_of_edge(
    pixel: NDArray[np.int32],
    side: NDArray[np.int8],
    of_pixel: NDArray[np.int32],
    of_side: NDArray[np.int8],
    count: int,
) -> NDArray[np.int32]:
    """Look up the numbers of edges among all edges, of which each side of each pixel has at most one.

    They are in the order of their sides, then of their pixels, so that looking one up in a table of pixels, side by
    side, takes a third of the time of searching for it.
    """
    number = np.empty(len(of_pixel), np.int32)
    table = np.empty(count, np.int32)
    for one in range(len(_ACROSS)):
        first, last = np.searchsorted(side, np.array((one, one + 1), side.dtype))
        table[pixel[first:last]] = np.arange(first, last, dtype=np.int32)
        wanted = of_side == one
        number[wanted] = table[of_pixel[wanted]]
    return number


def _in_line(following: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.bool_]]:
    """Sort edges into lines: open lines in the order of their ends, then rings, which start with their lowest edge."""
    # Only where something is traced: it takes a while to import.
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    count = len(following)
    every = np.arange(count, dtype=np.int32)
    ends = following == OPEN
    jump = np.where(ends, every, following)
    graph = csr_array((np.ones(count, np.int8), jump, np.arange(count + 1, dtype=np.int32)), shape=(count, count))
    lines, line = connected_components(graph, directed=False)
    del graph
    lowest = np.full(lines, count, np.int32)
    np.minimum.at(lowest, line, every)
    place = lowest.copy()
    place[line[ends]] = every[ends] - np.int32(count)
    by_place = np.argsort(place)
    number = np.empty(lines, np.int32)
    number[by_place] = np.arange(lines, dtype=np.int32)
    line, closed = number[line], place[by_place] >= 0
    before = np.empty(count, np.int32)
    before[following[~ends]] = every[~ends]
    last = before[lowest[place >= 0]]
    del before
    jump[last] = last
    # Pointer doubling: after k rounds each edge knows its rank before the end of its line, if that is below 2**k.
    rank = (jump != every).astype(np.int32)
    left = np.flatnonzero(rank).astype(np.int32)
    while len(left):
        further = rank[jump[left]]
        left, further = left[further > 0], further[further > 0]
        beyond = jump[jump[left]]
        rank[left] += further
        jump[left] = beyond
    sizes = np.bincount(line, minlength=lines)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    order = np.empty(count, np.int32)
    order[offsets[line] + sizes[line] - 1 - rank] = every
    return order, offsets, closed


def _crossings(
    row: NDArray[np.int32],
    column: NDArray[np.int32],
    side: NDArray[np.int8],
    values: NDArray[np.uint8] | None,
    inside: NDArray[np.bool_] | None,
    covered: NDArray[np.bool_] | None,
    threshold_255: float,
) -> NDArray[np.float64]:
    """Place a point (x, y) on each edge; on its middle where the probabilities do not cross the threshold."""
    points = np.empty((len(row), 2))
    for start in range(0, len(row), _EDGES_AT_ONCE):
        part = slice(start, start + _EDGES_AT_ONCE)
        across = _ACROSS[side[part]]
        share = np.full(len(across), 0.5)
        if values is not None:
            other = (row[part] + across[:, 0], column[part] + across[:, 1])
            low = values[other].astype(np.float64)
            high = values[row[part], column[part]].astype(np.float64)
            falls = (high > threshold_255) & (low < threshold_255)
            if inside is not None:
                falls &= ~inside[other]
            if covered is not None:
                falls &= covered[other]
            share[falls] = (high[falls] - threshold_255) / (high[falls] - low[falls])
            # Rounded to 1/256, so that adding the window's origin is exact and windows agree to the last bit.
            share = np.rint(share * 256) / 256
        points[part, 0] = column[part] + 0.5 + share * across[:, 1]
        points[part, 1] = row[part] + 0.5 + share * across[:, 0]
    return points


def polygons_of(lines: Lines, keep_holes: bool) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Build one polygon per label from closed lines: the largest outer ring, with its holes if `keep_holes`.

    Returns
    -------
    polygons : object array (N,) of shapely Polygon
        In the lattice pixels of `lines`.
    labels : int array (N,)
        Label of each polygon, ascending.
    """
    rings, ends, labels = rings_of_labels(lines, keep_holes)
    closed = _closed_rings(lines, rings)
    return closed.polygons(ends), labels


def rings_of_labels(
    lines: "Labelled", keep_holes: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Choose the rings of each label among closed lines: the largest outer one, then its holes if `keep_holes`.

    Returns
    -------
    rings : int array (M,)
        Numbers of lines.
    ends : int array (N + 1,)
        Label i has the rings ``ends[i]`` to ``ends[i + 1]``.
    labels : int array (N,)
        Ascending.
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
    return rings[order], np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(labels)))]), labels


def _closed_rings(lines: Lines, which: NDArray[np.int64]) -> Rings:
    """Collect the points of some lines, each closed by its first point."""
    sizes = np.diff(lines.offsets)[which] + 1
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    first = lines.offsets[which]
    index = ragged_index(first, sizes)
    index[offsets[1:] - 1] = first
    return Rings(lines.points[index], offsets)
