"""Prepared: a run decided before anything is computed: prompts, model, slide, region, and the hash of them all."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from wsi_parse.errors import UsageError
from wsi_parse.exporters.formats import check_formats
from wsi_parse.prompts import Prompt, normalise, singular
from wsi_parse.registry import MODELS
from wsi_parse.run.choose_model import choose_model
from wsi_parse.settings import ClassSettings, ModelSettings, RunSettings

ALL_TARGETS = "all"


def resolve(
    settings: RunSettings, *, require_weights: bool = True
) -> tuple[RunSettings, tuple[Prompt, ...], tuple[str, ...]]:
    """Decide what is looked for, and by which model.

    Parameters
    ----------
    settings : RunSettings
    require_weights : bool
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
    everything = any(text.lower() == ALL_TARGETS for text in texts)
    asked = _prompts_of([text for text in texts if text.lower() != ALL_TARGETS], settings.objects.free_text_kind)
    name, notes = choose_model(settings.model, asked, require_weights=require_weights)
    model = settings.model.model_copy(update={"name": name})
    settings = settings.model_copy(update={"model": model})
    if everything:
        texts = [*MODELS.get(name).targets(model), *(text for text in texts if text.lower() != ALL_TARGETS)]
        objects = settings.objects.model_copy(update={"one_class": True})
        settings = settings.model_copy(update={"prompts": tuple(texts), "objects": objects})
        notes += (_all_means(name, model),)
    prompts = _prompts_of(texts, settings.objects.free_text_kind)
    prompts, unused = apply_classes(prompts, settings.export.classes)
    return settings, prompts, notes + _synonym_notes(texts) + unused


def _all_means(name: str, model: ModelSettings) -> str:
    """Say what "all" is, and what it leaves out."""
    chosen, known = MODELS.get(name).targets(model), MODELS.get(name).spec.prompts
    where = f" in {model.organ}" if model.organ and len(chosen) < len(known) else ""
    left = [target for target in known if target not in chosen]
    out = f"; not in its list, and left out: {', '.join(left)}" if left else ""
    return f'"all" is what {name} knows{where}: {", ".join(chosen)}{out}.'


def _synonym_notes(texts: Sequence[str]) -> tuple[str, ...]:
    """Say which words are taken for others."""
    parsed = [(text, Prompt.parse(text)) for text in texts]
    return tuple(
        f"{text!r} is taken as {prompt.name!r}."
        for text, prompt in parsed
        if prompt.known and singular(prompt.name) not in singular(normalise(text))
    )


def apply_classes(
    prompts: tuple[Prompt, ...], classes: Mapping[str, ClassSettings]
) -> tuple[tuple[Prompt, ...], tuple[str, ...]]:
    """Give prompts the classes that the settings say; and say which of them nothing asks for."""
    chosen = {Prompt.parse(words).name: said for words, said in classes.items()}
    called = []
    for prompt in prompts:
        said = chosen.pop(prompt.name, None) or ClassSettings()
        called.append(replace(prompt, class_name=said.name or prompt.class_name, colour=said.colour or prompt.colour))
    return tuple(called), tuple(f"export.classes: no prompt asks for {name!r}." for name in chosen)


def _prompts_of(texts: Sequence[str], free_text_kind: Literal["auto", "cell", "region"]) -> tuple[Prompt, ...]:
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
