"""Prepared: a run decided before anything is computed: prompts, model, slide, region, and the hash of them all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsi_parse import __version__
from wsi_parse.errors import UsageError
from wsi_parse.manifest import sha256_of
from wsi_parse.models.base import ModelSpec, Pass
from wsi_parse.plan import PassPlan
from wsi_parse.prompts import Prompt
from wsi_parse.registry import MODELS
from wsi_parse.roi import read_roi
from wsi_parse.settings import RunSettings
from wsi_parse.slides import Slide, SlideOptions, open_slide
from wsi_parse.tissue import TissueMask, detect_tissue


@dataclass(frozen=True)
class Prepared:
    """A run before anything is computed: what is read, with what, and how it is cut up.

    Parameters
    ----------
    slide : Slide
    settings : RunSettings
    prompts : tuple of Prompt
    spec : ModelSpec
    jobs : tuple of Pass
    roi : shapely geometry or None
        Level-0 pixels.
    digest : str
    """

    slide: Slide
    settings: RunSettings
    prompts: tuple[Prompt, ...]
    spec: ModelSpec
    jobs: tuple[Pass, ...]
    roi: Any
    digest: str

    @property
    def offset_level0(self) -> tuple[int, int]:
        """What outputs subtract: the origin of the slide's bounds, in the frame QuPath shows."""
        bounds = self.slide.info.bounds_level0
        if self.settings.export.frame == "level0" or bounds is None:
            return 0, 0
        return bounds.x, bounds.y

    def tissue(self) -> TissueMask:
        """Find the tissue."""
        return detect_tissue(self.slide, self.settings.tissue)

    def passes(self, tissue: TissueMask) -> tuple[PassPlan, ...]:
        """Lay tiles and chunks over the slide."""
        return tuple(PassPlan.of(self.slide, job, tissue, self.roi, self.settings) for job in self.jobs)


def prepare(path: Path, settings: RunSettings) -> Prepared:
    """Open a slide and decide a run; reads no pixels.

    Raises
    ------
    UsageError
        Where prompts, model or region cannot be.
    SlideError
        Where the slide cannot be used.
    """
    prompts = parse_prompts(settings.prompts)
    name = choose_model(settings.model.name, prompts)
    model = MODELS.get(name)
    jobs = model.plan(prompts, settings.model.field_um)
    opened = SlideOptions(settings.slide.mpp, settings.slide.override_mpp, settings.slide.reader)
    slide = open_slide(path, opened)
    _ = slide.pixel_size
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"name": name})})
    roi, roi_hash = None, ""
    if settings.slide.roi is not None:
        roi_hash = sha256_of(settings.slide.roi) or ""
        bounds = slide.info.bounds_level0
        in_qupath = settings.export.frame == "qupath" and bounds is not None
        roi = read_roi(settings.slide.roi, (bounds.x, bounds.y) if in_qupath and bounds else (0, 0))
    digest = settings.result_digest(
        __version__, slide.info.fingerprint, name, str(model.spec.weights_sha256), roi_hash, repr(jobs)
    )
    return Prepared(slide, settings, prompts, model.spec, jobs, roi, digest)


def parse_prompts(texts: tuple[str, ...]) -> tuple[Prompt, ...]:
    """Resolve the words of a run; two that mean the same become one.

    Raises
    ------
    UsageError
        Where there are none.
    """
    prompts = {prompt.name: prompt for prompt in (Prompt.parse(text) for text in texts if text.strip())}
    if not prompts:
        raise UsageError("Nothing to look for.", 'Say it in words: --prompt "nuclei".')
    return tuple(prompts.values())


# Best first; one that is not installed is passed over.
_PREFERENCE = ("biomedparse", "mini", "stain")


def choose_model(name: str, prompts: tuple[Prompt, ...]) -> str:
    """Resolve "auto" to the best model that knows every prompt; the last one's error where none does."""
    if name != "auto":
        return name
    known = [candidate for candidate in _PREFERENCE if candidate in MODELS.names()]
    for candidate in known:
        spec = MODELS.get(candidate).spec
        if spec.free_text or all(prompt.name in spec.prompts for prompt in prompts):
            return candidate
    return known[-1]
