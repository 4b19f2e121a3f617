"""A region of interest is read in the frame that its file states, else in QuPath's."""

import json
from pathlib import Path
from typing import Any

import pytest
import shapely

from wsi_parse.annotations.roi import read_roi

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
    assert shapely.bounds(read_roi(path, (300, 200))).tolist() == [*corner, corner[0] + 10, corner[1] + 10]
