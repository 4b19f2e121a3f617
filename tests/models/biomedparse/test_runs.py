"""Whole runs with the tiny twin: the same code as with the released network, on slides with something to see."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shapely

from tests.models.biomedparse.test_existence import published
from tests.shared import shared_data_root
from tests.small_slides import as_a_model_sees_it, tissue_with_nuclei, write_slide
from wsi_parse.compute.worker import predict_task
from wsi_parse.errors import ModelError, StageError, UsageError
from wsi_parse.exporters.geojson import GeoJsonExporter
from wsi_parse.geometry import Box
from wsi_parse.models.biomedparse.segmenter import BiomedParseModel
from wsi_parse.run.layout import lay_out
from wsi_parse.run.manifest import RunManifest, sha256_of
from wsi_parse.run.pipeline import run_slide
from wsi_parse.run.prepared import resolve_run
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import RunSettings

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """350 x 250 um of tissue with nuclei."""
    return write_slide(tmp_path_factory.mktemp("slides") / "small.svs", tissue_with_nuclei(700, 500)[0])


@pytest.fixture
def roi(tmp_path: Path) -> Path:
    return square(tmp_path / "roi.geojson", 200, 150, 190)


def square(path: Path, x: int, y: int, side: int) -> Path:
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    return path


def settings_of(
    file: Path, *prompts: str, roi: Path | None = None, overrides: tuple[str, ...] = (), **model: object
) -> RunSettings:
    return RunSettings.load(
        overrides=("tissue.detect=false", "export.report=false", *overrides),
        prompts=prompts,
        slide={"roi": roi},
        model={"name": "biomedparse", "weights": file, "device": "cpu", **model},
    )


def features(folder: Path) -> list[dict[str, object]]:
    return json.loads((folder / "annotations.geojson").read_text(encoding="utf-8"))["features"]


def test_two_scales_in_one_run_from_the_command_line(slide: Path, tiny_file: Path, roi: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wsi_parse.cli.main", slide, "--prompt", "Tumor cells", "--prompt", "glands"]
    command += [
        "--model",
        "biomedparse",
        "--weights",
        tiny_file,
        "--roi",
        roi,
        "--organ",
        "colon",
        "-o",
        tmp_path / "out",
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "CC-BY-NC-SA-4.0" in done.stderr
    folder = tmp_path / "out" / "small"
    manifest = RunManifest.load(folder)
    assert manifest is not None
    assert [(item["field_um"], item["words"]) for item in manifest.passes] == [
        (64.0, ["neoplastic cells in colon pathology"]),
        (480.0, ["glandular structure in colon pathology"]),
    ]
    assert manifest.model["licence"] == "CC-BY-NC-SA-4.0"
    assert manifest.model["weights_sha256"] == sha256_of(tiny_file)
    assert manifest.model["state"]["precision"] in {"float32", "bfloat16"}
    assert manifest.counts["neoplastic cells"] > 0
    assert {"torch", "timm", "transformers"} <= manifest.versions.keys()
    top = json.loads((folder / "annotations.geojson").read_text(encoding="utf-8"))["wsi_parse"]["model"]
    assert top["licence"] == "CC-BY-NC-SA-4.0"
    assert top["purpose"] == "non-commercial; research use only, not for clinical decisions"
    for path in folder.glob("*.*"):
        assert str(tiny_file.parent).encode() not in path.read_bytes(), path.name


def test_where_one_tile_alone_answers_the_stitched_map_is_its_answer(
    slide: Path, tiny_file: Path, roi: Path, tmp_path: Path
) -> None:
    settings = settings_of(tiny_file, "neoplastic cells", "glands", roi=roi)
    prepared = resolve_run(slide, resolve(settings))
    with prepared.slide:
        plan = lay_out(prepared, prepared.tissue(), tmp_path)
        model = BiomedParseModel(settings.model, prepared.weights)
        for index, item in enumerate(plan.passes):
            grid, context = item.selection.grid, plan.pass_contexts[index]
            block = item.selection.blocks()[0]
            predict_task(plan.sealed, index, block)
            places = item.selection.of_block(block)[:3]
            for row, column in places:
                tile = grid.tile(row, column)
                image = as_a_model_sees_it(prepared.slide, tile.read, grid.frame)
                for channel in item.scale_pass.channels:
                    alone = model.predict(image[None], item.scale_pass, plan.state)[channel.name][0]
                    read = Box(*(value // channel.stride for value in (tile.read.x, tile.read.y)), *alone.shape[::-1])
                    inner = read.expanded(-grid.overlap_px // channel.stride).intersection(context.chunks.frame.box)
                    values, covered = context.channel(channel.name, inner)
                    assert covered.all()
                    assert values.size > 1000
                    assert np.array_equal(values, alone[inner.relative_to(read).slices])


def test_all_gives_each_cell_one_class_and_keeps_the_runner_up(
    slide: Path, tiny_file: Path, roi: Path, tmp_path: Path
) -> None:
    settings = settings_of(tiny_file, "all", roi=roi, organ="breast", field_um=128.0)
    manifest = run_slide(slide, tmp_path, settings)
    assert manifest.counts.keys() == {"epithelial cells", "neoplastic cells"}
    assert manifest.settings["prompts"] == ["epithelial cells", "neoplastic cells"]
    assert sum(manifest.counts.values()) > 5
    found = features(tmp_path)
    shapes = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in found])
    assert shapely.area(shapely.union_all(shapes)) == pytest.approx(shapely.area(shapes).sum(), rel=0.01)
    names = {"Epithelial": "probability_epithelial_cells", "Tumor": "probability_neoplastic_cells"}
    for feature in found:
        properties = feature["properties"]
        values, name = properties["measurements"], properties["classification"]["name"]  # type: ignore[index]
        assert values[names[name]] == values["class_probability"] >= values["runner_up_probability"]
        assert {values[column] for column in names.values()} == {
            values["class_probability"],
            values["runner_up_probability"],
        }


def test_interrupted_and_resumed_gives_the_same_bytes(slide: Path, tiny_file: Path, roi: Path, tmp_path: Path) -> None:
    settings = settings_of(tiny_file, "neoplastic cells", roi=roi, overrides=("tiles.block=1",), field_um=96.0)
    clean = run_slide(slide, tmp_path / "clean", settings)
    tiles = clean.passes[0]["tiles"]
    calls: list[int] = []
    predict = BiomedParseModel.predict

    def counting(self, images, scale_pass, state):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        calls.append(len(images))
        if len(calls) == 3:
            raise ModelError("The power is out.")
        return predict(self, images, scale_pass, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BiomedParseModel, "predict", counting)
        with pytest.raises(StageError, match="power is out"):
            run_slide(slide, tmp_path / "out", settings)
        resumed = run_slide(slide, tmp_path / "out", settings)
    assert tiles > 3
    assert sum(calls) == tiles + 1
    assert resumed.outputs == clean.outputs


def test_existence_is_told_in_the_manifest_and_drops_nothing(
    slide: Path, tiny_file: Path, roi: Path, tmp_path: Path
) -> None:
    import shutil

    settings = settings_of(tiny_file, "neoplastic cells", roi=roi, field_um=256.0)
    plain = run_slide(slide, tmp_path / "plain", settings)
    assert plain.existence == {}
    (tmp_path / "with").mkdir()
    copy = Path(shutil.copy(tiny_file, tmp_path / "with" / "w.safetensors"))
    published(tmp_path / "with" / "target_dist.json")
    observed = run_slide(slide, tmp_path / "observed", settings_of(copy, "neoplastic cells", roi=roi, field_um=256.0))
    assert observed.existence["neoplastic cells"]["tiles"] == observed.passes[0]["tiles"]
    assert observed.counts == plain.counts
    assert observed.outputs[GeoJsonExporter.file_name] == plain.outputs[GeoJsonExporter.file_name]


def test_cells_and_glands_in_one_field_keep_their_own_objects(
    slide: Path, tiny_file: Path, roi: Path, tmp_path: Path
) -> None:
    prompts = ("glands", "neoplastic cells")
    alone = {}
    for prompt in prompts:
        settings = settings_of(tiny_file, prompt, roi=roi, field_um=128.0)
        alone |= run_slide(slide, tmp_path / prompt, settings).counts
    both = run_slide(slide, tmp_path / "both", settings_of(tiny_file, *prompts, roi=roi, field_um=128.0))
    assert both.counts == alone
    assert len(set(alone.values())) == 2


def test_what_was_noted_and_lost_is_made_again(slide: Path, tiny_file: Path, roi: Path, tmp_path: Path) -> None:
    """Interrupted at the export: every chunk is outlined, and a block's marker is torn or gone."""
    import wsi_parse.run.stages as stages

    settings = settings_of(tiny_file, "neoplastic cells", roi=roi, field_um=256.0)
    clean = run_slide(slide, tmp_path / "clean", settings)

    def failing(*_: object, **__: object) -> None:
        raise ModelError("Interrupted.")

    for harm in ("torn", "gone"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stages, "write_outputs", failing)
            with pytest.raises(ModelError, match="Interrupted"):
                run_slide(slide, tmp_path / harm, settings)
        (marker,) = list((tmp_path / harm).glob(".work/*/*/done/*.json"))[:1]
        if harm == "torn":
            marker.write_text(marker.read_text()[:7])
        else:
            marker.unlink()
        assert run_slide(slide, tmp_path / harm, settings).outputs == clean.outputs


