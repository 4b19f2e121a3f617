"""A region of interest is read in the frame that its file states, else in QuPath's."""

import json
from pathlib import Path
from typing import Any

import pytest
import shapely

from tests.evaluate.made import annotations
from wsi_parse.annotations.frame import SlideStated
from wsi_parse.annotations.roi import read_roi
from wsi_parse.errors import UsageError
from wsi_parse.evaluate import EvaluationOptions, evaluate

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]}


@pytest.mark.parametrize(
    ("provenance", "corner"),
    [
        (None, (300, 200)),
        ({}, (300, 200)),
        ({"frame": "qupath"}, (300, 200)),
        ({"frame": "qupath", "offset_level0_px": [300, 200]}, (300, 200)),
        ({"frame": "level0", "offset_level0_px": [0, 0]}, (0, 0)),
        ({"frame": "level0"}, (0, 0)),
        ({"offset_level0_px": [7, 5.5]}, (7, 5.5)),
        ({"offset_level0_px": ["7", None]}, (300, 200)),
        ({"offset_level0_px": [True, False]}, (300, 200)),
        ({"offset_level0_px": [1e300, 0]}, (300, 200)),
        ({"offset_level0_px": [1]}, (300, 200)),
    ],
)
def test_the_file_states_where_it_counts_from(tmp_path: Path, provenance: Any, corner: tuple[float, float]) -> None:
    path = tmp_path / "roi.geojson"
    collection = {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": SQUARE, "properties": {}}]}
    path.write_text(json.dumps(collection if provenance is None else {**collection, "wsi_parse": provenance}))
    assert shapely.bounds(read_roi(path, (300, 200)).area).tolist() == [*corner, corner[0] + 10, corner[1] + 10]


@pytest.mark.parametrize(
    ("slide", "stated"),
    [
        ({"name": "a.svs", "fingerprint": "f0", "width_px": 9, "height_px": 8}, SlideStated("a.svs", "f0", (9, 8))),
        ({"name": "a.svs"}, SlideStated("a.svs")),
        ({"name": "a.svs", "fingerprint": 7, "width_px": "9", "height_px": None}, SlideStated("a.svs")),
        ({"name": None}, None),
        ("a.svs", None),
    ],
)
def test_the_file_states_its_slide(tmp_path: Path, slide: Any, stated: SlideStated | None) -> None:
    path = tmp_path / "roi.geojson"
    feature = {"type": "Feature", "geometry": SQUARE, "properties": {}}
    path.write_text(json.dumps({"type": "FeatureCollection", "wsi_parse": {"slide": slide}, "features": [feature]}))
    assert read_roi(path, (0, 0)).slide == stated


def test_a_region_without_an_area_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "roi.geojson"
    point = {"type": "Point", "coordinates": [1, 2]}
    for geometry, words in ((point, "contains no polygon"), ({**SQUARE, "coordinates": [[["x"]]]}, "damaged")):
        path.write_text(json.dumps({"type": "Feature", "geometry": geometry, "properties": {}}))
        with pytest.raises(UsageError, match=words):
            read_roi(path, (0, 0))


def square(left: float, top: float, width: float, height: float) -> dict[str, Any]:
    right, bottom = left + width, top + height
    return {
        "type": "Polygon",
        "coordinates": [[[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]],
    }


@pytest.mark.parametrize(
    ("crs", "geometry", "words"),
    [
        ("EPSG:4326", square(0.1, 0.1, 0.5, 0.5), "degrees.*EPSG:4326.*level 0"),
        ("urn:ogc:def:crs:OGC:1.3:CRS84", square(10, 20, 30, 30), "degrees"),
        ("urn:ogc:def:crs:EPSG::4258", square(10, 20, 30, 30), "degrees"),
        ("http://www.opengis.net/def/crs/EPSG/0/4326", square(10, 20, 30, 30), "degrees"),
        ("", square(0.1, 0.1, 0.5, 0.5), "0.5 px wide and 0.5 px high.*level 0"),
        ("", square(0, 0, 1, 1), "1 px wide"),
        ("", square(100, 100, 3000, 2), "2 px high"),
    ],
)
def test_a_region_that_is_not_in_pixels_is_an_error(tmp_path: Path, crs: str, geometry: Any, words: str) -> None:
    path = tmp_path / "roi.geojson"
    named = {"crs": {"type": "name", "properties": {"name": crs}}} if crs else {}
    features = [{"type": "Feature", "geometry": geometry, "properties": {}}]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **named}))
    with pytest.raises(UsageError, match=words):
        read_roi(path, (0, 0))
    inside = annotations([shapely.box(0, 0, 5000, 5000)])
    with pytest.raises(UsageError, match=words):
        evaluate(inside, inside, EvaluationOptions(roi=path))


@pytest.mark.parametrize(
    ("crs", "geometry"),
    [
        ("EPSG:4326", square(1000, 2000, 300, 300)),
        ("urn:ogc:def:crs:EPSG::32643", square(10, 20, 30, 30)),
        ("EPSG:3857", square(10, 20, 30, 30)),
        ("", square(0, 0, 10, 10)),
    ],
)
def test_a_region_in_pixels_is_taken_whatever_a_program_for_maps_wrote(tmp_path: Path, crs: str, geometry: Any) -> None:
    path = tmp_path / "roi.geojson"
    features = [{"type": "Feature", "geometry": geometry, "properties": {}}]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, "crs": crs}))
    assert read_roi(path, (0, 0)).area.area == shapely.from_geojson(json.dumps(geometry)).area
