"""Which model a run uses: the named one, or the best installed one that knows every prompt."""

from collections.abc import Sequence

from wsi_parse.errors import PluginError, UnknownPromptError, UsageError, WeightsError
from wsi_parse.models.contract import ModelSpec
from wsi_parse.progress import Hint
from wsi_parse.prompts import Prompt, suggest_prompt
from wsi_parse.registry import MODELS, plugin_named
from wsi_parse.settings import ModelSettings


def choose_model(
    settings: ModelSettings, prompts: Sequence[Prompt], *, require_weights: bool
) -> tuple[str, tuple[str, ...]]:
    """Resolve "auto": the best installed model that knows every prompt, else the best one that accepts free text.

    Returns
    -------
    name : str
    notes : tuple of str
        Which model is used, how to get a better one that is not installed, and which models are broken.

    Raises
    ------
    UnknownPromptError
        If no installed model can handle the prompts; the remedy names the one that would.
    """
    if settings.name != "auto":
        return settings.name, ()
    if settings.weights is not None:
        raise UsageError("--weights was given without --model.", "Name the model of the weights with --model.")
    specs, missing, warnings = _available(settings)
    installed = [name for name in specs if name not in missing]
    knowing = [name for name, spec in specs.items() if all(spec.knows(prompt.text) for prompt in prompts)]
    candidates = knowing + [name for name, spec in specs.items() if name not in knowing and spec.free_text]
    for name in candidates:
        if name in installed:
            better = (Hint(missing[other]) for other in candidates[: candidates.index(name)])
            return name, (*warnings, f"Using {name}.", *better)
    if not require_weights and knowing:
        return knowing[0], warnings
    texts = ", ".join(repr(prompt.text) for prompt in prompts)
    have = "; ".join(f"{name} knows {', '.join(specs[name].prompts)}" for name in installed)
    words = [target for spec in specs.values() for target in spec.vocabulary]
    suggestions = (suggest_prompt(prompt.text, words) for prompt in prompts)
    remedy = " ".join((*filter(None, suggestions), *(str(missing[name]) for name in candidates), *warnings))
    raise UnknownPromptError(f"No installed model knows {texts} ({have}).", remedy)


def _available(settings: ModelSettings) -> tuple[dict[str, ModelSpec], dict[str, WeightsError], tuple[str, ...]]:
    """Ask every model what it is and whether its weights are there.

    Returns
    -------
    specs : dict of str to ModelSpec
        Those that "auto" may choose, the best first.
    missing : dict of str to WeightsError
        Why the weights of some cannot be used.
    warnings : tuple of str
        A sentence about each model that is broken; it is not among the others.
    """
    models, warnings = MODELS.usable()
    specs: dict[str, ModelSpec] = {}
    missing: dict[str, WeightsError] = {}
    for name, model in models.items():
        try:
            with plugin_named("model", name):
                if model.spec.rank > 0:
                    model.find_weights(settings)
        except WeightsError as error:
            missing[name] = error
        except PluginError as error:
            warnings += (f"{error} It is skipped.",)
            continue
        specs[name] = model.spec
    ranked = sorted((name for name in specs if specs[name].rank > 0), key=lambda name: -specs[name].rank)
    return {name: specs[name] for name in ranked}, missing, warnings
