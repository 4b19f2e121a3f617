"""`python -m benchmarks.peer_outlines`: says which peers are missing; stand-ins get the same labels as wsi-parse."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import peer, peer_outlines
from benchmarks.outline_maps import Pixels
from benchmarks.outline_ways import WAYS
from tests.small_slides import tissue_with_nuclei, write_slide

# The peers' names, with a rectangle around each label, as far as the pixels go.
STAND_INS = {
    "sopa/__init__.py": "__version__ = '1'",
    "sopa/shapes.py": """
import geopandas, shapely
from scipy import ndimage
def vectorize(mask):
    found = [(down.start, down.stop, across.start, across.stop) for down, across in ndimage.find_objects(mask)]
    return geopandas.GeoDataFrame(geometry=[shapely.box(left, top, right, low) for top, low, left, right in found])
""",
    "tiatoolbox/__init__.py": "__version__ = '2'",
    "tiatoolbox/models/architecture/hovernet.py": """
from sopa.shapes import vectorize
class HoVerNet:
    @staticmethod
    def get_instance_info(pred_inst, offset, verbose):
        boxes = vectorize(pred_inst).translate(*offset)
        others = {"box": [0] * 4, "centroid": [0.0] * 2, "prob": 0, "type": 0}
        return {number: {"contours": list(box.exterior.coords), **others} for number, box in boxes.items()}
""",
    "tiatoolbox/models/engine/multi_task_segmentor.py": """
import numpy as np
class DaskDelayedJSONStore:
    def __init__(self, contours, processed_predictions):
        self.contours = contours
        assert all(len(values) == len(contours) for values in processed_predictions.values())
    def compute_annotations(self, store, scale_factor, **_):
        store.rings = [(np.array(ring) * scale_factor).tolist() for ring in self.contours]
        return store
    def compute_qupath_json(self, save_path, **settings):
        from tiatoolbox.annotation.storage import DictionaryStore
        self.compute_annotations(DictionaryStore(), **settings).to_geojson(save_path.with_suffix(".json"))
        return save_path.with_suffix(".json")
""",
    "tiatoolbox/annotation/storage.py": """
import json
class DictionaryStore:
    def to_geojson(self, path):
        shapes = [{"type": "Polygon", "coordinates": [ring]} for ring in self.rings]
        features = [{"type": "Feature", "properties": {}, "geometry": shape} for shape in shapes]
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
""",
}


def test_peers_that_are_not_installed_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", lambda command, **_: subprocess.CompletedProcess(command, returncode=1))
    monkeypatch.setattr(sys, "argv", ["peer_outlines"])
    with pytest.raises(SystemExit, match="sopa is not installed and tiatoolbox is not installed, so nothing"):
        peer_outlines.main()


def test_polygons_are_held_against_the_pixels_of_the_nearest_label(tmp_path: Path) -> None:
    square, crossed = [[1, 1], [5, 1], [5, 4], [1, 4], [1, 1]], [[20, 20], [24, 24], [24, 20], [20, 24], [20, 20]]
    shapes = [{"type": "Polygon", "coordinates": [ring]} for ring in (square, crossed)]
    features = [{"type": "Feature", "properties": {}, "geometry": shape} for shape in shapes]
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    found = peer_outlines.found_in(path, Pixels(np.array([(22.0, 22.0), (3.5, 3.0)]), np.array([8.0, 16.0])))
    assert found["objects"] == 2
    assert found["invalid"] == 1
    assert found["refused_by_qupath"]
    # The crossed one has no area by its points, and its centre is in its middle.
    assert found["area_to_pixels"] == 12 / 24
    assert found["area_of_an_object_off_median"] == (1 + 0.25) / 2
    assert found["shift_px_level0"] == [-0.25, -0.25]


@pytest.mark.whole
def test_all_outline_the_same_nuclei(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, code in STAND_INS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(peer, "ROUNDS", 1)
    slide = write_slide(tmp_path / "a.svs", tissue_with_nuclei(1500, 1500)[0])
    monkeypatch.setattr(sys, "argv", ["peer_outlines", str(slide)])
    peer_outlines.main()
    found = {one["way"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert list(found) == list(WAYS)
    assert {one["version"] for name, one in found.items() if "wsi" not in name} == {"1", "2"}
    assert len({(one["labels"], one["objects"]) for one in found.values()}) == 1
    for one in found.values():
        assert one["objects"] == one["labels"] > 10
        assert one["invalid"] == one["of_several_parts"] == 0
        assert one["shift_px_level0"] == pytest.approx([0, 0], abs=0.3)
        assert one["peak_mb"] >= one["before_mb"] > 0
    assert found["wsi-parse, same label maps"]["times_ours"] == 1.0
    assert found["wsi-parse, same label maps"]["area_to_pixels"] == pytest.approx(1, abs=0.05)
    assert found["sopa, vectorize"]["area_to_pixels"] == found["tiatoolbox, QuPath JSON"]["area_to_pixels"] > 1.05
