"""CPU seconds of making objects from maps, against the leanest way: `python -m benchmarks.objects_floor [--json]`.

Both take the same maps of a dense painted tumour, chunk by chunk, in one thread, in turns. The floor is what scipy,
scikit-image and shapely need for label, contour, polygon and area alone: touching nuclei stay one object, no outline is
simplified, snapped or made valid, nothing but the area is measured, and what lies across the border of a chunk is cut.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from benchmarks.objects import DENSITY
from wsi_parse.compute.cluster import Cluster
from wsi_parse.compute.graph import remaining_work, run_graph
from wsi_parse.compute.plan import RunPlan
from wsi_parse.objects.extract import extract_objects
from wsi_parse.run.layout import lay_out
from wsi_parse.run.prepared import resolve_run
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import RunSettings
from wsi_parse.synthetic import SyntheticSlide, write_svs_like

ROUNDS = 5


def leanest(values: NDArray[np.uint8], threshold: float) -> tuple[int, float]:
    """Label a map, outline each part, and return the number of polygons and their area in pixels."""
    level = np.ceil(threshold) - 0.5
    labels, _ = ndimage.label(values > level)
    padded = np.pad(values.astype(np.float32), 1)
    rings = []
    for part in ndimage.find_objects(labels):
        rows, columns = part
        # With a pixel around, because an outline runs between pixels; neighbours within the box are left out.
        box = padded[rows.start : rows.stop + 2, columns.start : columns.stop + 2]
        contours = find_contours(box, level)
        ring = max(contours, key=len)
        if len(ring) > 3:
            rings.append(ring[:, ::-1] + (columns.start - 0.5, rows.start - 0.5))
    points = np.concatenate(rings)
    which = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    polygons = shapely.polygons(shapely.linearrings(points, indices=which))
    return len(polygons), float(shapely.area(polygons).sum())


def painted(side: int, folder: Path) -> Path:
    """Paint a dense tumour."""
    slide = folder / f"{side}.svs"
    write_svs_like(slide, SyntheticSlide(side, side, seed=1, tissue=0.95, density=DENSITY))
    return slide


def predicted(slide: Path, folder: Path, model: str = "stain") -> RunPlan:
    """Predict what of a slide is not yet predicted in a folder."""
    settings = RunSettings.load(prompts=("nuclei",), model={"name": model}, compute={"workers": 0})
    prepared = resolve_run(slide, resolve(settings))
    plan = lay_out(prepared, prepared.tissue(), folder / "out")
    blocks, _ = remaining_work(plan)
    with Cluster(settings.compute, plan.objects) as cluster:
        run_graph(cluster.workers(), plan, blocks, [[]], lambda _: None)
    return plan


def measure(plan: RunPlan) -> dict[str, float]:
    """Make the objects of all chunks in both ways, in turns."""
    (context,) = plan.pass_contexts
    (recipe,) = context.scale_pass.recipes
    chunks = context.chunks.chunks(context.selection)
    ours: list[float] = []
    floor: list[float] = []
    cells = parts = 0
    for _ in range(ROUNDS):
        started = time.thread_time()
        cells = sum(len(extract_objects(context, chunk).cells) for chunk in chunks)
        made = time.thread_time()
        # The same maps, blended by the product in both: its windows with their margins are those it outlines.
        maps = [context.channel(recipe.probability, context.chunks.core(chunk))[0] for chunk in chunks]
        blended = time.thread_time()
        parts = sum(leanest(values, context.parameters.threshold_255)[0] for values in maps)
        floor.append(time.thread_time() - blended)
        ours.append(made - started)
    told = {"ours_s": statistics.median(ours), "floor_s": statistics.median(floor)}
    per_object = {
        "ours_us_per_object": 1e6 * told["ours_s"] / cells,
        "floor_us_per_part": 1e6 * told["floor_s"] / parts,
    }
    return {
        "chunks": len(chunks),
        "objects": cells,
        "parts_of_the_floor": parts,
        **told,
        **per_object,
        "times_floor": told["ours_s"] / told["floor_s"],
        "times_floor_per_object": per_object["ours_us_per_object"] / per_object["floor_us_per_part"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.objects_floor", description=__doc__)
    parser.add_argument("--side", type=int, default=6_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plan = predicted(painted(given.side, Path(folder)), Path(folder))
        found = {name: round(value, 3) for name, value in measure(plan).items()}
    print(json.dumps(found) if given.json else "\n".join(f"{value:>12,} {name}" for name, value in found.items()))


if __name__ == "__main__":
    main()
