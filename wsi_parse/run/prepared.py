"""PreparedRun: a slide and a decided request, before anything is computed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wsi_parse._version import __version__
from wsi_parse.annotations.roi import read_roi
from wsi_parse.compute.plan import PassPlan
from wsi_parse.errors import ModelError, UsageError, WeightsError
from wsi_parse.models.contract import ModelSpec
from wsi_parse.models.scale_pass import ScalePass, exclusive_classes, min_class_probability
from wsi_parse.models.weights import Weights
from wsi_parse.prompts import Prompt
from wsi_parse.registry import MODELS
from wsi_parse.run.manifest import sha256_of
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import RunSettings
from wsi_parse.slides import Slide, SlideOptions, open_slide
from wsi_parse.tissue.detection import detect_tissue
from wsi_parse.tissue.mask import TissueMask


@dataclass(frozen=True)
class PreparedRun:
    """A run before anything is computed: what is read, with what, and how it is cut up.

    Parameters
    ----------
    slide : Slide
    settings : RunSettings
    prompts : tuple of Prompt
    spec : ModelSpec
    weights : Weights or None
    scale_passes : tuple of ScalePass
    roi : shapely geometry or None
        Level-0 pixels.
    digest : str
    notes : tuple of str
        What the user should know before it starts.
    """

    slide: Slide
    settings: RunSettings
    prompts: tuple[Prompt, ...]
    spec: ModelSpec
    weights: Weights | None
    scale_passes: tuple[ScalePass, ...]
    roi: Any
    digest: str
    notes: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Where the slide lies."""
        return Path(str(self.slide.source)).absolute()

    @property
    def cautions(self) -> tuple[str, ...]:
        """What every result of this model should be read with."""
        return tuple(dict.fromkeys(note for scale_pass in self.scale_passes for note in scale_pass.notes))

    @property
    def offset_level0(self) -> tuple[int, int]:
        """What outputs subtract: the origin of the slide's bounds, in the frame QuPath shows."""
        bounds = self.slide.info.bounds_level0
        if self.settings.export.frame == "level0" or bounds is None:
            return 0, 0
        return bounds.x, bounds.y

    def tissue(self) -> TissueMask:
        """Find the tissue; what counts of it is what lies in the region."""
        return replace(detect_tissue(self.slide, self.settings.tissue), region=self.roi)

    def passes(self, tissue: TissueMask) -> tuple[PassPlan, ...]:
        """Lay tiles and chunks over the slide."""
        return tuple(
            PassPlan.of(self.slide, scale_pass, tissue, self.roi, self.settings) for scale_pass in self.scale_passes
        )


def prepare(path: Path, settings: RunSettings, *, require_weights: bool = True) -> PreparedRun:
    """Open a slide and decide a run; reads no pixels.

    Parameters
    ----------
    path : Path
    settings : RunSettings
    require_weights : bool
        False: only to say what a run would be; weights that are not installed are a note then, not an error.

    Raises
    ------
    UsageError
        Where prompts, model or region cannot be.
    SlideError
        Where the slide cannot be used.
    """
    settings, prompts, notes = resolve(settings, require_weights=require_weights)
    settings = _with_threads(settings)
    model = MODELS.get(settings.model.name)
    weights = None
    try:
        weights = model.find_weights(settings.model)
    except WeightsError as error:
        if require_weights:
            raise
        notes += (str(error),)
    if settings.model.weights is not None and weights is None and require_weights:
        raise UsageError(f"The model {settings.model.name} has no weights.", "Leave --weights out, or say --model.")
    if settings.model.organ is not None and not model.spec.free_text:
        notes += (f"The model {settings.model.name} reads no words: --organ changes nothing.",)
    scale_passes = model.plan(prompts, settings.model)
    if len({scale_pass.name for scale_pass in scale_passes}) < len(scale_passes):
        raise ModelError(
            f"Two passes of {settings.model.name} have one name.", "This is a defect of the model plug-in."
        )
    if settings.objects.exclusive_classes:
        scale_passes = tuple(exclusive_classes(scale_pass) for scale_pass in scale_passes)
    if settings.objects.min_class_probability is not None:
        scale_passes = tuple(
            min_class_probability(scale_pass, settings.objects.min_class_probability) for scale_pass in scale_passes
        )
    opened = SlideOptions(settings.slide.mpp, settings.slide.override_mpp, settings.slide.reader)
    slide = open_slide(path, opened)
    notes += warn_if_upsampled(slide, scale_passes, settings.model.name)
    roi, roi_hash = None, ""
    if settings.slide.roi is not None:
        roi_hash = sha256_of(settings.slide.roi) or ""
        bounds = slide.info.bounds_level0
        # What the outputs count from moves no input.
        roi = read_roi(settings.slide.roi, (bounds.x, bounds.y) if bounds else (0, 0))
    decided = repr([replace(scale_pass, notes=()) for scale_pass in scale_passes])
    digest = settings.result_digest(
        __version__, slide.info.fingerprint, str(weights and weights.sha256), roi_hash, decided
    )
    prepared = PreparedRun(slide, settings, prompts, model.spec, weights, scale_passes, roi, digest, notes)
    return replace(prepared, notes=tuple(dict.fromkeys((*notes, *prepared.cautions))))


# A slide's pixels may be so much wider than those that a model reads before it is told.
_COARSER = 1.5


def warn_if_upsampled(slide: Slide, scale_passes: Sequence[ScalePass], model: str) -> tuple[str, ...]:
    """Warn where a slide is too coarse for what is looked for."""
    pixel_um = max(slide.pixel_size.x_um, slide.pixel_size.y_um)
    return tuple(
        f"{slide.name} has {pixel_um:.3g} um/px and {model} reads {scale_pass.read_mpp:.3g}: it is enlarged, "
        "and what needs finer detail is missed."
        for scale_pass in scale_passes
        if pixel_um > _COARSER * scale_pass.read_mpp
    )


def _with_threads(settings: RunSettings) -> RunSettings:
    """Decide how many threads a network computes with: a worker's share of the processor."""
    if settings.model.threads is not None:
        return settings
    threads = max(1, (settings.compute.threads or os.cpu_count() or 1) // max(1, settings.compute.workers))
    return settings.model_copy(update={"model": settings.model.model_copy(update={"threads": threads})})
