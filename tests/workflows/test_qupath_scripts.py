"""The Groovy scripts, run by Groovy: names, frames, and no duplicates. QuPath's classes are stubs."""

import json
import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from wsi_parse.exporters.areas import TISSUE, write_areas
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.geojson_parts import GeoJsonParts
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Prompt

pytestmark = pytest.mark.whole

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
    """An image of a QuPath project, with the ids of its objects."""

    name: str
    width: int = WHOLE[0]
    height: int = WHOLE[1]
    ids: list[str] = field(default_factory=list)


def run(
    script: str, project: Path, *images: Image, arguments: tuple[Path, ...] = (), before: str = ""
) -> list[dict[str, Any]]:
    """Run a script for all images; what it printed, how it failed, and the objects afterwards, one per image.

    `before` is a folder with stubs of an earlier version.
    """
    scenario = project / "scenario.json"
    scenario.write_text(json.dumps({"project": str(project), "images": [vars(image) for image in images]}))
    java = Path(shutil.which("java") or "").resolve().parent.parent
    result = subprocess.run(
        [
            "groovy",
            "-cp",
            f"{HERE / before}:{HERE / 'stubs'}:{GSON}",
            HERE / "drive.groovy",
            SCRIPTS / script,
            scenario,
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "JAVA_HOME": str(java)},
    )
    assert result.returncode == 0, result.stderr
    after: list[dict[str, Any]] = json.loads(result.stdout.splitlines()[-1])
    return after


def squares(count: int, seed: int) -> ObjectBatch:
    """Squares in level-0 pixels, inside the bounds."""
    corner = np.random.default_rng(seed).integers(0, 1500, (count, 2)) + BOUNDS[:2]
    shapes = shapely.box(*corner.T, *(corner + 20).T)
    ids = np.array([str(uuid.uuid5(uuid.NAMESPACE_OID, f"{seed} {number}")) for number in range(count)], object)
    return ObjectBatch(shapes, np.zeros(count, np.int16), ids, {"area_um2": np.full(count, 100.0, np.float32)}, shapes)


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
    prompts: tuple[Prompt, ...] = (Prompt.parse("nuclei"),),
) -> ObjectBatch:
    """Write the results of one slide as a run does."""
    target = project / "wsi-parse-out" / (folder or slide)
    target.mkdir(parents=True)
    about = {"name": slide, "width_px": WHOLE[0], "height_px": WHOLE[1], "bounds_level0_px": bounds}
    provenance = {
        "slide": about,
        "frame": "qupath",
        "offset_level0_px": list(offset),
        "prompts": [{"class": prompt.class_name, "colour": list(prompt.colour)} for prompt in prompts],
    }
    classes = ClassTable.of(prompts)
    context = ExportContext(classes, offset, provenance, max_part_objects=max_part_objects)
    batch = squares(10, seed)
    with GeoJsonParts(target / name, context) as exporter:
        exporter.write(batch)
    write_areas(target / "tissue.geojson", [np.array([shapely.box(700, 300, 3000, 2000)])], TISSUE, context)
    return batch


def ids_of(result: dict[str, Any]) -> list[str]:
    return [one["id"] for one in result["objects"] if one["properties"]["classification"]["name"] != "Tissue"]


def corners(result: dict[str, Any]) -> np.ndarray:
    cells = [one for one in result["objects"] if one["properties"]["classification"]["name"] != "Tissue"]
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
    after = run("import_wsi_parse.groovy", tmp_path, *map(Image, names))
    assert [one["failed"] for one in after] == [None] * 5
    for batch, one in zip(batches, after, strict=False):
        assert ids_of(one) == list(batch.ids)
        assert len(one["objects"]) == 11, "and the tissue"
        assert "11 objects added, 0 existed already, 0 refused" in one["printed"]
        assert np.array_equal(corners(one), shapely.bounds(batch.geometry)[:, :2])
        assert one["objects"][0]["properties"]["measurements"] == {"area_um2": 100}
    assert after[-1]["objects"] == []
    assert "no result with this name" in after[-1]["printed"]


def test_what_is_there_already_is_not_added_again(tmp_path: Path) -> None:
    batch = results(tmp_path, "a.svs", 1)
    (result,) = run("import_wsi_parse.groovy", tmp_path, Image("a.svs", ids=list(batch.ids[:4])))
    assert "7 objects added, 4 existed already" in result["printed"]
    found = [one["id"] for one in result["objects"]]
    assert len(found) == len(set(found)) == 11


