"""A region of interest is read in the frame that its file states, else in QuPath's."""

import json
from pathlib import Path
from typing import Any

import pytest
import shapely

from wsi_parse.annotations.frame import SlideStated
from wsi_parse.annotations.roi import read_roi
from wsi_parse.errors import UsageError

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
