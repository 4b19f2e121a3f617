"""What the chosen model is given and plans: threads, weights, and the scale passes of the prompts."""

import os
from collections.abc import Sequence

from wsi_parse.errors import ModelError, UsageError, WeightsError
from wsi_parse.models.contract import Segmenter
from wsi_parse.models.scale_pass import ScalePass, with_exclusive_classes, with_min_class_probability
from wsi_parse.models.weights import Weights
from wsi_parse.progress import Limitation
from wsi_parse.prompts import Prompt
from wsi_parse.registry import plugin_named
from wsi_parse.settings import ModelSettings, RunSettings


def with_threads(settings: RunSettings, name: str) -> RunSettings:
    """Put in the name of the model, and how many threads a network uses: a worker's share of the processor."""
    threads = settings.model.threads or max(
        1, (settings.compute.threads or os.cpu_count() or 1) // max(1, settings.compute.workers)
    )
    return settings.model_copy(update={"model": settings.model.model_copy(update={"name": name, "threads": threads})})


def find_weights(
    model: type[Segmenter], settings: ModelSettings, *, require_weights: bool
) -> tuple[Weights | None, tuple[str, ...]]:
    """Find the weights of a model; the notes say which are missing, where they are not required.

    Raises
    ------
    WeightsError
        If they are required, and missing or damaged.
    UsageError
        If weights were given to a model that has none.
    """
    try:
        with plugin_named("model", settings.name):
            weights = model.find_weights(settings)
    except WeightsError as error:
        # A file that was named must be there, also where nothing is predicted.
        if require_weights or settings.weights is not None:
            raise
        return None, (str(error),)
    if settings.weights is not None and weights is None:
        raise UsageError(
            f"The model {settings.name} has no weights.", "Leave --weights out, or choose another --model."
        )
    return weights, ()


def targets_of(model: type[Segmenter], settings: ModelSettings) -> tuple[str, ...]:
    """Return the names of all targets of a model, for `--prompt all`."""
    with plugin_named("model", settings.name):
        return model.targets(settings)


def plan_passes(
    model: type[Segmenter], prompts: Sequence[Prompt], settings: RunSettings
) -> tuple[tuple[ScalePass, ...], tuple[str, ...]]:
    """Let the model plan its passes, and apply the settings of classes to their recipes.

    Returns
    -------
    scale_passes : tuple of ScalePass
    notes : tuple of str
        Settings that have no effect with this model.

    Raises
    ------
    ModelError
        If the plan breaks the contract.
    """
    name = settings.model.name
    notes: tuple[str, ...] = ()
    if settings.model.organ is not None and not (model.spec.free_text or model.spec.uses_organ):
        notes += (f"--organ is ignored, because the model {name} does not use it.",)
    with plugin_named("model", name):
        scale_passes = model.plan(prompts, settings.model)
    _check_passes(scale_passes, prompts, name)
    if settings.objects.exclusive_classes:
        scale_passes = tuple(with_exclusive_classes(scale_pass) for scale_pass in scale_passes)
    if settings.objects.min_class_probability is not None:
        planned = scale_passes
        scale_passes = tuple(
            with_min_class_probability(scale_pass, settings.objects.min_class_probability)
            for scale_pass in scale_passes
        )
        if any(recipe.min_class_probability is not None for each in planned for recipe in each.recipes):
            notes += (
                f"A class is sure from a probability of {settings.objects.min_class_probability:g} on, as "
                f"objects.min_class_probability says, in place of what the model {name} says.",
            )
        if not any(recipe.classes for scale_pass in scale_passes for recipe in scale_pass.recipes):
            notes += (
                f"objects.min_class_probability is ignored, because the model {name} gives no class probabilities for "
                "these prompts.",
            )
    return scale_passes, notes


def limitations_of(scale_passes: Sequence[ScalePass], model: str) -> tuple[Limitation, ...]:
    """Return what the model says of every result of these passes, each sentence once."""
    texts = dict.fromkeys(note for scale_pass in scale_passes for note in scale_pass.notes)
    return tuple(Limitation.of(text, model) for text in texts)


def _check_passes(scale_passes: Sequence[ScalePass], prompts: Sequence[Prompt], model: str) -> None:
    """Hold a plan of a model to its contract."""
    remedy = "Report this error to the author of the model."
    if not isinstance(scale_passes, Sequence) or not all(isinstance(each, ScalePass) for each in scale_passes):
        raise ModelError(f"The plan of the model {model} is no tuple of ScalePass, but {scale_passes!r}.", remedy)
    if len({scale_pass.name for scale_pass in scale_passes}) < len(scale_passes):
        raise ModelError(f"Two passes of {model} have the same name.", remedy)
    answered = sorted(recipe.prompt.name for scale_pass in scale_passes for recipe in scale_pass.recipes)
    if answered != sorted(prompt.name for prompt in prompts):
        raise ModelError(f"The model {model} does not answer every prompt in exactly one recipe.", remedy)
