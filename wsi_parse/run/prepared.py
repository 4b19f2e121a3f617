"""PreparedRun: an open slide and a resolved request, before anything is computed."""

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
from wsi_parse.models.scale_pass import ScalePass, with_exclusive_classes, with_min_class_probability
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
    """A run before anything is computed: the slide, the model, and its scale passes.

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
        What the user should know before the run starts.
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
        """Path of the slide."""
        return Path(str(self.slide.source)).absolute()

    @property
    def cautions(self) -> tuple[str, ...]:
        """Warnings that apply to every result of this model."""
        return tuple(dict.fromkeys(note for scale_pass in self.scale_passes for note in scale_pass.notes))

    @property
    def offset_level0(self) -> tuple[int, int]:
        """Offset that outputs subtract: the origin of the slide's bounds in the frame of QuPath, else (0, 0)."""
        bounds = self.slide.info.bounds_level0
        if self.settings.export.frame == "level0" or bounds is None:
            return 0, 0
        return bounds.x, bounds.y

    def tissue(self) -> TissueMask:
        """Detect the tissue; only tissue inside the region of interest counts."""
        return replace(detect_tissue(self.slide, self.settings.tissue), region=self.roi)

    def passes(self, tissue: TissueMask) -> tuple[PassPlan, ...]:
        """Lay tiles and chunks over the slide."""
        return tuple(
            PassPlan.of(self.slide, scale_pass, tissue, self.roi, self.settings) for scale_pass in self.scale_passes
        )


def resolve_run(path: Path, settings: RunSettings, *, require_weights: bool = True) -> PreparedRun:
    """Open a slide and resolve a run; of the pixels only a small part is read.

    Parameters
    ----------
    path : Path
    settings : RunSettings
    require_weights : bool
        False if the run is only described: weights that are not installed are then a note, not an error.

    Raises
    ------
    UsageError
        If the prompts, the model or the region of interest are invalid.
    SlideError
        If the slide cannot be used.
    """
    request = resolve(settings, require_weights=require_weights)
    prompts, notes = request.prompts, request.notes
    settings = _with_threads(request.settings)
    model = MODELS.get(settings.model.name)
    weights = None
    try:
        weights = model.find_weights(settings.model)
    except WeightsError as error:
        if require_weights:
            raise
        notes += (str(error),)
    if settings.model.weights is not None and weights is None and require_weights:
        raise UsageError(
            f"The model {settings.model.name} has no weights.", "Leave --weights out, or choose another --model."
        )
    if settings.model.organ is not None and not model.spec.free_text:
        notes += (f"--organ is ignored, because the model {settings.model.name} does not read words.",)
    scale_passes = model.plan(prompts, settings.model)
    _check_passes(scale_passes, prompts, settings.model.name)
    if settings.objects.exclusive_classes:
        scale_passes = tuple(with_exclusive_classes(scale_pass) for scale_pass in scale_passes)
    if settings.objects.min_class_probability is not None:
        scale_passes = tuple(
            with_min_class_probability(scale_pass, settings.objects.min_class_probability)
            for scale_pass in scale_passes
        )
        if not any(recipe.classes for scale_pass in scale_passes for recipe in scale_pass.recipes):
            notes += (
                "objects.min_class_probability is ignored, because the model "
                f"{settings.model.name} gives no class probabilities for these prompts.",
            )
    opened = SlideOptions(settings.slide.mpp, settings.slide.override_mpp, settings.slide.reader)
    slide = open_slide(path, opened)
    try:
        notes += warn_if_upsampled(slide, scale_passes, settings.model.name)
        roi, roi_hash = _region_of_interest(slide, settings.slide.roi)
    except BaseException:
        slide.close()
        raise
    decided = repr([replace(scale_pass, notes=()) for scale_pass in scale_passes])
    digest = settings.result_digest(
        __version__, slide.info.fingerprint, str(weights and weights.sha256), roi_hash, decided
    )
    prepared = PreparedRun(slide, settings, prompts, model.spec, weights, scale_passes, roi, digest, notes)
    return replace(prepared, notes=tuple(dict.fromkeys((*notes, *prepared.cautions))))


def _check_passes(scale_passes: Sequence[ScalePass], prompts: Sequence[Prompt], model: str) -> None:
    """Hold a plan of a model to its contract."""
    remedy = "Report this error to the author of the model."
    if len({scale_pass.name for scale_pass in scale_passes}) < len(scale_passes):
        raise ModelError(f"Two passes of {model} have the same name.", remedy)
    answered = sorted(recipe.prompt.name for scale_pass in scale_passes for recipe in scale_pass.recipes)
    if answered != sorted(prompt.name for prompt in prompts):
        raise ModelError(f"The model {model} does not answer every prompt in exactly one recipe.", remedy)


def _region_of_interest(slide: Slide, path: Path | None) -> tuple[Any, str]:
    """Read the region in level-0 pixels, and its hash; None and "" if there is none."""
    if path is None:
        return None, ""
    bounds = slide.info.bounds_level0
    # The frame of the outputs does not change how a region is read.
    return read_roi(path, (bounds.x, bounds.y) if bounds else (0, 0)), sha256_of(path) or ""


# The user is warned if the pixels of the slide are more than this factor wider than those that the model reads.
_MAX_UPSAMPLING = 1.5


def warn_if_upsampled(slide: Slide, scale_passes: Sequence[ScalePass], model: str) -> tuple[str, ...]:
    """Warn if a slide is too coarse for a scale pass."""
    pixel_um = max(slide.pixel_size.x_um, slide.pixel_size.y_um)
    return tuple(
        f"A pixel of {slide.name} is {pixel_um:.3g} µm wide, but {model} reads pixels of {scale_pass.read_mpp:.3g} µm: "
        "the slide is enlarged, and objects that need finer detail are missed."
        for scale_pass in scale_passes
        if pixel_um > _MAX_UPSAMPLING * scale_pass.read_mpp
    )


def _with_threads(settings: RunSettings) -> RunSettings:
    """Decide how many threads a network uses: a worker's share of the processor."""
    if settings.model.threads is not None:
        return settings
    threads = max(1, (settings.compute.threads or os.cpu_count() or 1) // max(1, settings.compute.workers))
    return settings.model_copy(update={"model": settings.model.model_copy(update={"threads": threads})})
