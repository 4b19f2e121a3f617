"""Request: prompts, model, weights and scale passes, resolved once before any slide is opened."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from wsi_parse.errors import UsageError
from wsi_parse.exporters.check_formats import check_formats
from wsi_parse.models.contract import ModelSpec, Segmenter
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.models.weights import Weights
from wsi_parse.prompts import Prompt, Target, is_narrower, normalise, singular, suggest_prompt
from wsi_parse.registry import MODELS
from wsi_parse.run.choose_model import choose_model
from wsi_parse.run.model_plan import find_weights, limitations_of, plan_passes, targets_of, with_threads
from wsi_parse.settings import ClassSettings, ModelSettings, RunSettings, SlideSettings

ALL_TARGETS = "all"
# No name of a structure is longer.
_MAX_PROMPT = 200


@dataclass(frozen=True)
class Request:
    """What is looked for, by which model and at which scales: decided once, for one slide or for many.

    Parameters
    ----------
    settings : RunSettings
        With the name of the model in place of "auto", and the targets in place of "all".
    prompts : tuple of Prompt
        Synonyms are one prompt.
    model : type of Segmenter
    weights : Weights or None
        None for a model without weights, and where they are not installed and need not be.
    scale_passes : tuple of ScalePass
    notes : tuple of str
        What the user should know of these decisions.
    """

    settings: RunSettings
    prompts: tuple[Prompt, ...]
    model: type[Segmenter]
    weights: Weights | None
    scale_passes: tuple[ScalePass, ...]
    notes: tuple[str, ...] = ()

    @property
    def limitations(self) -> tuple[str, ...]:
        """Those of the notes that apply to every result of this model."""
        return limitations_of(self.scale_passes, self.settings.model.name)

    def for_slide(self, slide: SlideSettings) -> "Request":
        """Return the same decisions for a slide that has settings of its own, such as a pixel size."""
        return replace(self, settings=self.settings.model_copy(update={"slide": slide}))

    def for_folder(self, folder: Path) -> "Request":
        """Return the same decisions with the folder's name in place of {id} in the name of the slide."""
        slide = self.settings.slide
        if slide.name is None:
            return self
        name = slide.name.replace("{id}", folder.absolute().name)
        return self.for_slide(slide.model_copy(update={"name": name}))


def resolve(settings: RunSettings, *, require_weights: bool = True) -> Request:
    """Decide what is looked for, by which model and at which scales.

    Parameters
    ----------
    settings : RunSettings
    require_weights : bool
        False if the run is only described: weights that are not installed are then a note, not an error.

    Returns
    -------
    Request

    Raises
    ------
    UsageError
        If there are no prompts, no model for them, or a format that cannot be written here.
    WeightsError
        If the weights of the model are missing or damaged.
    """
    check_formats(settings.export.formats)
    texts = [text.strip() for text in settings.prompts]
    if not any(texts):
        raise UsageError("There is no prompt.", 'Name what to look for, for example --prompt "nuclei".')
    for text in texts:
        if not text:
            raise UsageError("One of the prompts is empty.", "Leave it out, or name what to look for.")
        if len(text) > _MAX_PROMPT:
            raise UsageError(
                f"A prompt has {len(text):,} letters: {text[:40]!r}…", "Name one thing to look for in a few words."
            )
        _check_single(text)
    all_targets = any(text.lower() == ALL_TARGETS for text in texts)
    named = [Prompt.parse(text) for text in texts if text.lower() != ALL_TARGETS]
    name, notes = choose_model(settings.model, named, require_weights=require_weights)
    settings = with_threads(settings, name)
    model: type[Segmenter] = MODELS.get(name)
    if all_targets:
        texts = [*targets_of(model, settings.model), *(text for text in texts if text.lower() != ALL_TARGETS)]
        objects = settings.objects.model_copy(update={"exclusive_classes": True})
        settings = settings.model_copy(update={"prompts": tuple(texts), "objects": objects})
        notes += (_all_targets_note(name, settings.model),)
    prompts = _prompts_of(texts, settings.objects.free_text_kind, model.spec.vocabulary)
    prompts, unused = apply_classes(prompts, settings.export.classes, model.spec.vocabulary)
    weights, of_weights = find_weights(model, settings.model, require_weights=require_weights)
    scale_passes, of_passes = plan_passes(model, prompts, settings)
    notes += (*_synonym_notes(texts, model.spec), *unused, *of_weights, *of_passes, *limitations_of(scale_passes, name))
    return Request(settings, prompts, model, weights, scale_passes, notes)


