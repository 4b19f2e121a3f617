"""ChunkGrid: the squares of the object lattice in which objects are made."""

from dataclasses import dataclass

import numpy as np

from wsi_parse.geometry import Box, Frame
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.objects.parameters import ObjectParameters
from wsi_parse.predict.tiles import Selection
from wsi_parse.settings import ObjectSettings


@dataclass(frozen=True, slots=True)
class ChunkGrid:
    """Squares of the object lattice; the result depends on their size and halo.

    Parameters
    ----------
    frame : Frame
        The lattice of the model's finest output.
    stride : int
        Read pixels per pixel of `frame`.
    side : int
        Side of a chunk in pixels of `frame`.
    halo : int
        Margin that is read around a chunk, in pixels of `frame`.
    """

    frame: Frame
    stride: int
    side: int
    halo: int

    @property
    def shape(self) -> tuple[int, int]:
        """Number of chunks (rows, columns)."""
        return -(-self.frame.height // self.side), -(-self.frame.width // self.side)

    def core(self, chunk: tuple[int, int]) -> Box:
        """Return the box of a chunk (row, column), cut at the slide's edge, in pixels of `frame`."""
        square = Box(chunk[1] * self.side, chunk[0] * self.side, self.side, self.side)
        return square.intersection(self.frame.box)

    def window(self, chunk: tuple[int, int]) -> Box:
        """Return the core with its halo, in pixels of `frame`; may reach past the slide."""
        return self.core(chunk).expanded(self.halo)

    def window_in_read_frame(self, chunk: tuple[int, int]) -> Box:
        """Return the window in pixels of the frame that tiles are read in."""
        return self.window(chunk).multiplied(self.stride)

    def chunks(self, selection: Selection) -> list[tuple[int, int]]:
        """Return the indices of the chunks that a chosen tile overlaps, row by row."""
        rows, columns = self.shape
        down = [self.core((row, 0)).multiplied(self.stride) for row in range(rows)]
        across = [self.core((0, column)).multiplied(self.stride) for column in range(columns)]
        meets = selection.any_reading([(box.y, box.bottom) for box in down], [(box.x, box.right) for box in across])
        found: list[tuple[int, int]] = [(row, column) for row, column in np.argwhere(meets).tolist()]
        return found


def chunk_grid(scale_pass: ScalePass, read_frame: Frame, settings: ObjectSettings) -> ChunkGrid:
    """Lay the chunks of a scale pass on the lattice of its finest probability channel."""
    stride = scale_pass.object_stride
    frame = read_frame.coarser(stride)
    has_cells = any(recipe.prompt.kind == "cell" for recipe in scale_pass.recipes)
    halo = ObjectParameters.of(settings, frame).halo if has_cells else 1
    return ChunkGrid(frame, stride, settings.chunk_px, halo)
