"""Sureness: on a slide unlike what a model learnt from, a class needs a higher probability to be sure."""

from collections.abc import Collection, Sequence
from itertools import chain

from wsi_parse.cautions import OF_THE_INPUT, Caution
from wsi_parse.models.contract import State
from wsi_parse.models.scale_pass import NEVER_SURE, Recipe, ScalePass, less_sure
from wsi_parse.settings import ObjectSettings


def training_cautions(scale_passes: Sequence[ScalePass], state: State, model: str) -> tuple[Caution, ...]:
    """Caution for what of a slide lies outside of what the model learnt from."""
    return tuple(chain.from_iterable(scale_pass.cautions_of(state, model) for scale_pass in scale_passes))


def passes_on_slide(
    scale_passes: Sequence[ScalePass], state: State, codes: Collection[str], settings: ObjectSettings
) -> tuple[ScalePass, ...]:
    """Raise the lines of the passes that know what they learnt from, where the slide is unlike it.

    Parameters
    ----------
    scale_passes : sequence of ScalePass
    state : mapping
        Of the model, for this slide.
    codes : collection of str
        Of the cautions about the slide.
    settings : ObjectSettings
        A line that the user sets is not raised.
    """
    if settings.min_class_probability is not None:
        return tuple(scale_passes)
    unlike = bool(OF_THE_INPUT.intersection(codes))
    return tuple(
        less_sure(scale_pass) if scale_pass.learnt and (unlike or scale_pass.cautions_of(state, "")) else scale_pass
        for scale_pass in scale_passes
    )


def raised_note(planned: Sequence[ScalePass], on_slide: Sequence[ScalePass]) -> str:
    """Say which lines were raised on a slide; empty if none was."""
    raised = [
        f"{now.prompt.name} from {now.min_class_probability:g} on, in place of {before.min_class_probability:g}"
        for before, now in zip(_recipes(planned), _recipes(on_slide), strict=True)
        if now.min_class_probability != before.min_class_probability
    ]
    if not raised:
        return ""
    return f"Because of its cautions, a class needs a higher probability to be sure on this slide: {'; '.join(raised)}."


def sure_from(scale_pass: ScalePass) -> dict[str, float | None]:
    """Return the probability from which on the class of each prompt is sure; None: it never is."""
    lines = {recipe.prompt.name: recipe.min_class_probability for recipe in scale_pass.recipes if recipe.classes}
    return {name: None if line >= NEVER_SURE else line for name, line in lines.items() if line is not None}


def _recipes(scale_passes: Sequence[ScalePass]) -> list[Recipe]:
    return [recipe for scale_pass in scale_passes for recipe in scale_pass.recipes]
