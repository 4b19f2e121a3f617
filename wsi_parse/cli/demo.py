"""The demo command: a painted slide with known nuclei, the embedded model on it, and how much of the truth it found."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from wsi_parse.cli.options import Out
from wsi_parse.cli.run import run_slides
from wsi_parse.cli.terminal import messages
from wsi_parse.prompts import Prompt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MATCH_UM = 6.0
# Prompt -> class of the painted truth.
_CLASSES = {"neoplastic cells": "neoplastic", "inflammatory cells": "inflammatory"}
_MPP = 0.25


def demo(out: Out = Path("demo-out")) -> None:
    """Make a synthetic slide with known cells, find two kinds of them, and compare the result with the truth.

    Examples
    --------
    wsi-parse demo
        Write slide, truth and results to demo-out.
    wsi-parse demo -o /tmp/demo
        Write them to another folder.
    wsi-parse demo -v
        See what is done.
    """
    from wsi_parse.settings import RunSettings
    from wsi_parse.synthetic import demo_slide

    console = messages()
    out.mkdir(parents=True, exist_ok=True)
    slide, truth = out / "demo.svs", out / "demo_truth.geojson"
    if not (slide.exists() and truth.exists()):
        with console.status("Painting a synthetic slide …"):
            demo_slide(slide, truth=truth)
    settings = RunSettings.load(prompts=tuple(_CLASSES), model={"name": "mini", "organ": "painted"})
    if code := run_slides([slide], out, settings, dry_run=False, as_json=False):
        raise typer.Exit(code)
    folder = out / "demo"
    annotations = folder / "annotations.geojson"
    console.print(f"Compared with the painted truth; centres match within {_MATCH_UM:g} µm:", highlight=False)
    console.print(_comparison(annotations, truth))
    console.print(
        "Painted cells are not real tissue: the demo shows that everything works together, but not how accurate the "
        "model is. To see that, run: wsi-parse models mini",
        highlight=False,
    )
    console.print(
        f"Look at {folder / 'overlay.png'}, or open {slide} in QuPath and drag {annotations} onto it.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _comparison(annotations: Path, truth: Path) -> Table:
    """Compare the objects of each prompt with the painted nuclei of that class."""
    import numpy as np

    from wsi_parse.evaluate import f1_score, match_centres

    table = Table(show_edge=False, pad_edge=False)
    for name in ("prompt", "painted", "found", "matched", "F1"):
        table.add_column(name, justify="left" if name == "prompt" else "right")
    found, known = _centres_um(annotations), _centres_um(truth)
    none = np.empty((0, 2))
    for prompt, painted_class in _CLASSES.items():
        ours, theirs = found.get(Prompt.parse(prompt).class_name, none), known.get(painted_class, none)
        matched = len(match_centres(ours, theirs, _MATCH_UM))
        f1 = f1_score(matched, len(ours), len(theirs))
        table.add_row(prompt, f"{len(theirs):,}", f"{len(ours):,}", f"{matched:,}", f"{f1:.2f}")
    return table


def _centres_um(path: Path) -> "dict[str, NDArray[np.float64]]":
    """Return the centres of each class, (n, 2) in µm; an unsure object counts for its class."""
    import numpy as np
    import shapely

    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    shapes = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])
    centres = shapely.get_coordinates(shapely.centroid(shapes)) * _MPP
    names = np.array([feature["properties"]["classification"]["name"].partition(":")[0] for feature in features])
    return {str(name): centres[names == name] for name in np.unique(names)}
