"""ObjectParameters: the object settings in whole pixels of the lattice that objects are made on."""

import math
from dataclasses import dataclass

from wsi_parse.geometry import Frame
from wsi_parse.objects.split import SplitParameters
from wsi_parse.settings import ObjectSettings

# Distances between pixel centres make an expanded disc too small by this much, which is added.
_CENTRES_PX = 0.25
# Lymphocytes and the nuclei of small tumour cells lie within this distance of their edge.
_USUAL_DEPTH_UM = 2.0


@dataclass(frozen=True)
class ObjectParameters:
    """The object settings of a scale pass in pixels of its object lattice.

    Parameters
    ----------
    threshold_255 : float
        The threshold on the 0..255 scale, at which contours are traced.
    split : SplitParameters
    min_cell_area_px, min_region_area_px, min_hole_area_px : float
        Areas in pixels of the object lattice.
    simplify_px : float or None
        Tolerance of simplification; None chooses one for each object.
    tissue_margin_um : float
        Cells up to this far from tissue are kept.
    expansion_px : float
        How far cells reach around their nuclei; with 0, objects are nuclei.
    stains : bool
        Whether stain densities are measured.
    """

    threshold_255: float
    split: SplitParameters
    min_cell_area_px: float
    min_region_area_px: float
    min_hole_area_px: float
    simplify_px: float | None
    tissue_margin_um: float
    expansion_px: float
    stains: bool

    @property
    def halo(self) -> int:
        """Margin around a chunk, in pixels, on which its split and expanded cells depend."""
        # A nucleus expands by `expansion_px`, and another nucleus up to `expansion_px` farther away limits it.
        return max(self.split.halo, self.split.max_radius + 2 * math.ceil(self.expansion_px) + 2)

    @classmethod
    def of(cls, settings: ObjectSettings, frame: Frame) -> "ObjectParameters":
        """Convert microns to pixels of the object lattice."""
        pixel = frame.pixel_area_um2
        split = SplitParameters(
            max_radius=math.ceil(settings.max_cell_radius_um / frame.mpp_x),
            seed_merge_radius=settings.seed_merge_radius_um / frame.mpp_x,
            distance_cap=max(2, round(settings.distance_cap_um / frame.mpp_x)),
            usual_depth=max(1, round(_USUAL_DEPTH_UM / frame.mpp_x)),
        )
        return cls(
            settings.threshold * 255,
            split,
            settings.min_cell_area_um2 / pixel,
            settings.min_region_area_um2 / pixel,
            settings.min_hole_area_um2 / pixel,
            settings.simplify_px,
            settings.tissue_margin_um,
            settings.cell_expansion_um / frame.mpp_x + _CENTRES_PX if settings.cell_expansion_um else 0.0,
            settings.stains,
        )
