"""verify_and_report: one step after the other, within a time, and written down whatever fails."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsi_parse._version import __version__
from wsi_parse.errors import WsiParseError
from wsi_parse.evaluate.field_scores import FieldScores, score_fields
from wsi_parse.evaluate.labelled_tiles import read_labelled_tiles
from wsi_parse.evaluate.painted_tiles import PAINTED, paint_tiles
from wsi_parse.evaluate.verify_model import check_weights, predict_painted
from wsi_parse.files import write_text
from wsi_parse.gates import check_input, check_outputs, exists, is_ours, keep_aside
from wsi_parse.models.contract import Segmenter
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.models.weights import Weights
from wsi_parse.prompts import Prompt
from wsi_parse.registry import MODELS, plugin_named
from wsi_parse.run.manifest import versions
from wsi_parse.settings import ModelSettings, RunSettings
from wsi_parse.text import RESEARCH_ONLY
from wsi_parse.verification.memory import machine_facts, peak_memory
from wsi_parse.verification.page import page_of
from wsi_parse.verification.slide import SlideTrial, try_slide

JSON_NAME, PAGE_NAME = "verification.json", "verification.html"
# Of the time: at most this is for timing, and tiles end here; the slide is laid out for half of what then is left.
_TIMING, _TIMING_SECONDS, _TILES, _SLIDE = 0.05, 20.0, 0.45, 0.5
# What of each step is shown on the screen.
_SUMMARY = (
    *("left_out", "network", "keys", "parameters", "sha256", "device", "precision", "seconds_per_tile"),
    *("truth", "labelled_fields", "dice_mean", "dice_median", "golden_agreement_min"),
    *("slide", "objects", "f1", "peak_memory_mb", "took_seconds"),
)
# Painted tissue is 512 µm wide or as wide as two fields.
_PAINTED_UM, _MIN_ACROSS, _MAX_ACROSS = 512.0, 2, 8


@dataclass
class Verification:
    """What was found out.

    Parameters
    ----------
    facts : dict
        For JSON: of each step its numbers, or why it failed.
    scores : FieldScores or None
        Of the tiles.
    overlay : Path or None
        Picture of the slide with its objects.
    failed : list of str
        Names of the steps that failed.
    """

    facts: dict[str, Any]
    scores: FieldScores | None = None
    overlay: Path | None = None
    failed: list[str] = field(default_factory=list)

    def summary(self) -> Iterator[str]:
        """Yield a line for each step: what a reader of the page looks for first."""
        for name in ("weights", "prediction", "tiles", "slide"):
            found = self.facts.get(name)
            if found is None:
                continue
            if "failed" in found:
                yield f"{name} failed: {found['failed']} {found['remedy']}"
            else:
                shown = {key: found[key] for key in _SUMMARY if found.get(key) is not None}
                listed = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in shown.items())
                yield f"{name}: {listed}" if listed else f"{name}: done"

    def step(self, name: str, work: Callable[[], dict[str, Any]]) -> bool:
        """Do a step and note what it found; an error is noted too, and does not end the others."""
        started = time.monotonic()
        try:
            found = work()
        except WsiParseError as error:
            found = {"failed": error.message, "remedy": error.remedy}
            self.failed.append(name)
        self.facts[name] = {**found, "took_seconds": round(time.monotonic() - started, 2)}
        return name not in self.failed


def verify_and_report(
    settings: ModelSettings,
    out: Path,
    *,
    text: str | None = None,
    labelled: Path | None = None,
    mpp_um: float = 0.25,
    slide: Path | None = None,
    minutes: float = 30.0,
    tell: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Verify a model, and write a JSON and a page about it.

    Parameters
    ----------
    settings : ModelSettings
        Name of the model, its weights if they are not the installed ones, and how it runs.
    out : Path
        Folder for `verification.json`, `verification.html` and the results of the slide.
    text : str, optional
        Prompt; without it the first target of the model.
    labelled : Path, optional
        Folder of labelled tiles; without it tiles are painted, if the prompt is of nuclei.
    mpp_um : float
        Microns per pixel of the labelled tiles.
    slide : Path, optional
        A slide, of which a square of tissue is processed; without it one is painted.
    minutes : float
        For all of it. Steps are laid out by what a tile was measured to take.
    tell : callable
        Is told what is done next.

    Raises
    ------
    UsageError
        If the model or the prompt is unknown, an input cannot be read, or an output would replace one. What fails later
        is a part of the result.
    """
    started = time.monotonic()
    kept = _check_files(out, {"--labelled": labelled, "--slide": slide, "--weights": settings.weights})
    model_class: type[Segmenter] = MODELS.get(settings.name)
    spec = model_class.spec
    prompt = spec.prompt_of(text or spec.prompts[0])
    found = Verification(_about(settings, prompt) | ({"kept": kept} if kept else {}))
    loaded: list[Weights | None] = []

    def weights_step() -> dict[str, Any]:
        weights, facts = check_weights(model_class, settings)
        loaded.append(weights)
        return facts

    with plugin_named("model", settings.name):
        tell("Checking the weights")
        # A plan may look into the file of weights, too.
        if found.step("weights", weights_step):
            scale_pass = model_class.plan([prompt], settings)[0]
            found.facts |= {"field_um": scale_pass.field_um, "read_mpp_um": scale_pass.read_mpp}
            out.mkdir(parents=True, exist_ok=True)
            plan = _Plan(settings, out, labelled, mpp_um, slide, started, minutes * 60, tell)
            _try_model(found, model_class(settings, loaded[0]), prompt, scale_pass, plan)
    out.mkdir(parents=True, exist_ok=True)
    found.facts["memory"] = peak_memory()
    found.facts |= {"failed": found.failed, "seconds": round(time.monotonic() - started, 1)}
    write_text(out / JSON_NAME, json.dumps(found.facts, indent=2, ensure_ascii=False) + "\n")
    write_text(out / PAGE_NAME, page_of(found.facts, found.scores, found.overlay))
    return found


