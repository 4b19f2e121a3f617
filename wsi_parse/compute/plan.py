"""RunPlan: everything that workers need to know of a run, in one small file that each of them reads."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wsi_parse.compute.sealed import SealedFile
from wsi_parse.errors import DamagedError, StoreError
from wsi_parse.files import real_folder, remove
from wsi_parse.geometry import Box
from wsi_parse.models.contract import State
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.models.weights import Weights
from wsi_parse.objects.chunk_objects import ChunkObjects
from wsi_parse.objects.chunks import ChunkGrid, chunk_grid
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.objects.parameters import ObjectParameters
from wsi_parse.objects.pass_context import PassContext
from wsi_parse.predict.tile_store import TileStore
from wsi_parse.predict.tiles import Selection, TileGrid
from wsi_parse.predict.unreadable import is_needed
from wsi_parse.settings import RunSettings
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask


@dataclass(frozen=True)
class PassPlan:
    """One pass of a run, laid out.

    Parameters
    ----------
    scale_pass : ScalePass
    selection : Selection
        The tiles to predict.
    chunks : ChunkGrid
    """

    scale_pass: ScalePass
    selection: Selection
    chunks: ChunkGrid

    @classmethod
    def of(cls, slide: Slide, scale_pass: ScalePass, tissue: TissueMask, roi: Any, settings: RunSettings) -> "PassPlan":  # noqa: ANN401
        """Lay tiles and chunks over a slide, and choose the tiles with tissue (inside the region of interest)."""
        stride = max(channel.stride for channel in scale_pass.channels)
        frame = slide.frame(scale_pass.read_mpp)
        grid = TileGrid.of(frame, scale_pass.tile_px, settings.tiles.overlap, stride, settings.tiles.block)
        chosen = np.zeros(grid.shape, bool)
        for tile in grid.tiles():
            chosen[tile.row, tile.column] = tissue.touches(tile.core, frame) and _in_roi(tile.core, grid, roi)
        return cls(scale_pass, Selection(grid, chosen), chunk_grid(scale_pass, frame, settings.objects))

    @property
    def strides(self) -> dict[str, int]:
        """Stride of each channel."""
        return {channel.name: channel.stride for channel in self.scale_pass.channels}


def _in_roi(core: Box, grid: TileGrid, roi: Any) -> bool:  # noqa: ANN401 - a shapely geometry or None
    if roi is None:
        return True
    from shapely import box

    (left, top), (right, bottom) = grid.frame.to_level0([(core.x, core.y), (core.right, core.bottom)])
    return bool(box(left, top, right, bottom).intersects(roi))


@dataclass(frozen=True)
class RunPlan:
    """A resolved run: everything that a worker needs.

    Parameters
    ----------
    slide : Slide
        Pickled as path and options.
    model_name : str
    weights : Weights or None
    settings : RunSettings
    state : mapping
        Returned by the model's `prepare`.
    tissue : TissueMask
    roi : shapely geometry or None
        Level-0 pixels.
    passes : tuple of PassPlan
    maps : Path
        Folder of the stored predictions; objects that are made in another way share it.
    objects : Path
        Folder of the stored objects.
    classes : ClassTable
        Of all prompts of the run.
    """

    slide: Slide
    model_name: str
    weights: Weights | None
    settings: RunSettings
    state: State
    tissue: TissueMask
    roi: Any
    passes: tuple[PassPlan, ...]
    maps: Path
    objects: Path
    classes: ClassTable

    @property
    def path(self) -> Path:
        """Path of the plan for the workers."""
        return self.objects / "plan.pickle"

    @cached_property
    def key(self) -> str:
        """Distinguishes this run from all others, also from a run of the same slide in another folder."""
        return hashlib.sha256(str(self.path).encode()).hexdigest()[:16]

    def save(self) -> None:
        """Write the plan for the workers."""
        for index in range(len(self.passes)):
            real_folder(self.objects_path(index, (0, 0)).parent)
        # Marks of an earlier run do not count for this one.
        remove(self.crash_marks)
        self.crash_marks.mkdir()
        _ = self.sealed

    @cached_property
    def sealed(self) -> SealedFile:
        """The file that the workers read; it is written when it is first asked for."""
        return SealedFile.write(self.path, self)

    @staticmethod
    def load(sealed: SealedFile) -> "RunPlan":
        """Read what :meth:`save` wrote in this run.

        Raises
        ------
        StoreError
            The file is not that one, or cannot be read.
        """
        plan = sealed.load()
        if not isinstance(plan, RunPlan):
            raise StoreError(f"{sealed.path.name} is not a plan of a run.")
        return plan

    @cached_property
    def pass_contexts(self) -> tuple[PassContext, ...]:
        """The contexts of the object stage, one per pass."""
        return tuple(
            PassContext(
                self.slide,
                item.scale_pass,
                TileStore(self.maps / item.scale_pass.name, item.selection.grid, item.strides),
                item.selection,
                item.chunks,
                self.tissue,
                self.roi,
                ObjectParameters.of(self.settings.objects, item.chunks.frame),
            )
            for item in self.passes
        )

    def is_predicted(self, index: int, block: tuple[int, int]) -> bool:
        """Return whether a block of a pass is stored completely, as this run wants it.

        A block with places that could not be read is as good as missing to a run that must read everything.
        """
        store, frame = self.pass_contexts[index].store, self.passes[index].selection.grid.frame
        if not store.is_whole(block):
            return False
        return self.slide.options.skip_unreadable or not is_needed(store.unreadable(block), frame, self.roi)

    @property
    def crash_marks(self) -> Path:
        """Folder of the marks of tasks that are running, or whose process died."""
        return self.objects / "crash_marks"

    def has_objects(self, index: int, chunk: tuple[int, int]) -> bool:
        """Return whether the objects of a chunk are stored completely.

        Raises
        ------
        StoreError
            They are stored and cannot be read now: what the system refuses is no damage.
        """
        try:
            ChunkObjects.load(self.objects_path(index, chunk))
        except DamagedError:
            return False
        return True

    def objects_path(self, index: int, chunk: tuple[int, int]) -> Path:
        """Return the path of the objects of a chunk of a pass."""
        return self.objects / self.passes[index].scale_pass.name / f"{chunk[0]}.{chunk[1]}.npz"
