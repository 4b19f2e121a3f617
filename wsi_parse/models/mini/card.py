"""The short model card, and what a run says of its classes, with the figures measured by workflows/train_mini."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from wsi_parse.models.mini.confidence import Confidence, embedded_confidence, sure_words
from wsi_parse.models.mini.facts import CLASS_OF, LIMITATION, LIMITATION_OF_OWN, NORMAL_TISSUE
from wsi_parse.models.scale_pass import NEVER_SURE, Recipe
from wsi_parse.settings import ModelSettings

_FIGURES = Path(__file__).with_name("figures.json")
# Names of the sets, for people.
_SETS = {
    "consep": "CoNSeP (colon)",
    "tnbc": "TNBC (breast)",
    "nucls": "NuCLS (breast, not used in training)",
    "nuinsseg": "NuInsSeg (normal organs)",
    "brca_m2c": "BRCA-M2C (breast; five networks, each on patients it did not learn from)",
    "dsb2018": "DSB 2018",
}


@cache
def figures() -> dict[str, Any]:
    """Read the figures of the embedded weights, and their sha256: set -> name -> [value, low, high] (95 % interval)."""
    content: dict[str, Any] = json.loads(_FIGURES.read_text(encoding="utf-8"))
    return content


def limitation_of(recipes: Sequence[Recipe], confidence: Confidence, settings: ModelSettings) -> str:
    """Say when the classes of a run are sure, what that does not mean, and what they were learnt from."""
    lines = {
        recipe.class_channel: recipe.min_class_probability
        for recipe in recipes
        if recipe.class_channel is not None and recipe.min_class_probability is not None
    }
    first = f"Experimental: {sure_words(lines)}{_reached(confidence, lines, settings.organ)}; {NORMAL_TISSUE}."
    without = settings.organ is not None and not confidence.lines_of(settings.organ)
    of_organ = (
        f" For {settings.organ}, there are no lines of its own: those for any tissue are used." if without else ""
    )
    return f"{first}{of_organ} {LIMITATION if settings.weights is None else LIMITATION_OF_OWN}"


def _reached(confidence: Confidence, lines: Mapping[str, float], organ: str | None) -> str:
    """Say how often sure classes were right on tissue that was not learnt from; nothing if none is ever sure there."""
    seen, ever = confidence.reached_of(organ), [name for name, line in lines.items() if line < NEVER_SURE]
    if not ever and confidence.is_calibrated:
        return ""
    if not ever or any(name not in seen for name in ever):
        return " (not calibrated)"
    return f"; sure ones were right in {min(seen[name][0] for name in ever):.0%} or more on tissue kept apart"


def short_card() -> str:
    """Return training data, performance on tiles that were not used in training, and known failures."""
    sets, confidence = figures()["sets"], embedded_confidence()
    paragraphs = [
        "Trained on: CoNSeP (colon), BRCA-M2C, TNBC and BreCaHAD (breast carcinoma), NuInsSeg (20 organs, normal), DSB "
        "2018. Class labels are from CoNSeP (outlines; at most 16 patients, with healthy epithelium in three fields) "
        "and BRCA-M2C (points of 75 patients).",
        _nuclei(sets),
        _classes(sets),
        f"Experimental: {LIMITATION}",
        _sure(confidence),
        f"{NORMAL_TISSUE.capitalize()}; normal breast ducts are not solved at all. Use the prompt only where a person "
        "knows that there is tumour.",
        "In brackets: 95 % intervals by resampling fields and patients. Full card: wsi_parse/models/mini/CARD.md",
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _nuclei(sets: Mapping[str, Mapping[str, Any]]) -> str:
    found = [
        f"{_SETS.get(name, name)}: Dice {figure(one['dice'])}" + (f", F1 {figure(one['f1'])}" if "f1" in one else "")
        for name, one in sets.items()
        if "dice" in one
    ]
    return f"Nuclei, on fields and patients not used in training: {'; '.join(found)}." if found else ""


def _classes(sets: Mapping[str, Mapping[str, Any]]) -> str:
    found = []
    for name, one in sets.items():
        of_set = [f"{each} {figure(one[f'f1_{each}'])}" for each in CLASS_OF.values() if f"f1_{each}" in one]
        found += [f"{_SETS.get(name, name)}: {', '.join(of_set)}"] if of_set else []
    return f"F1 of classes: {'; '.join(found)}." if found else ""


def _sure(confidence: Confidence) -> str:
    """Say from when on each class is sure, and how often sure nuclei were right."""
    lines = {name: confidence.line(name, None) for name in CLASS_OF.values()}
    words = f'Sure: {sure_words(lines)}; below, a nucleus is marked "Unsure".'
    reached = [
        f"{name} {figure(list(confidence.reached[name]))}"
        for name, line in lines.items()
        if line < NEVER_SURE and name in confidence.reached
    ]
    if reached:
        words += f" Share of sure nuclei that were right, on tissue kept apart: {', '.join(reached)}."
    else:
        words += " This was not calibrated: how often a sure class is right is not known of other tissue."
    if confidence.organs:
        words += f" Other lines hold in {', '.join(confidence.organs)}: say so with --organ."
    return words


def figure(interval: list[float]) -> str:
    """Format a figure and its interval."""
    value, *limits = interval
    if not any(interval):
        return f"{value:.2f} (below 0.001)"
    return f"{value:.2f} ({limits[0]:.2f}-{limits[1]:.2f})" if limits else f"{value:.2f} (one group only)"
