"""The Groovy scripts, run by Groovy: names matched, frames checked, nothing twice. QuPath's classes are stubs."""

import json
import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.geojson import write_tissue
from wsi_parse.exporters.parts import GeoJsonParts
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.prompts import Prompt

HERE = Path(__file__).parent / "qupath"
SCRIPTS = Path(__file__).parents[2] / "workflows" / "qupath"
GSON = Path("/usr/share/java/gson.jar")
BOUNDS = (700, 300, 4000, 2000)
WHOLE = (6000, 5000)


@pytest.fixture(scope="module", autouse=True)
def _groovy() -> None:
    if shutil.which("groovy") is None or not GSON.exists():
        pytest.skip("there is no Groovy here: apt-get install groovy libgoogle-gson-java")


@dataclass
class Image:
    """An image of a QuPath project, and what is in it already."""

    name: str
    width: int = WHOLE[0]
    height: int = WHOLE[1]
    ids: list[str] = field(default_factory=list)


def run(script: str, project: Path, *images: Image, arguments: tuple[Path, ...] = ()) -> list[dict[str, Any]]:
    """Run a script for all images; what it said, how it failed, and what is there then, an image each."""
    scenario = project / "scenario.json"
    scenario.write_text(json.dumps({"project": str(project), "images": [vars(image) for image in images]}))
    java = Path(shutil.which("java") or "").resolve().parent.parent
    result = subprocess.run(
        ["groovy", "-cp", f"{HERE / 'stubs'}:{GSON}", HERE / "drive.groovy", SCRIPTS / script, scenario, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "JAVA_HOME": str(java)},
    )
    assert result.returncode == 0, result.stderr
    told: list[dict[str, Any]] = json.loads(result.stdout.splitlines()[-1])
    return told


def squares(count: int, seed: int) -> ObjectBatch:
    """Squares in level-0 pixels, inside the bounds."""
    corner = np.random.default_rng(seed).integers(0, 1500, (count, 2)) + BOUNDS[:2]
    shapes = shapely.box(*corner.T, *(corner + 20).T)
    ids = np.array([str(uuid.uuid5(uuid.NAMESPACE_OID, f"{seed} {number}")) for number in range(count)], object)
    return ObjectBatch(shapes, np.zeros(count, np.int16), ids, {"area_um2": np.full(count, 100.0)}, None, shapes)


def results(
    project: Path,
    slide: str,
    seed: int,
    *,
    folder: str = "",
    offset: tuple[int, int] = (0, 0),
    bounds: tuple[int, ...] | None = None,
    name: str = "annotations.geojson",
    max_part_objects: int = 1000,
) -> ObjectBatch:
    """Write the results of one slide as a run does."""
    place = project / "wsi-parse-out" / (folder or slide)
    place.mkdir(parents=True)
    about = {"name": slide, "width_px": WHOLE[0], "height_px": WHOLE[1], "bounds_level0_px": bounds}
    told = {"slide": about, "frame": "qupath", "offset_level0_px": list(offset)}
    context = ExportContext((Prompt.parse("nuclei"),), offset, told, max_part_objects=max_part_objects)
    batch = squares(10, seed)
    with GeoJsonParts(place / name, context) as exporter:
        exporter.write(batch)
    write_tissue(place / "tissue.geojson", np.array([shapely.box(700, 300, 3000, 2000)]), context)
    return batch


def ids_of(told: dict[str, Any]) -> list[str]:
    return [one["id"] for one in told["objects"] if one["properties"]["classification"]["name"] != "Tissue"]


def corners(told: dict[str, Any]) -> np.ndarray:
    cells = [one for one in told["objects"] if one["properties"]["classification"]["name"] != "Tissue"]
    for one in cells:
        assert one["nucleus"] == one["geometry"]
    return np.array([np.min(one["geometry"]["coordinates"][0], axis=0) for one in cells])


def test_every_image_of_a_project_gets_the_results_of_its_name(tmp_path: Path) -> None:
    batches = [
        results(tmp_path, "a.svs", 1, folder="a-svs"),
        results(tmp_path, "a.ndpi", 2, folder="a-ndpi", name="annotations.geojson.gz"),
        results(tmp_path, "b.scn", 3, max_part_objects=3),
        results(tmp_path, "größe 1.tif", 4),
    ]
    names = ("a.svs", "a.ndpi", "b.scn - Series 1", "größe 1", "c.svs")
    told = run("import_wsi_parse.groovy", tmp_path, *map(Image, names))
    assert [one["failed"] for one in told] == [None] * 5
    for batch, one in zip(batches, told, strict=False):
        assert ids_of(one) == list(batch.ids)
        assert len(one["objects"]) == 11, "and the tissue"
        assert "11 objects added, 0 were there, 0 refused" in one["said"]
        assert np.array_equal(corners(one), shapely.bounds(batch.geometry)[:, :2])
        assert one["objects"][0]["properties"]["measurements"] == {"area_um2": 100}
    assert told[-1]["objects"] == []
    assert "no result of this name" in told[-1]["said"]


