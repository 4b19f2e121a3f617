"""The stored chunks from which the objects in a box are made: a few files, whatever the size of the slide."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi_parse.compute.plan import RunPlan
from wsi_parse.geometry import Box, Frame
from wsi_parse.objects.chunk_objects import ChunkObjects
from wsi_parse.objects.regions import OPPOSITE_BORDERS

# How far simplification and the grid of QuPath may move an outline out of the pixels it was traced around.
_MOVED_PX = 3


def load_chunks_in(
    plan: RunPlan, index: int, box_level0: Box, load: Callable[[Path], ChunkObjects] = ChunkObjects.load
) -> dict[tuple[int, int], ChunkObjects]:
    """Load what is needed for the objects of a scale pass that have a point in a box.

    These are the chunks whose cells can reach into the box, and the pieces of all regions in it: a region is followed
    from chunk to chunk until it is whole, so that it is the same as among all objects, and no cut shows in the box.

    Parameters
    ----------
    plan : RunPlan
    index : int
        Of the scale pass.
    box_level0 : Box
    load : callable
        Loads a chunk by its path.

    Returns
    -------
    dict of chunk (row, column) to ChunkObjects
        In lattice order. They hold some objects outside the box, too, but no region that is not whole.
    """
    item = plan.passes[index]
    box = _level0(plan).box_in(box_level0, item.chunks.frame).expanded(_MOVED_PX)
    loader = _Loader(plan, index, load, frozenset(item.chunks.chunks(item.selection)))
    near = [chunk for chunk in loader.stored if item.chunks.window(chunk).intersection(box).area]
    for chunk in near:
        loader.get(chunk)
        if item.chunks.core(chunk).intersection(box).area:
            loader.want_all(chunk)
    loader.follow()
    return {chunk: loader.wanted_of(chunk, cells=chunk in near) for chunk in sorted(loader.loaded)}


def _level0(plan: RunPlan) -> Frame:
    info, size = plan.slide.info, plan.slide.pixel_size
    return Frame(info.width, info.height, size.x_um, size.y_um, 1.0, 1.0)


@dataclass
class _Loader:
    """Loads each chunk once, and follows regions over the borders of chunks."""

    plan: RunPlan
    index: int
    load: Callable[[Path], ChunkObjects]
    stored: frozenset[tuple[int, int]]
    loaded: dict[tuple[int, int], ChunkObjects] = field(default_factory=dict)
    # For each recipe and chunk which parts are needed; part 0 is "no part".
    _wanted: dict[tuple[int, tuple[int, int]], NDArray[np.bool_]] = field(default_factory=dict)
    _waiting: deque[tuple[int, tuple[int, int]]] = field(default_factory=deque)

    def get(self, chunk: tuple[int, int]) -> ChunkObjects:
        if chunk not in self.loaded:
            self.loaded[chunk] = self.load(self.plan.objects_path(self.index, chunk))
        return self.loaded[chunk]

    def want_all(self, chunk: tuple[int, int]) -> None:
        for recipe, pieces in self.get(chunk).pieces.items():
            self._want(recipe, chunk, np.arange(1, len(pieces.sums.count) + 1))

    def _want(self, recipe: int, chunk: tuple[int, int], parts: NDArray[np.int64]) -> None:
        count = len(self.get(chunk).pieces[recipe].sums.count)
        wanted = self._wanted.setdefault((recipe, chunk), np.zeros(count + 1, bool))
        if not wanted[parts].all():
            wanted[parts] = True
            self._waiting.append((recipe, chunk))

    def follow(self) -> None:
        """Load the neighbours into which wanted parts continue, and want the parts there."""
        while self._waiting:
            recipe, chunk = self._waiting.popleft()
            pieces, wanted = self.get(chunk).pieces[recipe], self._wanted[recipe, chunk]
            for side, (opposite, down, right) in OPPOSITE_BORDERS.items():
                neighbour = (chunk[0] + down, chunk[1] + right)
                touching = wanted[getattr(pieces, side)]
                if neighbour in self.stored and touching.any():
                    facing = getattr(self.get(neighbour).pieces[recipe], opposite)[touching]
                    self._want(recipe, neighbour, np.unique(facing[facing > 0]))

    def wanted_of(self, chunk: tuple[int, int], *, cells: bool) -> ChunkObjects:
        found = self.loaded[chunk]
        none = np.zeros(1, bool)
        pieces = {recipe: part.only(self._wanted.get((recipe, chunk), none)) for recipe, part in found.pieces.items()}
        return replace(found, pieces=pieces) if cells else ChunkObjects.of([], pieces)
