"""The outlines of a mask as chain codes, a byte for each side of a pixel, traced a band of rows after another.

The tissue of a slide of 100,000 px may have 500,000 holes, whose outlines have 7 million points. As arrays of points,
and traced all at once, they would take 600 MB.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_parse.contours.joined_lines import concatenated, joined, selected
from wsi_parse.contours.rings import Rings, ragged_index
from wsi_parse.contours.tracing import Lines, trace
from wsi_parse.geometry import Box

_ROWS_AT_ONCE, _RINGS_AT_ONCE, _CORNERS_AT_ONCE = 128, 1 << 14, 1 << 17
# From the middle of a side to that of the next one are at most two half-pixels along x and along y.
_REACH = 2
_ACROSS = 2 * _REACH + 1
_STEPS = np.stack(np.divmod(np.arange(_ACROSS**2), _ACROSS), axis=1).astype(np.int32) - _REACH


@dataclass(frozen=True)
class MaskRings:
    """Rings around the 4-connected parts of a mask and around their holes, through the middles of pixels' sides.

    Parameters
    ----------
    start : int32 array (rings, 2)
        (x, y) of the first point of each, in half-pixels of the mask: the first upper side in the order of rows.
    codes : uint8 array (N,)
        The step from each point to the next, and from the last one of a ring to its first.
    offsets : int array (rings + 1,)
        Ring i has the codes ``offsets[i]`` to ``offsets[i + 1]``.
    label : int array (rings,)
        Number of the part, from 1 on.
    pixels : int array (rings,)
        Number of enclosed pixels; negative for holes.
    """

    start: NDArray[np.int32]
    codes: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    label: NDArray[np.int64]
    pixels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> "MaskRings":
        """Trace a mask (rows, columns); rings are in the order of their first points, row by row."""
        labels, _ = ndimage.label(np.pad(mask, 1))
        whole, cut = [], []
        for core in Box(0, 0, mask.shape[1], mask.shape[0]).strips(_ROWS_AT_ONCE):
            window = core.expanded(1)
            lines = trace(labels[window.y + 1 : window.bottom + 1], window, core)
            whole.append(_coded(selected(lines, lines.closed)))
            cut.append(selected(lines, ~lines.closed))
        if cut:
            whole.append(_coded(_from_first_upper_side(joined(concatenated(cut)))))
        return _in_order(whole)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many points each ring has."""
        return np.diff(self.offsets)

    def in_turn(
        self, numbers: NDArray[np.int64], ends: NDArray[np.int64], large_corners: int
    ) -> Iterator[tuple[int, int, bool]]:
        """Yield areas from one number to another, some at a time, and whether it is one large area alone.

        Parameters
        ----------
        numbers, ends : int array
            Area i has the rings ``numbers[ends[i] : ends[i + 1]]``.
        large_corners : int
            An area with more corners is large.
        """
        count = len(ends) - 1
        corners = np.concatenate([[0], np.cumsum(self.sizes[numbers] + 1)])[ends]
        large = np.flatnonzero(np.diff(corners) > large_corners)
        many = np.flatnonzero(np.diff(corners // _CORNERS_AT_ONCE)) + 1
        stops = np.unique(np.concatenate([[0, count], many[many < count], large, large + 1]))
        for first, last in pairwise(stops.tolist()):
            yield first, last, first in large

    def points(self, which: NDArray[np.integer]) -> Rings:
        """Return some rings, by their numbers, in pixels of the mask."""
        sizes = self.sizes[which]
        offsets = np.concatenate([[0], np.cumsum(sizes + 1)])
        steps = np.zeros((offsets[-1], 2), np.int32)
        is_first = np.zeros(len(steps), bool)
        is_first[offsets[:-1]] = True
        steps[~is_first] = _STEPS[self.codes[ragged_index(self.offsets[which], sizes)]]
        # Each ring leads back to where it began, so that the sums of the next one begin with zero again.
        half_pixels = np.cumsum(steps, axis=0, out=steps)
        half_pixels += np.repeat(self.start[which], sizes + 1, axis=0)
        return Rings(half_pixels / 2, offsets)


def _coded(lines: Lines) -> MaskRings:
    """Turn closed lines, which begin with their first upper side, into chain codes."""
    half_pixels = (lines.points * 2).astype(np.int32)
    steps = _steps(half_pixels, lines.offsets) + _REACH
    codes = (steps[:, 0] * _ACROSS + steps[:, 1]).astype(np.uint8)
    return MaskRings(half_pixels[lines.offsets[:-1]], codes, lines.offsets, lines.label, lines.pixels)


def _steps(points: NDArray[np.int32], offsets: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the step from each point to the next one of its ring."""
    following = np.roll(points, -1, axis=0)
    following[offsets[1:] - 1] = points[offsets[:-1]]
    return following - points


def _from_first_upper_side(lines: Lines) -> Lines:
    """Let each closed line begin with its first upper side in the order of rows, as one traced at once does."""
    first, sizes = lines.offsets[:-1], np.diff(lines.offsets)
    if not len(first):
        return lines
    half_pixels = (lines.points * 2).astype(np.int32)
    # Rings run clockwise around what is inside: to the right along upper sides.
    upper = (half_pixels[:, 1] % 2 == 0) & (_steps(half_pixels, lines.offsets)[:, 0] > 0)
    place = np.where(upper, half_pixels[:, 1].astype(np.int64) << 32 | half_pixels[:, 0], np.iinfo(np.int64).max)
    begins = np.flatnonzero(place == np.repeat(np.minimum.reduceat(place, first), sizes))
    index = np.arange(len(place)) - np.repeat(first - (begins - first), sizes)
    index = index % np.repeat(sizes, sizes) + np.repeat(first, sizes)
    return Lines(lines.points[index], lines.offsets, lines.label, lines.pixels, lines.start, lines.follows)


def _in_order(parts: list[MaskRings]) -> MaskRings:
    start = np.concatenate([np.empty((0, 2), np.int32), *(part.start for part in parts)])
    codes = np.concatenate([np.empty(0, np.uint8), *(part.codes for part in parts)])
    sizes, label, pixels = (
        np.concatenate([np.empty(0, np.int64), *of_parts])
        for of_parts in (
            (part.sizes for part in parts),
            (part.label for part in parts),
            (part.pixels for part in parts),
        )
    )
    order = np.lexsort(start.T)
    first = (np.cumsum(sizes) - sizes)[order]
    sizes = sizes[order]
    # Some at a time, because the numbers of all codes would take eight times as much as the codes.
    rows = (slice(start, start + _RINGS_AT_ONCE) for start in range(0, len(order), _RINGS_AT_ONCE))
    codes = np.concatenate([codes[:0], *(codes[ragged_index(first[row], sizes[row])] for row in rows)])
    return MaskRings(start[order], codes, np.concatenate([[0], np.cumsum(sizes)]), label[order], pixels[order])
