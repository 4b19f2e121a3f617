"""Whole runs on small slides: outputs, resume, order of work, privacy."""

import hashlib
import json
import shutil
import threading
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import shapely

from tests.rights import run_as_ordinary_user
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.compute import graph
from wsi_parse.compute.cluster import Cluster
from wsi_parse.compute.worker import Done
from wsi_parse.errors import ModelError, PixelSizeError, StageError, UnknownNameError, UnknownPromptError, UsageError
from wsi_parse.models.stain import StainModel
from wsi_parse.progress import Silent
from wsi_parse.run import stages
from wsi_parse.run.locks import claim
from wsi_parse.run.manifest import RunManifest, sha256_of
from wsi_parse.run.outlook import Outlook
from wsi_parse.run.pipeline import run_slide
from wsi_parse.run.publish import remove_earlier
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import RunSettings

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    folder = tmp_path_factory.mktemp("slides")
    pixels, centres = tissue_with_nuclei(2400, 1800)
    return write_slide(folder / "small.svs", pixels), centres


def settings_of(*overrides: str, **more: object) -> RunSettings:
    # The page has the times of the run in it.
    quick = ("export.overlay_px=512", "export.report=false")
    small = ("model.field_um=128", "tiles.block=2", "objects.chunk_px=256", *quick)
    return RunSettings.load(None, [*small, *overrides], prompts=("nuclei",), model={"name": "stain"}, **more)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("workers", [0, 1])
def test_own_workers_end_before_outputs_are_written_and_shared_ones_do_not(
    slide: tuple[Path, np.ndarray], tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[bool] = []
    write = stages.write_outputs

    def watched(*given: Any, **named: Any) -> Any:
        threads = [thread.name for thread in threading.enumerate()]
        children = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
        in_processes = any("spawn_main" in command for command in children)
        alive.append(in_processes if workers else any(name.startswith("wsi-parse-worker") for name in threads))
        return write(*given, **named)

    monkeypatch.setattr(stages, "write_outputs", watched)
    settings = settings_of(compute={"workers": workers, "threads": 1})
    run_slide(slide[0], tmp_path / "own", settings)
    with Cluster(settings.compute, tmp_path / "logs") as cluster:
        run_slide(slide[0], tmp_path / "shared", settings, cluster=cluster)
    assert alive == [False, True]


def test_a_run_finds_the_nuclei_and_writes_all_outputs(slide: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, centres = slide
    manifest = run_slide(path, tmp_path / "out", settings_of("export.report=true"))
    assert manifest.state == "done"
    names = {item.name for item in (tmp_path / "out").iterdir()}
    # The lock stays, hidden and empty: to remove it safely, no other process may be about to take it.
    assert (tmp_path / "out" / ".lock").stat().st_size == 0
    files = {"annotations.geojson", "objects.parquet", "overlay.png", "report.html", "tissue.geojson", "run.json"}
    assert names - {".lock"} == files
    collection = json.loads((tmp_path / "out" / "annotations.geojson").read_text())
    shapes = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in collection["features"]])
    assert len(shapes) == manifest.counts["nuclei"]
    found = shapely.get_coordinates(shapely.centroid(shapes))
    nearest = np.array([np.hypot(*(found - centre).T).min() for centre in centres])
    assert (nearest < 1.0).mean() > 0.98
    assert abs(len(found) - len(centres)) <= 0.02 * len(centres)


