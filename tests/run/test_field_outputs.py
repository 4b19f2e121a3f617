"""Heat maps, their grid and the least certain places: on request, from the one stream, and QuPath takes them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

from tests.report.pages import GLANDS, NUCLEI, crowd, discs, slide_of, tissue_of
from wsi_parse.exporters.base import ExportContext
from wsi_parse.geometry import Box
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.qupath.check import check_file
from wsi_parse.run.field_outputs import GRID_NAME, HEAT_NAME, PLACES_NAME, FieldOutputs
from wsi_parse.settings import ExportSettings

CLASSES = ClassTable.of([NUCLEI, GLANDS])
BOTH = ExportSettings(heat_map=True, least_certain=3)
SURE = discs(crowd(1, 300, 300, 1100), class_probability=0.9)
UNSURE = discs(crowd(2, 30, 400, 500), row=1, class_probability=0.35)
GLAND = discs([(900, 800)], row=2, radius=150)


def written(folder: Path, settings: ExportSettings = BOTH, region: Any = None) -> tuple[str, ...]:
    slide = slide_of(bounds=Box(100, 50, 1400, 1100))
    outputs = FieldOutputs(slide, tissue_of(slide, region=region), CLASSES, settings)
    for batch in (SURE, UNSURE, GLAND):
        outputs.write(batch)
    context = ExportContext(CLASSES, (100, 50), {"slide": {"name": "array"}, "model": {"name": "stain"}})
    paths = outputs.finish(folder, context)
    assert {path.name for path in folder.iterdir()} == {path.name for path in paths}
    return tuple(path.name for path in paths)


def features(path: Path) -> list[Any]:
    report = check_file(path)
    assert not report.counts, report.examples
    found: list[Any] = json.loads(path.read_text())["features"]
    return found


def test_only_what_was_asked_for_is_written(tmp_path: Path) -> None:
    for name, settings, expected in (
        ("both", BOTH, {HEAT_NAME, GRID_NAME, PLACES_NAME}),
        ("places", ExportSettings(least_certain=1), {PLACES_NAME}),
    ):
        (tmp_path / name).mkdir()
        assert set(written(tmp_path / name, settings)) == expected


def test_the_grid_counts_every_object_once_and_lies_where_qupath_looks(tmp_path: Path) -> None:
    written(tmp_path)
    squares = features(tmp_path / GRID_NAME)
    measured = [one["properties"]["measurements"] for one in squares]
    assert sum(one["nuclei count"] for one in measured) == 330
    assert sum(one[f"{GLANDS.name} count"] for one in measured) == 1
    assert max(one.get(f"{GLANDS.name} covered %", 0) for one in measured) > 10
    shapes = np.array([shapely.from_geojson(json.dumps(one["geometry"])) for one in squares])
    assert shapely.total_bounds(shapes).tolist()[:2] == [0, 0], "at the bounds of the slide"
    assert shapely.area(shapely.union_all(shapes)) == pytest.approx(shapely.area(shapes).sum()), "none overlap"
    for shape, one in zip(shapes, measured, strict=True):
        inside = shapely.contains(shapely.affinity.translate(shape, 100, 50), shapely.centroid(SURE.geometry))
        assert inside.sum() <= one["nuclei count"]
        if "nuclei per mm2" in one:
            assert one["nuclei per mm2"] == pytest.approx(one["nuclei count"] / one["tissue_mm2"], rel=1e-2)


def test_the_least_certain_place_comes_first_and_the_places_are_as_many_as_asked_for(tmp_path: Path) -> None:
    written(tmp_path)
    places = features(tmp_path / PLACES_NAME)
    assert [one["properties"]["name"] for one in places] == [f"Least certain {number}" for number in (1, 2, 3)]
    assert all(one["properties"]["isLocked"] for one in places)
    means = [one["properties"]["measurements"]["mean probability"] for one in places]
    assert means == sorted(means)
    assert means[0] < 0.6
    first = shapely.from_geojson(json.dumps(places[0]["geometry"]))
    assert first.distance(shapely.Point(450 - 100, 450 - 50)) < 130
    assert first.area == pytest.approx(256**2, rel=0.02)


@pytest.mark.parametrize("region", [None, shapely.box(600, 500, 1000, 800), shapely.box(300, 300, 1300, 900)])
def test_the_heat_map_has_a_panel_for_each_prompt(tmp_path: Path, region: Any) -> None:
    written(tmp_path, region=region)
    with Image.open(tmp_path / HEAT_NAME) as picture:
        colourful = np.ptp(np.asarray(picture.convert("RGB")).astype(int), axis=2) > 60
    halves = np.array_split(colourful, 2, axis=1)
    assert all(half.any() for half in halves)


def test_the_soft_edge_of_a_map_does_not_reach_over_glass(tmp_path: Path) -> None:
    """Its colours are where the tissue is, which ends far from the rim of this slide."""
    written(tmp_path, ExportSettings(heat_map=True))
    with Image.open(tmp_path / HEAT_NAME) as picture:
        coloured = np.ptp(np.asarray(picture.convert("RGB")).astype(int), axis=2) > 60
    tissue = tissue_of(slide_of())
    share = tissue.tissue.mean()
    # Two panels fill nearly all of the sheet.
    assert 0.5 * share < coloured.mean() < 1.02 * share


def test_a_slide_without_objects_and_without_tissue(tmp_path: Path) -> None:
    slide = slide_of()
    outputs = FieldOutputs(slide, tissue_of(slide, found=False), CLASSES, BOTH)
    outputs.finish(tmp_path, ExportContext(CLASSES, (0, 0), {}))
    assert features(tmp_path / PLACES_NAME) == []
    assert features(tmp_path / GRID_NAME) == []
    assert (tmp_path / HEAT_NAME).exists()
