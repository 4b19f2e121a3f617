"""Which model a run uses: the one that was named, or the best that is installed and knows every prompt."""

from collections.abc import Sequence

from wsi_parse.errors import UnknownPromptError, UsageError, WeightsError
from wsi_parse.prompts import Prompt
from wsi_parse.registry import MODELS
from wsi_parse.settings import ModelSettings


def choose_model(
    settings: ModelSettings, prompts: Sequence[Prompt], *, require_weights: bool
) -> tuple[str, tuple[str, ...]]:
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
    ranks = {name: MODELS.get(name).spec.rank for name in MODELS.names()}
    known = sorted((name for name in ranks if ranks[name] > 0), key=lambda name: -ranks[name])
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
    if not require_weights and able:
        return able[0], ()
    words = ", ".join(repr(prompt.text) for prompt in prompts)
    here = "; ".join(f"{name} knows {', '.join(MODELS.get(name).spec.prompts)}" for name in there)
    would = " ".join(str(missing[name]) for name in able)
    raise UnknownPromptError(f"No installed model knows {words} ({here}).", would)
