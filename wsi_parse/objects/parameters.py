"""ObjectParameters: the object settings in whole pixels of the lattice that objects are made on."""

import math
from dataclasses import dataclass

from wsi_parse.geometry import Frame
from wsi_parse.models.contract import Pass
from wsi_parse.objects.chunks import ChunkGrid
from wsi_parse.objects.split import CellRule
from wsi_parse.settings import ObjectSettings

# Counted from pixel to pixel, a disc grows by so much too little.
_CENTRES_PX = 0.25


@dataclass(frozen=True)
class ObjectRules:
    """The object settings of a pass in whole pixels of its object lattice.

    Parameters
    ----------
    level : float
        Outline level on the 0..255 scale.
    cell : CellRule
    smallest_cell_px, smallest_region_px, smallest_hole_px : float
        Areas in pixels.
    simplify_px : float or None
    tissue_margin_um : float
    grow_px : float
        How far cells reach around their nuclei; 0: nuclei only.
    stains : bool
    """

    level: float
    cell: CellRule
    smallest_cell_px: float
    smallest_region_px: float
    smallest_hole_px: float
    simplify_px: float | None
    tissue_margin_um: float
    grow_px: float
    stains: bool

    @property
    def halo(self) -> int:
        """What must be seen around a chunk for its cells to be decided and grown."""
        # A pixel that a nucleus may grow to is so far from it, and another nucleus so far from that.
        return max(self.cell.halo, self.cell.reach + 2 * math.ceil(self.grow_px) + 2)

    @classmethod
    def of(cls, settings: ObjectSettings, frame: Frame) -> "ObjectRules":
        """Convert microns to pixels of the object lattice."""
        pixel = frame.pixel_area_um2
        cell = CellRule(
            reach=math.ceil(settings.largest_cell_um / frame.mpp_x),
            join=settings.seed_distance_um / frame.mpp_x,
            depth=max(2, round(settings.depth_um / frame.mpp_x)),
        )
        return cls(
            settings.threshold * 255,
            cell,
            settings.smallest_cell_um2 / pixel,
            settings.smallest_region_um2 / pixel,
            settings.smallest_hole_um2 / pixel,
            settings.simplify_px,
            settings.tissue_margin_um,
            settings.cells_um / frame.mpp_x + _CENTRES_PX if settings.cells_um else 0.0,
            settings.stains,
        )


def chunk_grid(job: Pass, read_frame: Frame, settings: ObjectSettings) -> ChunkGrid:
    """Lay the chunks of a pass on the lattice of its finest outline channel."""
    stride = min(job.channel(recipe.probability).stride for recipe in job.recipes)
    frame = read_frame.coarser(stride)
    has_cells = any(recipe.prompt.kind == "cell" for recipe in job.recipes)
    halo = ObjectRules.of(settings, frame).halo if has_cells else 1
    return ChunkGrid(frame, stride, settings.chunk_px, halo)
