"""ObjectParameters: the object settings in whole pixels of the lattice that objects are made on."""

import math
from dataclasses import dataclass

from wsi_parse.geometry import Frame
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.objects.chunks import ChunkGrid
from wsi_parse.objects.split import SplitParameters
from wsi_parse.settings import ObjectSettings

# Counted from pixel to pixel, a disc grows by so much too little.
_CENTRES_PX = 0.25


@dataclass(frozen=True)
class ObjectParameters:
    """The object settings of a pass in whole pixels of its object lattice.

    Parameters
    ----------
    level : float
        Outline level on the 0..255 scale.
    cell : SplitParameters
    min_cell_area_px, min_region_area_px, min_hole_area_px : float
        Areas in pixels.
    simplify_px : float or None
    tissue_margin_um : float
    grow_px : float
        How far cells reach around their nuclei; 0: nuclei only.
    stains : bool
    """

    level: float
    cell: SplitParameters
    min_cell_area_px: float
    min_region_area_px: float
    min_hole_area_px: float
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
    def of(cls, settings: ObjectSettings, frame: Frame) -> "ObjectParameters":
        """Convert microns to pixels of the object lattice."""
        pixel = frame.pixel_area_um2
        cell = SplitParameters(
            reach=math.ceil(settings.max_cell_radius_um / frame.mpp_x),
            join=settings.seed_merge_radius_um / frame.mpp_x,
            depth=max(2, round(settings.distance_cap_um / frame.mpp_x)),
        )
        return cls(
            settings.threshold * 255,
            cell,
            settings.min_cell_area_um2 / pixel,
            settings.min_region_area_um2 / pixel,
            settings.min_hole_area_um2 / pixel,
            settings.simplify_px,
            settings.tissue_margin_um,
            settings.cell_expansion_um / frame.mpp_x + _CENTRES_PX if settings.cell_expansion_um else 0.0,
            settings.stains,
        )


def chunk_grid(scale_pass: ScalePass, read_frame: Frame, settings: ObjectSettings) -> ChunkGrid:
    """Lay the chunks of a pass on the lattice of its finest outline channel."""
    stride = min(scale_pass.channel(recipe.probability).stride for recipe in scale_pass.recipes)
    frame = read_frame.coarser(stride)
    has_cells = any(recipe.prompt.kind == "cell" for recipe in scale_pass.recipes)
    halo = ObjectParameters.of(settings, frame).halo if has_cells else 1
    return ChunkGrid(frame, stride, settings.chunk_px, halo)
