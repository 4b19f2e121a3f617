"""The short model card, with the figures measured by workflows/train_mini."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from wsi_parse.models.mini.facts import LIMITATION, MIN_CLASS_PROBABILITY

_FIGURES = Path(__file__).with_name("figures.json")


@cache
def figures() -> dict[str, Any]:
    """Read the figures of the embedded weights, and their sha256: set -> name -> [value, low, high] (95 % interval)."""
    content: dict[str, Any] = json.loads(_FIGURES.read_text(encoding="utf-8"))
    return content


def short_card() -> str:
    """Return training data, performance on tiles that were not used in training, and known failures."""
    sets = figures()["sets"]
    colon, breast, other, normal = (sets[name] for name in ("consep", "tnbc", "nucls", "nuinsseg"))
    classes = ", ".join(
        f"{name} {figure(colon[f'f1_{name}'])}" for name in ("neoplastic", "epithelial", "inflammatory", "connective")
    )
    paragraphs = (
        "Trained on: CoNSeP (colon), NuInsSeg (31 organs, nearly all normal), TNBC (breast), DSB 2018. Class labels "
        "are from CoNSeP: at most 16 patients, with healthy epithelium in three fields.",
        f"Nuclei, on fields and patients not used in training: Dice {figure(colon['dice'])} and F1 "
        f"{figure(colon['f1'])} on CoNSeP, {figure(breast['dice'])} and {figure(breast['f1'])} on TNBC, "
        f"{figure(other['dice'])} and {figure(other['f1'])} on NuCLS, which was not used in training at all.",
        f"{LIMITATION} F1 on CoNSeP: {classes}. On NuInsSeg (normal organs), "
        f"{figure(normal['neoplastic']['called'])} of the nuclei are called neoplastic, "
        f"{figure(normal['neoplastic']['surely'])} with a sure class; with a wrong "
        f"pixel size {figure(normal['neoplastic_at_wrong_scale']['called'])}.",
        f'A class with a probability below {MIN_CLASS_PROBABILITY:g} is marked "Unsure". On CoNSeP, '
        f"{figure(colon['accuracy_sure'])} of the sure classes are right ({figure(colon['sure'])} of all are sure), "
        f"and {figure(colon['accuracy'])} of all classes.",
        "In brackets: 95 % intervals by resampling fields and patients. Full card: wsi_parse/models/mini/CARD.md",
    )
    return "\n\n".join(paragraphs)


def figure(interval: list[float]) -> str:
    """Format a figure and its interval."""
    value, *limits = interval
    if not any(interval):
        return f"{value:.2f} (below 0.001)"
    return f"{value:.2f} ({limits[0]:.2f}-{limits[1]:.2f})" if limits else f"{value:.2f} (one group only)"