def test_large_annotations_come_in_parts_that_the_manifest_names(
    slide: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    whole = run_slide(slide[0], tmp_path / "whole", settings_of())
    features = json.loads((tmp_path / "whole" / "annotations.geojson").read_bytes())["features"]
    assert 0 < whole.formats["geojson"]["qupath_heap_gb"] < 0.1
    assert whole.formats["geojson"]["how_to_open"] == "drag it onto the slide in QuPath"
    many = settings_of("export.max_part_objects=500")
    parted = run_slide(slide[0], tmp_path / "whole", many)
    names = [f"annotations_{number:02d}.geojson" for number in range(1, len(features) // 500 + 2)]
    assert [name for name in parted.outputs if name.startswith("annotations_0")] == names
    assert {"annotations_index.json", *names} < parted.outputs.keys()
    assert not (tmp_path / "whole" / "annotations.geojson").exists()
    assert [
        feature for name in names for feature in json.loads((tmp_path / "whole" / name).read_bytes())["features"]
    ] == features
    (tmp_path / "whole" / names[1]).unlink()
    run_slide(slide[0], tmp_path / "whole", many)
    assert (tmp_path / "whole" / names[1]).exists(), "a part that is gone is written again"


def test_a_run_that_was_killed_after_its_manifest_leaves_no_work(
    slide: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    done = run_slide(slide[0], tmp_path, settings_of())
    left = tmp_path / ".work" / "objects-0123abcd" / "stain" / "0.0.npz"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of a run that was killed between the manifest and the removal")
    with claim(tmp_path):
        assert run_slide(slide[0], tmp_path, settings_of()) == done
        assert left.exists(), "while another process works there, the files are its own"
    assert run_slide(slide[0], tmp_path, settings_of()) == done
    assert not (tmp_path / ".work").exists()


def test_outputs_of_an_earlier_run_that_are_not_written_again_are_removed(
    slide: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    def there() -> set[str]:
        return {path.name for path in tmp_path.iterdir()} - {".lock", "run.json"}

    parts = "export.max_part_objects=500"
    first = run_slide(slide[0], tmp_path, settings_of(parts, 'export.formats=["geojson","ome-zarr"]'))
    assert {"annotations_01.geojson", "annotations_index.json", "probability.ome.zarr"} < set(first.outputs)
    (tmp_path / "annotations_mine.geojson").write_text("{}")
    (tmp_path / "probability.ome.zarr" / "mine.txt").write_text("changed since")
    with pytest.MonkeyPatch.context() as patch:
        Breaking(patch, 0, ModelError("stop"))
        with pytest.raises(StageError):
            run_slide(slide[0], tmp_path, settings_of("tiles.overlap=0.25", 'export.formats=["parquet"]'))
    assert set(first.outputs) < there(), "earlier outputs stay until new ones are written"
    notes: list[str] = []
    progress = Silent()
    progress.note = notes.append  # type: ignore[method-assign]
    second = run_slide(slide[0], tmp_path, settings_of('export.formats=["parquet"]'), progress)
    mine = {"annotations_mine.geojson", "probability.ome.zarr"}
    assert there() == set(second.outputs) | mine == {"objects.parquet", "overlay.png", "tissue.geojson"} | mine
    assert [note for note in notes if "changed afterwards" in note] == [
        "probability.ome.zarr was written by an earlier run and changed afterwards. "
        "It is kept, but is not a result of this run."
    ]
    loaded = RunManifest.load(tmp_path)
    assert loaded is not None
    assert not loaded.earlier


@pytest.mark.parametrize("name", ["../a.txt", "..", ".", "", "b/c.txt", "run.json"])
def test_only_outputs_that_lie_in_the_folder_are_removed(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "out"
    for path in (tmp_path / "a.txt", folder / "b" / "c.txt", folder / "run.json", folder / "old.parquet"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    earlier = {one: [str(sha256_of(folder / one))] for one in (name, "old.parquet")}
    manifest = RunManifest(wsi_parse="", state="running", slide={}, settings={}, model={}, prompts=[], earlier=earlier)
    assert remove_earlier(folder, manifest) == []
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["a.txt", "out/b/c.txt", "out/run.json"]


def test_the_manifest_names_slide_model_settings_and_outputs(slide: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    run_slide(slide[0], tmp_path, settings_of())
    manifest = RunManifest.load(tmp_path)
    assert manifest is not None
    assert manifest.slide["name"] == "small.svs"
    assert manifest.slide["mpp_source"]
    assert manifest.model["licence"]
    assert manifest.settings["objects"]["chunk_px"] == 256
    assert set(manifest.outputs) == {"annotations.geojson", "objects.parquet", "overlay.png", "tissue.geojson"}
    for name, expected in manifest.outputs.items():
        assert digest(tmp_path / name) == expected
    assert manifest.seconds["total"] > 0
    assert manifest.peak_memory_mb is not None
    assert "research use only" in (tmp_path / "run.json").read_text()
    assert str(tmp_path) not in (tmp_path / "run.json").read_text()


@pytest.mark.parametrize(
    "overrides",
    [
        ("tiles.block=1",),
        ("tiles.block=5", "compute.threads=1"),
        ("compute.workers=2",),
        ("compute.workers=4", "compute.threads=4"),
        ("compute.workers=1", "compute.threads=2", "tiles.block=3"),
    ],
)
def test_outputs_do_not_depend_on_blocks_threads_or_processes(
    slide: tuple[Path, np.ndarray], tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    run_slide(slide[0], tmp_path / "a", settings_of())
    run_slide(slide[0], tmp_path / "b", settings_of(*overrides))
    for name in ("annotations.geojson", "objects.parquet", "tissue.geojson", "overlay.png"):
        assert digest(tmp_path / "a" / name) == digest(tmp_path / "b" / name), name


def test_outlining_begins_before_the_last_prediction(
    slide: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Done] = []
    run_graph = graph.run_graph

    def listening(client, plan, blocks, chunks, report, predicted):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        run_graph(client, plan, blocks, chunks, lambda done: (ended.append(done), report(done)), predicted)

    monkeypatch.setattr("wsi_parse.run.prediction.run_graph", listening)
    run_slide(slide[0], tmp_path, settings_of("tiles.block=1"))
    first_outline = min(done.started for done in ended if done.stage == "outline")
    last_prediction = max(done.started for done in ended if done.stage == "predict")
    assert first_outline < last_prediction


def test_a_finished_run_is_verified_and_not_repeated(
    slide: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_slide(slide[0], tmp_path, settings_of())
    calls: list[int] = []
    predict = StainModel.predict

    def counting(self, images, scale_pass, state):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        calls.append(len(images))
        return predict(self, images, scale_pass, state)

    monkeypatch.setattr(StainModel, "predict", counting)
    again = run_slide(slide[0], tmp_path, settings_of())
    assert again.outputs == first.outputs
    assert not calls
    (tmp_path / "annotations.geojson").write_text("{}")
    repaired = run_slide(slide[0], tmp_path, settings_of())
    assert repaired.outputs == first.outputs
    assert digest(tmp_path / "annotations.geojson") == first.outputs["annotations.geojson"]
    assert not calls, "the objects of the first run are written again"


class Breaking:
    """Makes the stain model fail from its n-th call on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int, error: Exception) -> None:
        self.calls = 0
        predict = StainModel.predict

        def failing(model, images, scale_pass, state):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
            self.calls += 1
            if after < self.calls:
                raise error
            return predict(model, images, scale_pass, state)

        monkeypatch.setattr(StainModel, "predict", failing)


def test_a_failure_names_slide_stage_and_place_and_the_next_run_resumes(
    slide: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    run_slide(slide[0], tmp_path / "clean", settings_of())
    with pytest.MonkeyPatch.context() as patch:
        breaking = Breaking(patch, 25, ModelError("The model gave up."))
        with pytest.raises(StageError, match=r"small\.svs: prediction failed at x .* y .*The model gave up"):
            run_slide(slide[0], tmp_path / "out", settings_of("compute.threads=1"))
        tiles = breaking.calls
    manifest = RunManifest.load(tmp_path / "out")
    assert manifest is not None
    assert manifest.state == "failed"
    assert "gave up" in str(manifest.error)
    assert not (tmp_path / "out" / "annotations.geojson").exists()
    with pytest.MonkeyPatch.context() as patch:
        counting = Breaking(patch, 10**9, ModelError(""))
        run_slide(slide[0], tmp_path / "out", settings_of())
    total = sum(item["tiles"] for item in RunManifest.load(tmp_path / "out").passes)  # type: ignore[union-attr]
    assert counting.calls < total
    assert counting.calls >= total - tiles
    assert digest(tmp_path / "out" / "annotations.geojson") == digest(tmp_path / "clean" / "annotations.geojson")


@pytest.mark.parametrize("harm", ["shard", "objects"])
def test_damaged_intermediate_results_are_computed_again(
    slide: tuple[Path, np.ndarray], tmp_path: Path, harm: str
) -> None:
    run_slide(slide[0], tmp_path / "clean", settings_of())
    with pytest.MonkeyPatch.context() as patch:
        Breaking(patch, 60, ModelError("stop"))
        with pytest.raises(StageError):
            run_slide(slide[0], tmp_path / "out", settings_of())
    work = tmp_path / "out" / ".work"
    victims = sorted(work.glob("maps-*/*/*/c/*/*" if harm == "shard" else "objects-*/*/*.npz"))
    assert victims
    victims[0].write_bytes(victims[0].read_bytes()[:-20])
    run_slide(slide[0], tmp_path / "out", settings_of())
    assert digest(tmp_path / "out" / "annotations.geojson") == digest(tmp_path / "clean" / "annotations.geojson")


def test_a_nan_from_the_model_is_an_error(
    slide: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nan(model, images, scale_pass, state):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        return {channel.name: np.full(images.shape[:3], np.nan, np.float32) for channel in scale_pass.channels}

    monkeypatch.setattr(StainModel, "predict", nan)
    with pytest.raises(StageError, match=r"has values outside 0 to 1"):
        run_slide(slide[0], tmp_path, settings_of())


def test_a_blank_slide_is_a_result(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "blank.svs", np.full((1200, 1500, 3), 243, np.uint8))
    manifest = run_slide(path, tmp_path / "out", settings_of())
    assert manifest.state == "done"
    assert manifest.counts == {"nuclei": 0}
    assert manifest.tissue_mm2 == 0
    assert json.loads((tmp_path / "out" / "annotations.geojson").read_text())["features"] == []


def test_only_the_region_of_interest_is_processed(slide: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    square = [[[400, 400], [1000, 400], [1000, 900], [400, 900], [400, 400]]]
    roi = tmp_path / "roi.geojson"
    roi.write_text(json.dumps({"type": "Feature", "geometry": {"type": "Polygon", "coordinates": square}}))
    whole = run_slide(slide[0], tmp_path / "whole", settings_of())
    part = run_slide(slide[0], tmp_path / "part", settings_of(slide={"roi": roi}))
    inside = (slide[1] > (400, 400)).all(axis=1) & (slide[1] < (1000, 900)).all(axis=1)
    assert part.counts["nuclei"] == pytest.approx(inside.sum(), abs=6)
    assert part.passes[0]["tiles"] < whole.passes[0]["tiles"] / 3
    ids = [
        {feature["id"] for feature in json.loads((tmp_path / name / "annotations.geojson").read_text())["features"]}
        for name in ("part", "whole")
    ]
    assert len(ids[0] - ids[1]) <= 0.1 * len(ids[0])
    assert str(tmp_path) not in (tmp_path / "part" / "run.json").read_text()


def test_patient_data_of_the_metadata_stays_out_of_every_output(tmp_path: Path) -> None:
    import tifffile

    planted = ("PAT-4711", "Doe^Jane", "2019-04-01", "04/01/19", "AccNo9988", "SS7123", "tech_user")
    pixels, _ = tissue_with_nuclei(1000, 800)
    description = (
        "Aperio Image Library v11.2.1\n1000x800|AppMag = 20|MPP = 0.5|User = tech_user|Date = 04/01/19|"
        "Time = 2019-04-01|ScanScope ID = SS7123|Barcode = PAT-4711|Patient = Doe^Jane|Accession = AccNo9988"
    )
    path = tmp_path / "x.svs"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            pixels, tile=(256, 256), compression="jpeg", photometric="rgb", description=description, metadata=None
        )
        label = np.zeros((200, 300, 3), np.uint8)
        tiff.write(label, photometric="rgb", description="Aperio Image Library\nlabel 300x200 PAT-4711", metadata=None)
    run_slide(path, tmp_path / "out", settings_of())
    for file in (tmp_path / "out").iterdir():
        data = file.read_bytes()
        for secret in (*planted, str(tmp_path)):
            assert secret.encode() not in data, (file.name, secret)
        if file.suffix != ".png" and file.name != ".lock":
            assert b"research use only" in data, file.name


def test_nothing_is_written_beside_the_slide(slide: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    path = Path(shutil.copy(slide[0], store / "small.svs"))
    store.chmod(0o555)
    run_slide(path, tmp_path / "out", settings_of())
    assert [item.name for item in store.iterdir()] == ["small.svs"]
    # Root may write there all the same: one who may not gets by without it.
    code = "import sys; from wsi_parse.cli.main import main; sys.argv[0] = 'wsi-parse'; main()"
    ended = run_as_ordinary_user(code, path, "--prompt", "nuclei", "--model", "stain", "-o", tmp_path / "ordinary")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "ordinary" / "small" / "annotations.geojson").exists()


def test_results_of_another_slide_are_not_overwritten(slide: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    run_slide(slide[0], tmp_path / "out", settings_of())
    other = write_slide(tmp_path / "small.svs", tissue_with_nuclei(900, 900, seed=3)[0])
    with pytest.raises(UsageError, match="another slide"):
        run_slide(other, tmp_path / "out", settings_of())


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"prompts": ()}, UsageError, "There is no prompt"),
        ({"prompts": ("unicorns",)}, UnknownPromptError, "nuclei"),
        ({"prompts": ("nuclei",), "model": {"name": "nonsense"}}, UnknownNameError, "stain"),
        ({"prompts": ("nuclei",), "slide": {"mpp": 0.25}}, PixelSizeError, "--override-mpp"),
        ({"prompts": ("nuclei",), "slide": {"roi": Path("no.geojson")}}, UsageError, "no.geojson"),
    ],
)
def test_invalid_requests_are_refused_before_anything_is_written(
    slide: tuple[Path, np.ndarray], tmp_path: Path, settings: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        run_slide(slide[0], tmp_path / "out", RunSettings.load(**settings))
    assert not (tmp_path / "out").exists()


def test_corrections_that_were_saved_over_a_result_are_kept(slide: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    class Heard(Silent):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    path, _ = slide
    first = run_slide(path, tmp_path, settings_of())
    as_written = (tmp_path / "annotations.geojson").read_bytes()
    (tmp_path / "annotations.geojson").write_bytes(b'{"type": "FeatureCollection", "features": []}')
    (tmp_path / "overlay.png").unlink()
    (tmp_path / "overlay.png").symlink_to(path)
    heard = Heard()
    again = run_slide(path, tmp_path, settings_of(), heard)
    today = date.today().isoformat()
    kept = tmp_path / f"annotations.edited-{today}.geojson"
    assert kept.read_bytes() == b'{"type": "FeatureCollection", "features": []}'
    assert (tmp_path / f"overlay.edited-{today}.png").is_symlink()
    assert (tmp_path / "annotations.geojson").read_bytes() == as_written
    assert again.outputs == first.outputs
    said = f"annotations.geojson was changed or made by somebody else. It is kept as {kept.name}."
    assert said in heard.notes
    assert said in again.notes
    # What was kept is nobody's output: the next run neither touches nor keeps it again.
    run_slide(path, tmp_path, settings_of("objects.threshold=0.4"))
    assert len(list(tmp_path.glob("*.edited-*"))) == 2


def test_a_folder_that_cannot_be_worked_in_is_refused_before_anything_is_changed(
    slide: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    path, _ = slide
    run_slide(path, tmp_path / "out", settings_of())
    (tmp_path / "out" / ".work").touch()
    before = {item.name: item.read_bytes() for item in (tmp_path / "out").iterdir()}
    request = resolve(settings_of("objects.threshold=0.4"))
    for begin in (run_slide, Outlook.of):
        with pytest.raises(UsageError, match=r"\.work is a file, not a folder\. Choose another folder with --out"):
            begin(path, tmp_path / "out", request)  # type: ignore[operator]
    assert {item.name: item.read_bytes() for item in (tmp_path / "out").iterdir()} == before
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for begin in (run_slide, Outlook.of):
        with pytest.raises(UsageError, match="link to nothing"):
            begin(path, tmp_path / "link", request)  # type: ignore[operator]