def test_what_is_there_already_is_not_added_again(tmp_path: Path) -> None:
    batch = results(tmp_path, "a.svs", 1)
    (told,) = run("import_wsi_parse.groovy", tmp_path, Image("a.svs", ids=list(batch.ids[:4])))
    assert "7 objects added, 4 were there" in told["said"]
    found = [one["id"] for one in told["objects"]]
    assert len(found) == len(set(found)) == 11


def test_one_bad_polygon_is_one_polygon(tmp_path: Path) -> None:
    batch = results(tmp_path, "a.svs", 1)
    path = tmp_path / "wsi-parse-out" / "a.svs" / "annotations.geojson"
    collection = json.loads(path.read_bytes())
    collection["features"][3]["geometry"]["coordinates"] = [[[1, 1], [2, 2], [1, 1]]]
    path.write_text(json.dumps(collection))
    (told,) = run("import_wsi_parse.groovy", tmp_path, Image("a.svs"))
    assert ids_of(told) == [*batch.ids[:3], *batch.ids[4:]]
    assert "10 objects added, 0 were there, 1 refused" in told["said"]
    assert f"{batch.ids[3]}: Invalid polygon" in told["said"]


@pytest.mark.parametrize("frame", ["qupath", "level0"])
def test_objects_land_in_the_right_place_whatever_the_frame(tmp_path: Path, frame: str) -> None:
    offset = BOUNDS[:2] if frame == "qupath" else (0, 0)
    batch = results(tmp_path, "a.mrxs", 1, offset=offset, bounds=BOUNDS)
    cropped, whole, other = run(
        "import_wsi_parse.groovy",
        tmp_path,
        Image("a.mrxs", *BOUNDS[2:]),
        Image("a.mrxs", *WHOLE),
        Image("a.mrxs", 1000, 900),
    )
    truth = shapely.bounds(batch.geometry)[:, :2]
    assert np.array_equal(corners(cropped), truth - BOUNDS[:2])
    assert np.array_equal(corners(whole), truth)
    assert ids_of(cropped) == ids_of(whole) == list(batch.ids), "moved, they keep their ids"
    assert "not cropped" in whole["said"]
    assert "not cropped" not in cropped["said"]
    assert other["objects"] == []
    assert "1000 x 900 px" in other["failed"]


def test_two_results_of_one_name_are_an_error_and_not_a_guess(tmp_path: Path) -> None:
    results(tmp_path, "a.svs", 1, folder="one")
    results(tmp_path, "a.svs", 2, folder="two")
    (told,) = run("import_wsi_parse.groovy", tmp_path, Image("a.svs"))
    assert "several results" in told["failed"]
    assert told["objects"] == []


def test_the_folder_may_be_given_and_must_be_there(tmp_path: Path) -> None:
    batch = results(tmp_path, "a.svs", 1)
    elsewhere = tmp_path / "else where"
    (tmp_path / "wsi-parse-out").rename(elsewhere)
    (told,) = run("import_wsi_parse.groovy", tmp_path, Image("a.svs"), arguments=(elsewhere,))
    assert ids_of(told) == list(batch.ids)
    (told,) = run("import_wsi_parse.groovy", tmp_path, Image("a.svs"), arguments=(elsewhere / "a.svs",))
    assert ids_of(told) == list(batch.ids), "the results of one slide, too"
    (told,) = run("import_wsi_parse.groovy", tmp_path, Image("a.svs"))
    assert "give theirs by -a" in told["failed"]


def test_corrections_are_written_a_file_for_each_image(tmp_path: Path) -> None:
    ids = [str(uuid.uuid4()) for _ in range(3)]
    told = run(
        "export_corrections.groovy", tmp_path, Image("a.svs", ids=ids), Image("b/c: d.scn - S1", ids=ids), Image("e")
    )
    assert [one["failed"] for one in told] == [None] * 3
    files = sorted(path.name for path in (tmp_path / "corrected").iterdir())
    assert files == ["a.svs.geojson", "b_c_ d.scn - S1.geojson"]
    features = json.loads((tmp_path / "corrected" / files[0]).read_bytes())["features"]
    assert [feature["id"] for feature in features] == ids
    assert "nothing to export" in told[2]["said"]


def test_scripts_are_short() -> None:
    for path in SCRIPTS.glob("*.groovy"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 120
