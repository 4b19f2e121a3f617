"""Outlining nuclei beside peers: `python -m benchmarks.peer_outlines [SLIDE ...]`; JSON, one object a slide and way.

tiatoolbox (https://github.com/TissueImageAnalytics/tiatoolbox) and sopa (https://github.com/gustaveroussy/sopa), both
BSD-3-Clause, are no dependencies: install each by pip in an environment of its own, and name its interpreter, as in
--python tiatoolbox/bin/python --python sopa/bin/python. One that is not found is left out, and this is said.

All get the same label maps, one for each chunk, in which touching nuclei are split and each is whole. The same work is:
an outline for each label, polygons in level-0 pixels, one GeoJSON. "wsi-parse, as a run" does more: it begins with the
stored maps of the model, splits and measures. Each way goes in a process of its own, in one thread, in turns; counted
are the least processor seconds of several rounds, without start and loading, and the memory before and at the peak.
Then the polygons are read from the files: how many are invalid, their area and place against the pixels of their
labels, and how many break a rule of QuPath's. What else differs is told in docs/speed.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from scipy.spatial import cKDTree

from benchmarks.objects_floor import painted
from benchmarks.outline_maps import Pixels, save_maps
from benchmarks.outline_ways import OURS, WAYS
from benchmarks.peer import least_in_turns, not_installed
from wsi_parse.annotations.read import read_annotations
from wsi_parse.qupath.check import check_file

ROOT = Path(__file__).resolve().parents[1]
_FIRST_SIDE = 1_500


def interpreters_of(pythons: Sequence[str]) -> dict[str, str]:
    """Return for each package of a way the first interpreter that has it; those that none has are missing."""
    found = {"wsi_parse": sys.executable}
    for package in {way.package: None for way in WAYS.values()}:
        for python in pythons:
            look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
            if package not in found and subprocess.run([python, "-c", look], cwd=ROOT, check=False).returncode == 0:
                found[package] = python
    return found


def compare(slide: Path, first: Path, folder: Path, model: str, pythons: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Outline the nuclei of a slide in all ways, in turns."""
    pixels = save_maps(slide, folder, model)
    told: dict[str, dict[str, Any]] = {}

    def seconds_of(name: str, python: str) -> float:
        given = (str(path) for path in (first, folder, folder / f"{name}.geojson"))
        command = [python, "-m", "benchmarks.outline_ways", name, *given]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr}")
        told[name] = json.loads(done.stdout.splitlines()[-1])
        return float(told[name]["cpu_s"])

    ways = {name: way for name, way in WAYS.items() if way.package in pythons}
    seconds = least_in_turns({name: partial(seconds_of, name, pythons[way.package]) for name, way in ways.items()})
    files = {name: found_in(folder / f"{name}.geojson", pixels) for name in ways}
    each = {name: seconds[name] / files[name]["objects"] for name in ways}
    for name in ways:
        yield {
            "slide": slide.name,
            "way": name,
            "version": told[name]["version"],
            "labels": len(pixels.area_level0),
            "objects_per_cpu_s": round(1 / each[name]),
            "times_ours": round(each[name] / each[OURS], 2),
            "before_mb": told[name]["before_mb"],
            "peak_mb": told[name]["peak_mb"],
            **files[name],
        }


def found_in(path: Path, pixels: Pixels) -> dict[str, Any]:
    """Read the polygons of a file back, and compare each with the label whose centre is nearest."""
    shapes = read_annotations(path).geometry
    centres = shapely.get_coordinates(shapely.centroid(shapes))
    _, label = cKDTree(pixels.centre_level0).query(centres)
    area, of_pixels = shapely.area(shapes), pixels.area_level0[label]
    shift_x, shift_y = np.median(centres - pixels.centre_level0[label], axis=0)
    refused = {rule.name: count for rule, count in check_file(path).counts.items() if rule.refused}
    return {
        "objects": len(shapes),
        "of_several_parts": int((shapely.get_num_geometries(shapes) > 1).sum()),
        "file_mb": round(path.stat().st_size / 1e6, 1),
        "points_per_object": round(float(shapely.get_num_coordinates(shapes).mean()), 1),
        "invalid": int((~shapely.is_valid(shapes)).sum()),
        "refused_by_qupath": refused,
        "area_to_pixels": round(float(area.sum() / of_pixels.sum()), 4),
        "area_of_an_object_off_median": round(float(np.median(np.abs(area / of_pixels - 1))), 4),
        "shift_px_level0": [round(float(shift_x), 2), round(float(shift_y), 2)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", nargs="*", type=Path, help="default: a painted tumour")
    parser.add_argument("--side", type=int, default=6_000, help="width of the painted one, in pixels")
    parser.add_argument("--model", default="stain")
    parser.add_argument("--python", action="append", default=[sys.executable], help="an interpreter that has a peer")
    given = parser.parse_args()
    pythons = interpreters_of(given.python)
    missing = sorted({way.package for way in WAYS.values()} - set(pythons))
    if len(pythons) == 1:
        raise not_installed("benchmarks.peer_outlines", *missing)
    for package in missing:
        print(f"{package} is not installed, and left out", file=sys.stderr)
    with tempfile.TemporaryDirectory() as temporary:
        first = Path(temporary) / "first"
        first.mkdir()
        save_maps(painted(_FIRST_SIDE, first), first, "stain")
        for number, slide in enumerate(given.slides or [painted(given.side, Path(temporary))]):
            folder = Path(temporary) / str(number)
            folder.mkdir()
            for found in compare(slide.resolve(), first, folder, given.model, pythons):
                print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
