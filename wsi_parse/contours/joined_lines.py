"""Lines that end where an array was cut are joined with those that follow them, without any geometry."""

import numpy as np
from numpy.typing import NDArray

from wsi_parse.contours.rings import ragged_index
from wsi_parse.contours.tracing import Lines


def concatenated(parts: list[Lines]) -> Lines:
    """Return all lines of several parts, in their order."""
    sizes = np.concatenate([np.diff(part.offsets) for part in parts])
    return Lines(
        np.concatenate([part.points for part in parts]),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.concatenate([part.label for part in parts]),
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.start for part in parts]),
        np.concatenate([part.follows for part in parts]),
    )


def joined(lines: Lines) -> Lines:
    """Join the lines that follow one another; each has the label of its first one."""
    if not len(lines.label):
        return lines
    successor = _successors(lines)
    chain, rank = _chains(successor)
    order = np.lexsort((rank, chain))
    _, first = np.unique(chain[order], return_index=True)
    heads, tails = order[first], order[np.concatenate([first[1:], [len(order)]]) - 1]
    points, sizes = _points_of(lines, order), np.diff(lines.offsets)
    return Lines(
        points,
        np.concatenate([[0], np.cumsum(np.add.reduceat(sizes[order], first))]).astype(np.int64),
        lines.label[heads],
        np.add.reduceat(lines.pixels[order], first),
        lines.start[heads],
        lines.follows[tails],
    )


def selected(lines: Lines, which: NDArray[np.bool_]) -> Lines:
    """Return some lines, in their order."""
    index = np.flatnonzero(which)
    sizes = np.diff(lines.offsets)[index]
    return Lines(
        _points_of(lines, index),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        lines.label[index],
        lines.pixels[index],
        lines.start[index],
        lines.follows[index],
    )


def _successors(lines: Lines) -> NDArray[np.int64]:
    """Return for each line the index of the line that continues it; -1 if that line is not known yet."""
    order = np.argsort(lines.start)
    rank = np.searchsorted(lines.start[order], lines.follows)
    rank = np.minimum(rank, len(order) - 1)
    found = lines.start[order][rank] == lines.follows
    return np.where(found, order[rank], -1)


def _chains(successor: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the chain that each line belongs to, and its rank in it; a closed chain begins at its lowest line."""
    chain = np.full(len(successor), -1)
    rank = np.zeros(len(successor), np.int64)
    has_predecessor = np.zeros(len(successor), bool)
    has_predecessor[successor[successor >= 0]] = True
    is_ring = successor == np.arange(len(successor))
    chain[is_ring] = np.flatnonzero(is_ring)
    for first in [*np.flatnonzero(~has_predecessor), *np.flatnonzero(~is_ring & has_predecessor)]:
        line, step = first, 0
        while line >= 0 and chain[line] < 0:
            chain[line], rank[line] = first, step
            line, step = successor[line], step + 1
    return chain, rank


def _points_of(lines: Lines, which: NDArray[np.int64]) -> NDArray[np.float64]:
    sizes = np.diff(lines.offsets)[which]
    return lines.points[ragged_index(lines.offsets[which], sizes)]
