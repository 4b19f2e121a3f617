"""The model card in short: figures measured by workflows/train_mini, told in words."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from wsi_parse.models.mini.facts import CAUTION, MIN_CLASS_PROBABILITY

_FIGURES = Path(__file__).with_name("figures.json")


@cache
def figures() -> dict[str, Any]:
    """Figures of the embedded weights: set -> name -> [value, low, high] (95 % intervals), and the weights' sha256."""
    told: dict[str, Any] = json.loads(_FIGURES.read_text(encoding="utf-8"))
    return told


def short_card() -> str:
    """What it learnt from, how well it does on tiles it never saw, and where it fails."""
    sets = figures()["sets"]
    colon, breast, other, normal = (sets[name] for name in ("consep", "tnbc", "nucls", "nuinsseg"))
    classes = ", ".join(
        f"{name} {share(colon[f'f1_{name}'])}" for name in ("neoplastic", "epithelial", "inflammatory", "connective")
    )
    paragraphs = (
        "Learnt from: CoNSeP (colon), NuInsSeg (31 organs, nearly all normal), TNBC (breast), DSB 2018; class labels "
        "from CoNSeP: at most 16 patients, healthy epithelium in three fields.",
        f"Nuclei, on fields and patients never trained on: Dice {share(colon['dice'])} and F1 {share(colon['f1'])} on "
        f"CoNSeP, {share(breast['dice'])} and {share(breast['f1'])} on TNBC, {share(other['dice'])} and "
        f"{share(other['f1'])} on NuCLS, of which nothing was trained on.",
        f"{CAUTION} F1 on CoNSeP: {classes}. On NuInsSeg (normal organs) {share(normal['neoplastic']['called'])} of "
        f"the nuclei are called neoplastic, {share(normal['neoplastic']['surely'])} surely; with a wrong pixel size "
        f"{share(normal['neoplastic_at_wrong_scale']['called'])}.",
        f'A class below {MIN_CLASS_PROBABILITY:g} is marked "Unsure": of the others on CoNSeP '
        f"{share(colon['accuracy_sure'])} are right ({share(colon['sure'])} of all); of all together "
        f"{share(colon['accuracy'])}.",
        "In brackets: 95 % intervals by resampling fields and patients. The whole card: wsi_parse/models/mini/CARD.md",
    )
    return "\n\n".join(paragraphs)


def share(figure: list[float]) -> str:
    """A figure and its interval in words."""
    value, *limits = figure
    if not any(figure):
        return f"{value:.2f} (below 0.001)"
    return f"{value:.2f} ({limits[0]:.2f}-{limits[1]:.2f})" if limits else f"{value:.2f} (one group only)"
