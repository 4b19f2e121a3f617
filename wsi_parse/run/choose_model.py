"""Which model a run uses: the named one, or the best installed one that knows every prompt."""

from collections.abc import Sequence

from wsi_parse.errors import UnknownPromptError, UsageError, WeightsError
from wsi_parse.prompts import Prompt
from wsi_parse.registry import MODELS
from wsi_parse.settings import ModelSettings


def choose_model(
    settings: ModelSettings, prompts: Sequence[Prompt], *, require_weights: bool
) -> tuple[str, tuple[str, ...]]:
    """Resolve "auto": the best installed model that knows every prompt, else the best one that accepts free text.

    Returns
    -------
    name : str
    notes : tuple of str
        Which model is used, and how to get a better one that is not installed.

    Raises
    ------
    UnknownPromptError
        If no installed model can handle the prompts; the remedy names the one that would.
    """
    if settings.name != "auto":
        return settings.name, ()
    if settings.weights is not None:
        raise UsageError(
            "--weights was given without --model.", "Name the model of the weights, for example: --model biomedparse."
        )
    ranks = {name: MODELS.get(name).spec.rank for name in MODELS.names()}
    known = sorted((name for name in ranks if ranks[name] > 0), key=lambda name: -ranks[name])
    missing: dict[str, WeightsError] = {}
    for candidate in known:
        try:
            MODELS.get(candidate).find_weights(settings)
        except WeightsError as error:
            missing[candidate] = error
    installed = [candidate for candidate in known if candidate not in missing]
    candidates = [name for name in known if all(prompt.name in MODELS.get(name).spec.prompts for prompt in prompts)]
    candidates += [name for name in known if name not in candidates and MODELS.get(name).spec.free_text]
    for name in candidates:
        if name in installed:
            better = (str(missing[other]) for other in candidates[: candidates.index(name)])
            return name, (" ".join((f"Using {name}.", *better)),)
    if not require_weights and candidates:
        return candidates[0], ()
    texts = ", ".join(repr(prompt.text) for prompt in prompts)
    have = "; ".join(f"{name} knows {', '.join(MODELS.get(name).spec.prompts)}" for name in installed)
    remedy = " ".join(str(missing[name]) for name in candidates)
    raise UnknownPromptError(f"No installed model knows {texts} ({have}).", remedy)