def _check_single(text: str) -> None:
    """Refuse a text that names several known targets, which would be looked for as one.

    Raises
    ------
    UsageError
        Shows a prompt for each.
    """
    parts = [part for part in _BETWEEN.split(text.strip()) if part]
    if len(parts) > 1 and all(Prompt.parse(part).known or part.lower() == ALL_TARGETS for part in parts):
        prompts = " ".join(f'--prompt "{part}"' for part in parts)
        raise UsageError(
            f"The prompt {text!r} names {len(parts)} targets.", f"Give each as a prompt of its own: {prompts}"
        )


# What people write between the targets of a list.
_BETWEEN = re.compile(r"\s*[,;/+&]\s*|\s+(?:and|or)\s+", re.IGNORECASE)


def _all_targets_note(name: str, model: ModelSettings) -> str:
    """Say which targets "all" stands for, and which it leaves out."""
    chosen, known = targets_of(MODELS.get(name), model), MODELS.get(name).spec.prompts
    where = f" in {model.organ}" if model.organ and len(chosen) < len(known) else ""
    left = [target for target in known if target not in chosen]
    out = f"; left out: {', '.join(left)} (not in its list)" if left else ""
    return f'"all" stands for the targets that {name} knows{where}: {", ".join(chosen)}{out}.'


def _synonym_notes(texts: Sequence[str], spec: ModelSpec) -> tuple[str, ...]:
    """Say which prompts were understood as another term, which of these is wider, and which may be mistyped."""
    notes = []
    for text in texts:
        prompt = spec.prompt_of(text)
        if suggestion := suggest_prompt(text, spec.vocabulary):
            notes.append(f"{text!r} is not a known target; the model gets these words as they are. {suggestion}")
        elif is_narrower(text, spec.vocabulary):
            notes.append(
                f"{text!r} is understood as {prompt.name!r}, which is wider than what you asked for: the result also "
                f"contains other {prompt.name}."
            )
        elif prompt.known and singular(prompt.name) not in singular(normalise(text)):
            notes.append(f"{text!r} is understood as {prompt.name!r}, which means the same.")
    return tuple(notes)


def apply_classes(
    prompts: tuple[Prompt, ...], classes: Mapping[str, ClassSettings], vocabulary: Sequence[Target] = ()
) -> tuple[tuple[Prompt, ...], tuple[str, ...]]:
    """Give prompts the classes of the settings; the notes name settings that belong to no prompt."""
    by_name = {Prompt.parse(text, vocabulary).name: settings for text, settings in classes.items()}
    applied = []
    for prompt in prompts:
        own = by_name.pop(prompt.name, None) or ClassSettings()
        applied.append(replace(prompt, class_name=own.name or prompt.class_name, colour=own.colour or prompt.colour))
    return tuple(applied), tuple(
        f"The class of {name!r} in export.classes is not used, because it is not a prompt of this run."
        for name in by_name
    )


def _prompts_of(
    texts: Sequence[str], free_text_kind: Literal["auto", "cell", "region"], vocabulary: Sequence[Target]
) -> tuple[Prompt, ...]:
    """Parse texts into prompts, with the words of the model; each name occurs once."""
    found: dict[str, Prompt] = {}
    for prompt in (Prompt.parse(text, vocabulary) for text in texts):
        if not prompt.known and free_text_kind != "auto":
            prompt = replace(prompt, kind=free_text_kind)
        earlier = found.setdefault(prompt.name, prompt)
        if earlier.site != prompt.site:
            raise UsageError(
                f"{earlier.text!r} and {prompt.text!r} name the same target in two organs.",
                "Make a run of its own for each organ.",
            )
    return tuple(found.values())
