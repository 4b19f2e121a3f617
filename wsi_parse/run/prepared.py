"""PreparedRun: a request and an open slide, before anything is computed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import shapely

from wsi_parse.annotations.roi import read_roi
from wsi_parse.cautions import Caution, coarse_slide, roi_of_another_slide, small_region
from wsi_parse.compute.plan import PassPlan
from wsi_parse.errors import UsageError
from wsi_parse.models.contract import ModelSpec
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.models.weights import Weights
from wsi_parse.predict.unreadable import inside
from wsi_parse.prompts import Prompt
from wsi_parse.run.digests import Digests
from wsi_parse.run.manifest import sha256_of
from wsi_parse.run.resolve import Request
from wsi_parse.settings import RunSettings
from wsi_parse.slides import Slide, SlideOptions, open_slide
from wsi_parse.tissue.detection import detect_tissue
from wsi_parse.tissue.mask import TissueMask


@dataclass(frozen=True)
class PreparedRun:
    """A run before anything is computed: what is looked for, and on which slide.

    Parameters
    ----------
    request : Request
    slide : Slide
    roi : shapely geometry or None
        Level-0 pixels.
    digests : Digests
    notes : tuple of str
        What the user should know of this slide; the notes of the request are not among them.
    cautions : tuple of Caution
        What is plausible but wrong about the slide or its region, as far as it is known without its pixels.
    file_name : str
        The name of the slide as its reader gives it; `slide` may have another name, which the user gave.
    """

    request: Request
    slide: Slide
    roi: Any
    digests: Digests
    notes: tuple[str, ...] = ()
    cautions: tuple[Caution, ...] = ()
    file_name: str = ""

    @property
    def settings(self) -> RunSettings:
        """The resolved settings."""
        return self.request.settings

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """What is looked for."""
        return self.request.prompts

    @property
    def spec(self) -> ModelSpec:
        """What is known of the model."""
        return self.request.model.spec

    @property
    def weights(self) -> Weights | None:
        """The weights of the model."""
        return self.request.weights

    @property
    def scale_passes(self) -> tuple[ScalePass, ...]:
        """At which scales the slide is read, and what is made of the maps."""
        return self.request.scale_passes

    @property
    def path(self) -> Path:
        """Path of the slide."""
        return Path(str(self.slide.source)).absolute()

    def tissue(self) -> TissueMask:
        """Detect the tissue; only tissue inside the region of interest counts.

        Raises
        ------
        SlideReadError
            Stored tiles in the region are damaged, so that it is not known whether there is tissue.
        """
        tissue = replace(detect_tissue(self.slide, self.settings.tissue), region=self.roi)
        if not self.slide.options.skip_unreadable:
            for tile in inside(tissue.unreadable, self.roi):
                self.slide.read(tile)
        return tissue

    def passes(self, tissue: TissueMask) -> tuple[PassPlan, ...]:
        """Lay tiles and chunks over the slide."""
        return tuple(
            PassPlan.of(self.slide, scale_pass, tissue, self.roi, self.settings) for scale_pass in self.scale_passes
        )


def resolve_run(path: Path, request: Request) -> PreparedRun:
    """Open a slide for a request; of the pixels only a small part is read.

    Parameters
    ----------
    path : Path
    request : Request

    Raises
    ------
    UsageError
        If the region of interest is invalid.
    SlideError
        If the slide cannot be used.
    """
    settings = request.settings
    slide = open_slide(path, SlideOptions.of(settings.slide))
    file_name = slide.name
    if settings.slide.name is not None:
        slide.info = replace(slide.info, name=settings.slide.name)
    try:
        roi, roi_hash, of_another = _region_of_interest(slide, settings.slide.roi, {slide.name, file_name})
        cautions = (
            *cautions_before(slide, request),
            *of_another,
        )
        digests = Digests.of(settings, slide, request.scale_passes, request.prompts, request.weights, roi_hash)
    except BaseException:
        slide.close()
        raise
    return PreparedRun(request, slide, roi, digests, slide.info.notes, cautions, file_name)


def _region_of_interest(slide: Slide, path: Path | None, names: set[str]) -> tuple[Any, str, tuple[Caution, ...]]:
    """Read the region in level-0 pixels, its hash, and cautions: it is of another slide than these names, or small."""
    if path is None:
        return None, "", ()
    info = slide.info
    # The frame of the outputs does not change how a region is read.
    roi = read_roi(path, info.offset_in_qupath)
    other = roi.slide is not None and roi.slide.is_other(names, info.fingerprint, (info.width, info.height))
    on_slide = shapely.intersection(roi.area, shapely.box(0, 0, info.width, info.height)).area
    if not on_slide:
        left, top, right, bottom = shapely.bounds(roi.area).round().astype(int).tolist()
        drawn = f" It was drawn on another slide, {roi.slide.name}." if other and roi.slide else ""
        raise UsageError(
            f"The region of interest in {path.name} (x {left} to {right}, y {top} to {bottom}) lies outside of the "
            f"slide, which has {info.width} x {info.height} px.{drawn}",
            "Give a region that was drawn on this slide.",
        )
    cautions = (roi_of_another_slide(roi.slide.name),) if other and roi.slide else ()
    area_um2 = on_slide * slide.pixel_size.x_um * slide.pixel_size.y_um
    if area_um2 < _SMALL_REGION_UM2:
        cautions = (*cautions, small_region(area_um2))
    return roi.area, sha256_of(path) or "", cautions


# A square of 50 µm: a small part of a field, with some tens of nuclei at most.
_SMALL_REGION_UM2 = 2_500
# There is a caution if the pixels of the slide are more than this factor wider than those that the model reads.
_MAX_UPSAMPLING = 1.5


def cautions_before(slide: Slide, request: Request) -> tuple[Caution, ...]:
    """Return what is plausible but wrong about a slide and about what is looked for, without looking at pixels."""
    of_prompts = [caution for scale_pass in request.scale_passes for caution in scale_pass.cautions]
    upsampled = warn_if_upsampled(slide, request.scale_passes, request.settings.model.name)
    return (*slide.info.cautions, *upsampled, *of_prompts)


def warn_if_upsampled(slide: Slide, scale_passes: Sequence[ScalePass], model: str) -> tuple[Caution, ...]:
    """Caution if a slide is too coarse for a scale pass."""
    pixel_um = max(slide.pixel_size.x_um, slide.pixel_size.y_um)
    return tuple(
        coarse_slide(pixel_um, scale_pass.read_mpp, model)
        for scale_pass in scale_passes
        if pixel_um > _MAX_UPSAMPLING * scale_pass.read_mpp
    )
