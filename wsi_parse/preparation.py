"""Prepared: a run decided before anything is computed: prompts, model, slide, region, and the hash of them all."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from wsi_parse import __version__
from wsi_parse.errors import ModelError, UnknownPromptError, UsageError, WeightsError
from wsi_parse.exporters.formats import check_formats
from wsi_parse.manifest import sha256_of
from wsi_parse.models.base import ModelSpec, Pass, one_class, unsure_below
from wsi_parse.models.weights import Weights
from wsi_parse.plan import PassPlan
from wsi_parse.prompts import Prompt, normalise, singular
from wsi_parse.registry import MODELS
from wsi_parse.roi import read_roi
from wsi_parse.settings import ClassSettings, ModelSettings, RunSettings
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
    weights : Weights or None
    jobs : tuple of Pass
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
    jobs: tuple[Pass, ...]
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
        return tuple(dict.fromkeys(note for job in self.jobs for note in job.notes))

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
        return tuple(PassPlan.of(self.slide, job, tissue, self.roi, self.settings) for job in self.jobs)


def prepare(path: Path, settings: RunSettings, *, to_run: bool = True) -> Prepared:
    """Open a slide and decide a run; reads no pixels.

    Parameters
    ----------
    path : Path
    settings : RunSettings
    to_run : bool
        False: only to say what a run would be; weights that are not installed are a note then, not an error.

    Raises
    ------
    UsageError
        Where prompts, model or region cannot be.
    SlideError
        Where the slide cannot be used.
    """
    settings, prompts, notes = choose(settings, to_run=to_run)
    settings = _with_threads(settings)
    model = MODELS.get(settings.model.name)
    weights = None
    try:
        weights = model.find_weights(settings.model)
    except WeightsError as error:
        if to_run:
            raise
        notes += (str(error),)
    if settings.model.weights is not None and weights is None and to_run:
        raise UsageError(f"The model {settings.model.name} has no weights.", "Leave --weights out, or say --model.")
    if settings.model.organ is not None and not model.spec.free_text:
        notes += (f"The model {settings.model.name} reads no words: --organ changes nothing.",)
    jobs = model.plan(prompts, settings.model)
    if len({job.name for job in jobs}) < len(jobs):
        raise ModelError(
            f"Two passes of {settings.model.name} have one name.", "This is a defect of the model plug-in."
        )
    if settings.objects.one_class:
        jobs = tuple(one_class(job) for job in jobs)
    if settings.objects.unsure_below is not None:
        jobs = tuple(unsure_below(job, settings.objects.unsure_below) for job in jobs)
    opened = SlideOptions(settings.slide.mpp, settings.slide.override_mpp, settings.slide.reader)
    slide = open_slide(path, opened)
    notes += _enlarged(slide, jobs, settings.model.name)
    roi, roi_hash = None, ""
    if settings.slide.roi is not None:
        roi_hash = sha256_of(settings.slide.roi) or ""
        bounds = slide.info.bounds_level0
        in_qupath = settings.export.frame == "qupath" and bounds is not None
        roi = read_roi(settings.slide.roi, (bounds.x, bounds.y) if in_qupath and bounds else (0, 0))
    decided = repr([replace(job, notes=()) for job in jobs])
    digest = settings.result_digest(
        __version__, slide.info.fingerprint, str(weights and weights.sha256), roi_hash, decided
    )
    prepared = Prepared(slide, settings, prompts, model.spec, weights, jobs, roi, digest, notes)
    return replace(prepared, notes=tuple(dict.fromkeys((*notes, *prepared.cautions))))


# A slide's pixels may be so much wider than those that a model reads before it is told.
_COARSER = 1.5


def _enlarged(slide: Slide, jobs: Sequence[Pass], model: str) -> tuple[str, ...]:
    """Warn where a slide is too coarse for what is looked for."""
    pixel_um = max(slide.pixel_size.x_um, slide.pixel_size.y_um)
    return tuple(
        f"{slide.name} has {pixel_um:.3g} um/px and {model} reads {job.read_mpp:.3g}: it is enlarged, and what needs "
        "finer detail is missed."
        for job in jobs
        if pixel_um > _COARSER * job.read_mpp
    )


def _with_threads(settings: RunSettings) -> RunSettings:
    """Decide how many threads a network computes with: a worker's share of the processor."""
    if settings.model.threads is not None:
        return settings
    threads = max(1, (settings.compute.threads or os.cpu_count() or 1) // max(1, settings.compute.workers))
    return settings.model_copy(update={"model": settings.model.model_copy(update={"threads": threads})})


EVERYTHING = "all"


def choose(settings: RunSettings, *, to_run: bool = True) -> tuple[RunSettings, tuple[Prompt, ...], tuple[str, ...]]:
    """Decide what is looked for, and by which model.

    Parameters
    ----------
    settings : RunSettings
    to_run : bool
        False: a model that is not installed may be chosen.

    Returns
    -------
    settings : RunSettings
        With the model's name in place of "auto", and the targets in place of "all".
    prompts : tuple of Prompt
        Words that mean the same are one.
    notes : tuple of str

    Raises
    ------
    UsageError
        Where there are no prompts, no model for them, or a format that cannot be written here.
    """
    check_formats(settings.export.formats)
    texts = [text.strip() for text in settings.prompts if text.strip()]
    if not texts:
        raise UsageError("Nothing to look for.", 'Say it in words: --prompt "nuclei".')
    everything = any(text.lower() == EVERYTHING for text in texts)
    asked = _resolved([text for text in texts if text.lower() != EVERYTHING], settings.objects.free_text_kind)
    name, notes = choose_model(settings.model, asked, to_run=to_run)
    model = settings.model.model_copy(update={"name": name})
    settings = settings.model_copy(update={"model": model})
    if everything:
        texts = [*MODELS.get(name).targets(model), *(text for text in texts if text.lower() != EVERYTHING)]
        objects = settings.objects.model_copy(update={"one_class": True})
        settings = settings.model_copy(update={"prompts": tuple(texts), "objects": objects})
        notes += (_all_means(name, model),)
    prompts = _resolved(texts, settings.objects.free_text_kind)
    prompts, unused = _called(prompts, settings.export.classes)
    return settings, prompts, notes + _renamed(texts) + unused


def _all_means(name: str, model: ModelSettings) -> str:
    """Say what "all" is, and what it leaves out."""
    chosen, known = MODELS.get(name).targets(model), MODELS.get(name).spec.prompts
    where = f" in {model.organ}" if model.organ and len(chosen) < len(known) else ""
    left = [target for target in known if target not in chosen]
    out = f"; not in its list, and left out: {', '.join(left)}" if left else ""
    return f'"all" is what {name} knows{where}: {", ".join(chosen)}{out}.'


def _renamed(texts: Sequence[str]) -> tuple[str, ...]:
    """Say which words are taken for others."""
    parsed = [(text, Prompt.parse(text)) for text in texts]
    return tuple(
        f"{text!r} is taken as {prompt.name!r}."
        for text, prompt in parsed
        if prompt.known and singular(prompt.name) not in singular(normalise(text))
    )


def _called(
    prompts: tuple[Prompt, ...], classes: Mapping[str, ClassSettings]
) -> tuple[tuple[Prompt, ...], tuple[str, ...]]:
    """Give prompts the classes that the settings say; and say which of them nothing asks for."""
    chosen = {Prompt.parse(words).name: said for words, said in classes.items()}
    called = []
    for prompt in prompts:
        said = chosen.pop(prompt.name, None) or ClassSettings()
        called.append(replace(prompt, class_name=said.name or prompt.class_name, colour=said.colour or prompt.colour))
    return tuple(called), tuple(f"export.classes: no prompt asks for {name!r}." for name in chosen)


def _resolved(texts: Sequence[str], free_text_kind: Literal["auto", "cell", "region"]) -> tuple[Prompt, ...]:
    """Prompts of these words, each name once."""
    found: dict[str, Prompt] = {}
    for prompt in map(Prompt.parse, texts):
        if not prompt.known and free_text_kind != "auto":
            prompt = replace(prompt, kind=free_text_kind)
        earlier = found.setdefault(prompt.name, prompt)
        if earlier.site != prompt.site:
            raise UsageError(
                f"{earlier.text!r} and {prompt.text!r} ask for the same at two sites.", "Run them one after the other."
            )
    return tuple(found.values())


# Best first; one that is not installed is passed over.
_PREFERENCE = ("biomedparse", "mini", "stain")


def choose_model(settings: ModelSettings, prompts: Sequence[Prompt], *, to_run: bool) -> tuple[str, tuple[str, ...]]:
    """Resolve "auto": the best installed model that has a name for every prompt, else the best that reads any words.

    Returns
    -------
    name : str
    notes : tuple of str
        Says which, and how to get a better one where it is not installed.

    Raises
    ------
    UnknownPromptError
        Where no installed model has an answer; says which one would.
    """
    if settings.name != "auto":
        return settings.name, ()
    if settings.weights is not None:
        raise UsageError("--weights is of one model.", "Say which: --model biomedparse.")
    known = [candidate for candidate in _PREFERENCE if candidate in MODELS.names()]
    missing: dict[str, WeightsError] = {}
    for candidate in known:
        try:
            MODELS.get(candidate).find_weights(settings)
        except WeightsError as error:
            missing[candidate] = error
    there = [candidate for candidate in known if candidate not in missing]
    able = [name for name in known if all(prompt.name in MODELS.get(name).spec.prompts for prompt in prompts)]
    able += [name for name in known if name not in able and MODELS.get(name).spec.free_text]
    for name in able:
        if name in there:
            better = (str(missing[other]) for other in able[: able.index(name)])
            return name, (" ".join((f"Using {name}.", *better)),)
    if not to_run and able:
        return able[0], ()
    words = ", ".join(repr(prompt.text) for prompt in prompts)
    here = "; ".join(f"{name} knows {', '.join(MODELS.get(name).spec.prompts)}" for name in there)
    would = " ".join(str(missing[name]) for name in able)
    raise UnknownPromptError(f"No installed model knows {words} ({here}).", would)
