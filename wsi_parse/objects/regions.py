"""Regions larger than a chunk: they are cut at chunk borders into pieces, and the pieces are joined again.

A chunk gives pieces of contours (rings, and lines that leave the chunk), the parts they belong to, and the parts that
touch each of its four borders. Joining needs no geometry: parts that face each other across a border are one
region, and a line is continued by the line that starts with the edge that follows it. Only regions that touch chunks
still to come are held in memory.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_parse.contours.joined_lines import concatenated, joined, selected
from wsi_parse.contours.tracing import Lines, polygons_of, trace
from wsi_parse.geometry import Box
from wsi_parse.objects.pixel_sums import PixelSums


@dataclass(frozen=True)
class Pieces:
    """The parts of one prompt's regions that lie in one chunk.

    Parameters
    ----------
    lines : Lines
        Contours in lattice pixels; their labels count the parts of this chunk from 1.
    sums : PixelSums
        Of parts 1, 2, …
    top, bottom, left, right : int arrays
        Part of each pixel along that border of the chunk; 0 where there is no part.
    """

    lines: Lines
    sums: PixelSums
    top: NDArray[np.int64]
    bottom: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]

    def to_arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Return the fields as arrays for a file, with names that begin with `prefix`."""
        arrays = {f"{prefix}.{name}": getattr(self, name) for name in _BORDERS}
        for part in (self.lines, self.sums):
            arrays |= {f"{prefix}.{field.name}": getattr(part, field.name) for field in fields(part)}
        return arrays

    @classmethod
    def from_arrays(cls, prefix: str, arrays: dict[str, NDArray[Any]]) -> "Pieces":
        """Build from what :meth:`to_arrays` gave."""
        lines = Lines(**{field.name: arrays[f"{prefix}.{field.name}"] for field in fields(Lines)})
        sums = PixelSums(**{field.name: arrays[f"{prefix}.{field.name}"] for field in fields(PixelSums)})
        return cls(lines, sums, *(arrays[f"{prefix}.{name}"] for name in _BORDERS))

    @classmethod
    def nothing(cls, core: Box) -> "Pieces":
        """Build the pieces of a chunk without regions, as :func:`cut_pieces` makes them."""
        pixel, blank = Box(0, 0, 1, 1), np.zeros((3, 3), np.uint8)
        none = cut_pieces(blank, blank > 0, blank > 0, pixel.expanded(1), pixel, 1.0, 0.0)
        across, down = (np.zeros(length, np.int64) for length in (core.width, core.height))
        return cls(none.lines, none.sums, across, across, down, down)

    def only(self, wanted: NDArray[np.bool_]) -> "Pieces":
        """Return some of the parts, under new numbers.

        Parameters
        ----------
        wanted : bool array (parts + 1,)
            For each part, counted from 1, whether to keep it; a shorter array lacks parts that are not kept.
        """
        kept = np.zeros(len(self.sums.count) + 1, bool)
        kept[: len(wanted)] = wanted
        kept[0] = False
        number = np.where(kept, np.cumsum(kept), 0)
        lines = _renumbered(selected(self.lines, kept[self.lines.label]), number)
        return Pieces(lines, self.sums.take(kept[1:]), *(number[getattr(self, name)] for name in _BORDERS))


_BORDERS = ("top", "bottom", "left", "right")
#: For each border of a chunk: the border of the neighbour that it faces, and the step (rows, columns) to it.
OPPOSITE_BORDERS = {
    "top": ("bottom", -1, 0),
    "bottom": ("top", 1, 0),
    "left": ("right", 0, -1),
    "right": ("left", 0, 1),
}


def cut_pieces(
    values: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    covered: NDArray[np.bool_],
    window: Box,
    core: Box,
    threshold_255: float,
    min_area_px: float,
    stains: NDArray[np.int64] | None = None,
) -> Pieces:
    """Cut the regions of a window at the border of its core.

    Parameters
    ----------
    values, inside, covered, threshold_255
        As for :func:`wsi_parse.contours.tracing.trace`.
    window, core : Box
        The window reaches at least one pixel beyond the core.
    min_area_px : float
        Smaller regions that touch no border are dropped at once.
    stains : int array, optional
        As for :class:`PixelSums`.
    """
    labels, count = ndimage.label(inside)
    own = core.relative_to(window).slices
    part = labels[own]
    borders = [part[0], part[-1], part[:, 0], part[:, -1]]
    touching = np.zeros(count + 1, bool)
    for border in borders:
        touching[border] = True
    size = np.bincount(part.ravel(), minlength=count + 1)
    keep = (size > 0) & (touching | (size >= min_area_px))
    keep[0] = False
    number = np.zeros(count + 1, np.int64)
    number[keep] = np.arange(1, keep.sum() + 1)
    labels = number[labels]
    lines = trace(labels, window, core, values, inside, covered, threshold_255)
    sums = PixelSums.of(
        labels[own],
        int(keep.sum()),
        (core.x, core.y),
        values[own],
        None if stains is None else stains[:, own[0], own[1]],
    )
    return Pieces(lines, sums, *(number[border] for border in borders))


