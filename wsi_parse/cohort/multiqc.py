"""wsi_parse_mqc.json: the table of a cohort as custom content of MultiQC, which collects the results of many tools."""

import json
from collections.abc import Sequence
from typing import Any

from wsi_parse.cohort.columns import prompt_names
from wsi_parse.cohort.outcome import Outcome
from wsi_parse.cohort.summary import prompts_of
from wsi_parse.text import RESEARCH_ONLY, for_html

# Column -> title, what it is, decimals.
_FIRST = {
    "tissue_mm2": ("Tissue", "Area of the tissue, without glass", 2, "mm²"),
    "cautions": ("Cautions", "Number of cautions", 0, ""),
}
_LAST = {
    "median_nuclear_area_um2": ("Nuclear area", "Median area of the nuclei", 1, "µm²"),
    "seconds": ("Time", "Time of the run", 0, "s"),
}


def multiqc_json(outcomes: Sequence[Outcome]) -> bytes:
    """Write the table as MultiQC reads it; it shows text as HTML, so text from outside is escaped.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Slides that are not done have their state alone.
    """
    # In MultiQC, names of columns become those of elements of its page, in which it takes plain letters only.
    columns = prompt_names(prompts_of(outcomes)).items()
    names = {prompt: name if name.isascii() else f"P{number}" for number, (prompt, name) in enumerate(columns, 1)}
    headers: dict[str, Any] = {"state": {"title": "State", "description": "How the run ended", "scale": False}}
    headers |= {name: _header(*facts) for name, facts in _FIRST.items()}
    for prompt, name in names.items():
        shown = for_html(prompt)
        headers[f"count_{name}"] = _header(shown, f"Number of objects: {shown}", 0, "")
        headers[f"per_mm2_{name}"] = _header(f"{shown} per mm²", f"Objects per mm² of tissue: {shown}", 1, "")
    headers |= {name: _header(*facts) for name, facts in _LAST.items()}
    content = {
        "id": "wsi_parse",
        "section_name": "wsi-parse",
        "description": f"Objects found in whole slide images: {RESEARCH_ONLY}.",
        "plot_type": "table",
        "pconfig": {"id": "wsi_parse_table", "title": "wsi-parse: slides of a cohort", "col1_header": "Slide"},
        "headers": headers,
        "data": {for_html(outcome.id): _numbers(outcome, names) for outcome in outcomes},
    }
    return (json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()


def _header(title: str, description: str, decimals: int, unit: str) -> dict[str, Any]:
    suffix = {"suffix": f" {unit}"} if unit else {}
    return {"title": title, "description": description, "format": f"{{:,.{decimals}f}}", **suffix}


def _numbers(outcome: Outcome, names: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"state": outcome.state}
    if outcome.state == "done":
        found["cautions"] = len(outcome.cautions)
        found |= {name: getattr(outcome, name) for name in ("tissue_mm2", *_LAST)}
        found |= {f"count_{name}": outcome.counts.get(prompt) for prompt, name in names.items()}
        found |= {f"per_mm2_{name}": outcome.per_mm2.get(prompt) for prompt, name in names.items()}
    return {name: value for name, value in found.items() if value is not None}
