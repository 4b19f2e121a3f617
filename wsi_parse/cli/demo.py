"""The demo: a synthetic slide with known nuclei, the main job on it, and how much of the truth was found."""

import json
from pathlib import Path

import numpy as np
import shapely
from rich.console import Console

from wsi_parse.cli.run import run_slides
from wsi_parse.evaluate import match_centres
from wsi_parse.settings import RunSettings
from wsi_parse.synthetic import demo_slide

MATCH_UM = 6.0


def run_demo(out: Path) -> int:
    """Make the demo slide in `out`, run "nuclei" on it, print where to look. Returns the exit code."""
    console = Console(stderr=True)
    out.mkdir(parents=True, exist_ok=True)
    slide, truth = out / "demo.svs", out / "demo_truth.geojson"
    if not (slide.exists() and truth.exists()):
        with console.status("Painting a synthetic slide …"):
            demo_slide(slide, truth=truth)
    code = run_slides([slide], out, RunSettings.load(prompts=("nuclei",)), dry_run=False, as_json=False)
    if code:
        return code
    folder = out / "demo"
    found = _centres_um(folder / "annotations.geojson")
    known = _centres_um(truth)
    matched = match_centres(found, known, MATCH_UM)
    f1 = 2 * len(matched) / (len(found) + len(known))
    console.print(
        f"\nOf {len(known):,} painted nuclei {len(matched):,} were found, {len(found) - len(matched):,} more were "
        f"called nuclei that are none: F1 {f1:.2f} (centres within {MATCH_UM:g} um).",
        highlight=False,
    )
    console.print(
        f"Look at {folder / 'overlay.png'}, or open {slide} in QuPath and drag "
        f"{folder / 'annotations.geojson'} onto it.",
        highlight=False,
        soft_wrap=True,
    )
    return 0


def _centres_um(path: Path) -> np.ndarray:
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    shapes = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])
    return shapely.get_coordinates(shapely.centroid(shapes)) * 0.25