class RegionJoiner:
    """Joins pieces, one row of chunks after the other, and returns each region as soon as it is whole.

    Parameters
    ----------
    min_area_px, min_hole_area_px : float
        Smaller regions are dropped, smaller holes are filled.
    """

    def __init__(self, min_area_px: float, min_hole_area_px: float) -> None:
        self._min_area_px = min_area_px
        self._min_hole_area_px = min_hole_area_px
        self._lines: list[Lines] = []
        self._sums: list[PixelSums] = []
        self._links: list[NDArray[np.int64]] = []
        self._count = 0
        self._above: dict[int, NDArray[np.int64]] = {}

    def add_row(self, row: dict[int, Pieces]) -> tuple[NDArray[np.object_], PixelSums] | None:
        """Add a row of chunks (column -> pieces) and return the regions that are whole now.

        An empty row ends all regions that are still open.

        Returns
        -------
        polygons : object array (N,) of shapely Polygon
            In lattice pixels.
        sums : PixelSums
            Of the same N regions. Both are replaced by None if nothing was added.
        """
        below: dict[int, NDArray[np.int64]] = {}
        left_edge: dict[int, NDArray[np.int64]] = {}
        for column in sorted(row):
            pieces, first = row[column], self._count

            def named(border: NDArray[np.int64], first: int = first) -> NDArray[np.int64]:
                return np.where(border > 0, border + first - 1, -1)

            if column in self._above:
                self._link(self._above[column], named(pieces.top))
            if column - 1 in left_edge:
                self._link(left_edge[column - 1], named(pieces.left))
            left_edge[column], below[column] = named(pieces.right), named(pieces.bottom)
            lines = pieces.lines
            self._lines.append(
                Lines(
                    lines.points,
                    lines.offsets,
                    lines.label + first - 1,
                    lines.pixels,
                    lines.start,
                    lines.follows,
                )
            )
            self._sums.append(pieces.sums)
            self._count += len(pieces.sums.count)
        self._above = below
        return self._release()

    def _link(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> None:
        both = (one >= 0) & (other >= 0)
        self._links.append(np.unique(np.stack([one[both], other[both]], axis=1), axis=0))

    def _release(self) -> tuple[NDArray[np.object_], PixelSums] | None:
        """Return the regions that are whole; keep the open ones under new numbers."""
        if not self._count:
            return None
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        links = np.concatenate([*self._links, np.empty((0, 2), np.int64)])
        graph = coo_array((np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), shape=(self._count, self._count))
        groups, group = connected_components(graph, directed=False)
        is_open = np.zeros(groups, bool)
        for border in self._above.values():
            is_open[group[border[border >= 0]]] = True
        sums = _concatenated(PixelSums, self._sums).grouped(group, groups)
        lines = joined(_renumbered(concatenated(self._lines), group))
        number = np.cumsum(is_open) - 1
        held = is_open[lines.label]
        self._lines = [_renumbered(selected(lines, held), number)]
        self._sums, self._links, self._count = [sums.take(is_open)], [], int(is_open.sum())
        self._above = {
            column: np.where(border >= 0, number[group[border]], -1) for column, border in self._above.items()
        }
        large = ~is_open & (sums.count >= self._min_area_px)
        return self._finished(selected(lines, ~held), large, sums)

    def _finished(
        self, lines: Lines, large: NDArray[np.bool_], sums: PixelSums
    ) -> tuple[NDArray[np.object_], PixelSums]:
        kept = large[lines.label] & ((lines.pixels > 0) | (-lines.pixels >= self._min_hole_area_px))
        lines = selected(lines, kept)
        polygons, labels = polygons_of(lines, keep_holes=True)
        return polygons, sums.take(labels)


def _concatenated(kind: type, parts: list[PixelSums]) -> PixelSums:
    return kind(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(kind)))


def _renumbered(lines: Lines, number: NDArray[np.int64]) -> Lines:
    return Lines(lines.points, lines.offsets, number[lines.label], lines.pixels, lines.start, lines.follows)