def _check_files(out: Path, inputs: Mapping[str, Path | None]) -> list[str]:
    """Refuse inputs that cannot be read; keep aside what is not ours and has the name of an output, and say so."""
    given = {option: path for option, path in inputs.items() if path is not None}
    for option, path in given.items():
        check_input(path, f"what {option} takes", folder=option != "--weights")
    outputs = {name: out / name for name in (JSON_NAME, PAGE_NAME)}
    check_outputs(outputs, given)
    others = [path for path in outputs.values() if exists(path) and not is_ours(path)]
    return [f"{path.name} was not written by wsi-parse, and is kept as {keep_aside(path).name}." for path in others]


@dataclass(frozen=True)
class _Plan:
    """What was asked for, and until when."""

    settings: ModelSettings
    out: Path
    labelled: Path | None
    mpp_um: float
    slide: Path | None
    started: float
    seconds: float
    tell: Callable[[str], None]

    @property
    def left_seconds(self) -> float:
        """What is left of the time."""
        return max(0.0, self.started + self.seconds - time.monotonic())


def _try_model(found: Verification, model: Segmenter, prompt: Prompt, scale_pass: ScalePass, plan: _Plan) -> None:
    """Predict a field, tiles and a slide."""
    plan.tell("Predicting a painted field")
    timing = min(_TIMING_SECONDS, _TIMING * plan.seconds)
    if not found.step("prediction", lambda: predict_painted(model, scale_pass, timing)):
        return
    seconds_per_tile = float(found.facts["prediction"]["seconds_per_tile"])
    plan.tell("Comparing with labelled tiles" if plan.labelled else "Comparing with painted tiles")
    found.step("tiles", lambda: _score(found, model, prompt, scale_pass, plan, seconds_per_tile))
    planned = plan.left_seconds * _SLIDE
    tiles = int(planned / max(seconds_per_tile, 1e-3))
    if not tiles:
        found.facts["slide"] = {"left_out": f"A tile takes {seconds_per_tile:.0f} s: there was no time for a slide."}
        return
    plan.tell("Processing a part of the slide" if plan.slide else "Processing a painted slide")

    def slide_step() -> dict[str, Any]:
        trial = SlideTrial(plan.settings, prompt, scale_pass.field_um, tiles)
        facts, found.overlay = try_slide(trial, plan.slide, plan.out)
        return facts

    found.step("slide", slide_step)


def _score(
    found: Verification,
    model: Segmenter,
    prompt: Prompt,
    scale_pass: ScalePass,
    plan: _Plan,
    seconds_per_tile: float,
) -> dict[str, Any]:
    until = plan.started + _TILES * plan.seconds
    if plan.labelled is not None:
        found.scores = score_fields(model, scale_pass, read_labelled_tiles(plan.labelled), plan.mpp_um, until)
        return {"truth": "labelled", **found.scores.to_dict()}
    if prompt.name not in PAINTED:
        return {"truth": "none", "left_out": f"Nothing is painted for {prompt.name!r}: give tiles with --labelled."}
    field_um = scale_pass.field_um
    across = max(_MIN_ACROSS, min(_MAX_ACROSS, int(_PAINTED_UM / field_um)))
    # Tiles are painted before there is a look at the clock.
    while across > 1 and across**2 * seconds_per_tile > _TILES * plan.seconds:
        across -= 1
    tiles = paint_tiles(prompt.name, field_um, scale_pass.read_mpp, across)
    found.scores = score_fields(model, scale_pass, tiles, scale_pass.read_mpp, until)
    return {"truth": "painted, which is not tissue", **found.scores.to_dict()}


def _about(settings: ModelSettings, prompt: Prompt) -> dict[str, Any]:
    """Describe what is verified, and where, without a name of the machine or of its user."""
    spec = MODELS.get(settings.name).spec
    return {
        "notice": RESEARCH_ONLY,
        "wsi_parse": __version__,
        "model": spec.name,
        "licence": spec.licence,
        "purpose": spec.purpose,
        "published": spec.published or None,
        "prompt": prompt.name,
        "machine": {**machine_facts(), "cores": os.cpu_count()},
        "versions": versions(RunSettings(model=settings), ""),
    }