def test_weights_for_a_model_that_has_none_are_refused(slide: Path, tiny_file: Path, tmp_path: Path) -> None:
    settings = RunSettings.load(prompts=("nuclei",), model={"name": "stain", "weights": tiny_file})
    with pytest.raises(UsageError, match="has no weights"):
        run_slide(slide, tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


def test_preview_shows_what_each_field_costs_without_weights(slide: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wsi_parse.cli.main", "preview", slide, "-p", "neoplastic cells"]
    command += ["--model", "biomedparse", "-o", tmp_path]
    stdout = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=True).stdout
    for field_um in (64, 128, 256):
        assert f"--field-um {field_um}" in stdout
    as_json = subprocess.run(
        [*map(str, command), "--json"], capture_output=True, text=True, timeout=300, check=True
    ).stdout
    tiles = {name: facts["tiles"] for name, facts in json.loads(as_json)["fields_um"].items()}
    assert tiles["64"] > tiles["128"] > tiles["256"] > 0


def test_a_real_slide(tiny_file: Path, tmp_path: Path) -> None:
    path = shared_data_root() / "slides" / "aperio" / "CMU-1-Small-Region.svs"
    roi = square(tmp_path / "roi.geojson", 1000, 1000, 100)
    settings = settings_of(tiny_file, "inflammatory cells", roi=roi, overrides=("tissue.detect=true",), field_um=128.0)
    manifest = run_slide(path, tmp_path / "out", settings)
    assert manifest.state == "done"
    assert manifest.passes[0]["tiles"] >= 1