def test_classes_get_their_colours_before_any_object_comes(tmp_path: Path) -> None:
    derived = replace(Prompt.parse("blue dots"), class_name="Epithelial: Blue", colour=(1, 2, 3))
    results(tmp_path, "a.svs", 1, prompts=(derived, Prompt.parse("epithelial cells")))
    (result,) = run("import_wsi_parse.groovy", tmp_path, Image("a.svs"))
    packed = [
        (255 << 24 | red << 16 | green << 8 | blue) - (1 << 32) for red, green, blue in ((230, 130, 40), (1, 2, 3))
    ]
    assert result["classes"] == [["Epithelial", packed[0]], ["Epithelial: Blue", packed[1]]]
    assert len(result["objects"]) == 11


def test_v0_4_is_told_in_one_line_that_it_is_too_old(tmp_path: Path) -> None:
    results(tmp_path, "a.svs", 1)
    (result,) = run("import_wsi_parse.groovy", tmp_path, Image("a.svs"), before="v04")
    assert result["printed"] == "This script needs QuPath v0.5 or later. Nothing was imported.\n"
    assert result["failed"] is None
    assert result["objects"] == []


def test_one_bad_polygon_is_one_polygon(tmp_path: Path) -> None:
    batch = results(tmp_path, "a.svs", 1)
    path = tmp_path / "wsi-parse-out" / "a.svs" / "annotations.geojson"
    collection = json.loads(path.read_bytes())
    collection["features"][3]["geometry"]["coordinates"] = [[[1, 1], [2, 2], [1, 1]]]
    path.write_text(json.dumps(collection))
    (result,) = run("import_wsi_parse.groovy", tmp_path, Image("a.svs"))
    assert ids_of(result) == [*batch.ids[:3], *batch.ids[4:]]
    assert "10 objects added, 0 existed already, 1 refused" in result["printed"]
    assert f"{batch.ids[3]}: Invalid polygon" in result["printed"]


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
    assert "not cropped" in whole["printed"]
    assert "not cropped" not in cropped["printed"]
    assert other["objects"] == []
    assert "1000 x 900 px" in other["failed"]


def test_two_results_of_one_name_are_an_error_and_not_a_guess(tmp_path: Path) -> None:
    results(tmp_path, "a.svs", 1, folder="one")
    results(tmp_path, "a.svs", 2, folder="two")
    (result,) = run("import_wsi_parse.groovy", tmp_path, Image("a.svs"))
    assert "several results have this name" in result["failed"]
    assert result["objects"] == []


def test_the_folder_may_be_given_and_must_be_there(tmp_path: Path) -> None:
    batch = results(tmp_path, "a.svs", 1)
    elsewhere = tmp_path / "else where"
    (tmp_path / "wsi-parse-out").rename(elsewhere)
    (result,) = run("import_wsi_parse.groovy", tmp_path, Image("a.svs"), arguments=(elsewhere,))
    assert ids_of(result) == list(batch.ids)
    (result,) = run("import_wsi_parse.groovy", tmp_path, Image("a.svs"), arguments=(elsewhere / "a.svs",))
    assert ids_of(result) == list(batch.ids), "the results of one slide, too"
    (result,) = run("import_wsi_parse.groovy", tmp_path, Image("a.svs"))
    assert "give their folder with -a" in result["failed"]


def test_corrections_are_written_a_file_for_each_image(tmp_path: Path) -> None:
    ids = [str(uuid.uuid4()) for _ in range(3)]
    after = run(
        "export_corrections.groovy", tmp_path, Image("a.svs", ids=ids), Image("b/c: d.scn - S1", ids=ids), Image("e")
    )
    assert [one["failed"] for one in after] == [None] * 3
    files = sorted(path.name for path in (tmp_path / "corrected").iterdir())
    assert files == ["a.svs.geojson", "b_c_ d.scn - S1.geojson"]
    features = json.loads((tmp_path / "corrected" / files[0]).read_bytes())["features"]
    assert [feature["id"] for feature in features] == ids
    assert "no objects to export" in after[2]["printed"]


def test_scripts_are_short() -> None:
    for path in SCRIPTS.glob("*.groovy"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 120
