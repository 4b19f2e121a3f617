"""The demo: a painted slide with known nuclei, the embedded model on it, and how much of the truth was found."""

import json
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from wsi_parse.cli.run import run_slides
from wsi_parse.evaluate import f1_score, match_centres
from wsi_parse.prompts import Prompt
from wsi_parse.settings import RunSettings
from wsi_parse.synthetic import demo_slide

MATCH_UM = 6.0
#: Prompt -> class of the painted truth.
ASKED = {"neoplastic cells": "neoplastic", "inflammatory cells": "inflammatory"}
_MPP = 0.25


def run_demo(out: Path) -> int:
    """Make the demo slide in `out`, ask mini for two kinds of cells, compare with the truth. Returns the exit code."""
    console = Console(stderr=True)
    out.mkdir(parents=True, exist_ok=True)
    slide, truth = out / "demo.svs", out / "demo_truth.geojson"
    if not (slide.exists() and truth.exists()):
        with console.status("Painting a synthetic slide …"):
            demo_slide(slide, truth=truth)
    settings = RunSettings.load(prompts=tuple(ASKED), model={"name": "mini"})
    code = run_slides([slide], out, settings, dry_run=False, as_json=False)
    if code:
        return code
    folder = out / "demo"
    annotations = folder / "annotations.geojson"
    console.print(_comparison(annotations, truth))
    console.print(
        "Painted cells are not tissue: this shows that the parts fit, not how well the model does "
        "(wsi-parse models show mini).",
        highlight=False,
    )
    console.print(
        f"Look at {folder / 'overlay.png'}, or open {slide} in QuPath and drag {annotations} onto it.",
        highlight=False,
        soft_wrap=True,
    )
    return 0


def _comparison(annotations: Path, truth: Path) -> Table:
    """Compare the objects of each prompt with the painted nuclei of that kind."""
    table = Table(show_edge=False, pad_edge=False, title=f"Against the painted truth, centres within {MATCH_UM:g} um")
    for name in ("prompt", "painted", "found", "right", "F1"):
        table.add_column(name, justify="left" if name == "prompt" else "right")
    found, known = _centres_um(annotations), _centres_um(truth)
    for prompt, kind in ASKED.items():
        ours, theirs = found.get(Prompt.parse(prompt).class_name, _NONE), known.get(kind, _NONE)
        right = len(match_centres(ours, theirs, MATCH_UM))
        f1 = f1_score(right, len(ours), len(theirs))
        table.add_row(prompt, f"{len(theirs):,}", f"{len(ours):,}", f"{right:,}", f"{f1:.2f}")
    return table


_NONE = np.empty((0, 2))


def _centres_um(path: Path) -> dict[str, NDArray[np.float64]]:
    """Centres by class; what is unsure counts to its class."""
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    shapes = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])
    centres = shapely.get_coordinates(shapely.centroid(shapes)) * _MPP
    names = np.array([feature["properties"]["classification"]["name"].partition(":")[0] for feature in features])
    return {str(name): centres[names == name] for name in np.unique(names)}
