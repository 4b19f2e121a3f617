"""What a run takes over from the one before it: counted by calls of the model and of the object stage."""

import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.compute import worker
from wsi_parse.errors import StageError
from wsi_parse.files import MANIFEST_NAME
from wsi_parse.models.stain import StainModel
from wsi_parse.progress import Silent
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings

pytestmark = pytest.mark.whole
ROOT = Path(__file__).parents[2]
SMALL = (
    *("model.field_um=128", "tiles.block=2", "objects.chunk_px=256", "compute.threads=1"),
    # The page has the times of the run in it.
    *("export.overlay_px=400", "export.report=false"),
)
#: What is changed between two runs, and whether objects must be made anew for it.
OUTPUTS = {
    "gzip": ("export.gzip=true",),
    "another format": ('export.formats=["geojson","parquet","ome-zarr"]',),
    "another class colour": ("export.classes={nuclei: {colour: [1, 2, 3]}}",),
    "another class name": ("export.classes={nuclei: {name: Kern}}",),
    "heat maps and places": ("export.heat_map=true", "export.least_certain=20"),
    "no overlay": ("export.overlay_px=0",),
    "another frame": ("export.frame=level0",),
    "another name": ("slide.name=case 7",),
}
OBJECTS = {
    "another threshold": ("objects.threshold=0.4",),
    "another size": ("objects.min_cell_area_um2=20",),
    "stains": ("objects.stains=true",),
    "expansion": ("objects.cell_expansion_um=4",),
}


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    return write_slide(folder / "small.svs", tissue_with_nuclei(1500, 1300)[0])


def settings_of(*overrides: str) -> RunSettings:
    return RunSettings.load(None, [*SMALL, *overrides], prompts=("nuclei",), model={"name": "stain"})


class Counter:
    """Counts the tiles that are predicted and the chunks whose objects are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tiles = self.chunks = 0
        lock, predict, extract = threading.Lock(), StainModel.predict, worker.extract_objects

        def counting(model: Any, images: Any, scale_pass: Any, state: Any) -> Any:
            with lock:
                self.tiles += len(images)
            return predict(model, images, scale_pass, state)

        def extracting(*given: Any) -> Any:
            with lock:
                self.chunks += 1
            return extract(*given)

        monkeypatch.setattr(StainModel, "predict", counting)
        monkeypatch.setattr(worker, "extract_objects", extracting)

    def taken(self) -> tuple[int, int]:
        """Return the counts since the last call."""
        found = self.tiles, self.chunks
        self.tiles = self.chunks = 0
        return found


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    return Counter(monkeypatch)


Fresh = Callable[[str], tuple[RunManifest, dict[str, str]]]


@pytest.fixture(scope="module")
def fresh(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """Return what a run gives that reuses nothing, for a change; each is run once."""
    known: dict[str, tuple[RunManifest, dict[str, str]]] = {}

    def of(change: str) -> tuple[RunManifest, dict[str, str]]:
        if change not in known:
            folder = tmp_path_factory.mktemp("fresh")
            known[change] = run_slide(slide, folder, settings_of(*(OUTPUTS | OBJECTS)[change])), contents(folder)
        return known[change]

    return of


class Notes(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of each file of a run, but for its manifest and the lock."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in {".lock", MANIFEST_NAME} and ".work" not in path.parts
    }


def tiles_of(manifest: RunManifest) -> int:
    return sum(item["tiles"] for item in manifest.passes)


SLOWLY = """
import sys, time
from pathlib import Path
from tests.run.test_reuse import settings_of
from wsi_parse.models.stain import StainModel
from wsi_parse.run.pipeline import run_slide

predict = StainModel.predict
StainModel.predict = lambda *given: time.sleep(0.05) or predict(*given)
run_slide(Path(sys.argv[1]), Path(sys.argv[2]), settings_of())
"""


@pytest.fixture(scope="module")
def killed(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run whose process was killed (SIGKILL) when some of its blocks were done."""
    folder = tmp_path_factory.mktemp("killed") / "out"
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, str(slide), str(folder)], cwd=ROOT)
    end = time.monotonic() + 120
    while len(markers(folder)) < 4:
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < end, "it did not begin"
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (folder / "annotations.geojson").exists()
    return folder


def markers(folder: Path) -> list[Path]:
    return list(folder.glob(".work/maps-*/*/done/*.json"))


@pytest.mark.parametrize("change", [*OUTPUTS, *OBJECTS])
def test_a_killed_run_keeps_its_predictions(
    slide: Path, killed: Path, fresh: Fresh, tmp_path: Path, counter: Counter, change: str
) -> None:
    overrides = (OUTPUTS | OBJECTS)[change]
    expected, expected_contents = fresh(change)
    total = tiles_of(expected)
    counter.taken()
    shutil.copytree(killed, tmp_path / "out")
    kept = len(markers(tmp_path / "out"))
    resumed = run_slide(slide, tmp_path / "out", settings_of(*overrides))
    tiles, _ = counter.taken()
    (reused,) = [entry for entry in resumed.reused if entry["stage"] == "predict"]
    assert 4 <= reused["reused"] <= kept, "a marker of a block that was being written does not count"
    assert 0 < tiles <= total - reused["reused"], "every block holds at least one tile"
    assert contents(tmp_path / "out") == expected_contents


@pytest.fixture(scope="module")
def kept(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunManifest]:
    """Return a finished run with its maps."""
    folder = tmp_path_factory.mktemp("kept")
    first = run_slide(slide, folder, settings_of("export.keep=[predictions]"))
    assert first.maps_kept
    assert first.maps_mb is not None
    assert first.maps_mb > 0
    return folder, first


@pytest.mark.parametrize("change", [*OUTPUTS, *OBJECTS])
def test_kept_maps_are_not_predicted_again(
    slide: Path, kept: tuple[Path, RunManifest], fresh: Fresh, tmp_path: Path, counter: Counter, change: str
) -> None:
    overrides = (OUTPUTS | OBJECTS)[change]
    _, expected_contents = fresh(change)
    folder, first = kept
    shutil.copytree(folder, tmp_path / "out")
    counter.taken()
    notes = Notes()
    changed = run_slide(slide, tmp_path / "out", settings_of(*overrides), notes)
    tiles, chunks = counter.taken()
    assert tiles == 0
    needs_chunks = change in OBJECTS or "ome-zarr" in str(overrides)
    assert (chunks > 0) == needs_chunks
    assert contents(tmp_path / "out") == expected_contents
    assert changed.maps_kept, "what was asked to be kept stays until other settings make it void"
    assert list((tmp_path / "out" / ".work").glob("maps-*"))
    stages = {entry["stage"] for entry in changed.reused}
    assert stages == ({"predict"} if needs_chunks else {"objects"})
    assert not any("tiles are predicted again" in text for text in notes.texts)
    # And back again.
    back = run_slide(slide, tmp_path / "out", settings_of())
    assert counter.taken()[0] == 0
    assert back.outputs == first.outputs


@pytest.mark.parametrize("change", OUTPUTS)
def test_outputs_of_a_finished_run_are_written_without_predicting_or_outlining(
    slide: Path, kept: tuple[Path, RunManifest], fresh: Fresh, tmp_path: Path, counter: Counter, change: str
) -> None:
    overrides = OUTPUTS[change]
    expected, expected_contents = fresh(change)
    if "ome-zarr" in str(overrides):
        overrides = ('export.formats=["geojson","parquet","csv"]',)
        expected = run_slide(slide, tmp_path / "fresh", settings_of(*overrides))
        expected_contents = contents(tmp_path / "fresh")
    # Without its maps.
    shutil.copytree(kept[0], tmp_path / "out", ignore=shutil.ignore_patterns(".work"))
    counter.taken()
    changed = run_slide(slide, tmp_path / "out", settings_of(*overrides))
    assert counter.taken() == (0, 0)
    assert contents(tmp_path / "out") == expected_contents
    assert changed.reused == [{"stage": "objects", "file": "objects.parquet"}]
    same = ("counts", "per_mm2", "unsure", "existence", "tissue_mm2", "passes", "model", "outputs", "digests", "notes")
    assert {name: getattr(changed, name) for name in same} == {name: getattr(expected, name) for name in same}


def test_a_run_says_before_it_begins_that_maps_are_gone(slide: Path, tmp_path: Path, counter: Counter) -> None:
    first = run_slide(slide, tmp_path, settings_of())
    assert not first.maps_kept
    assert not (tmp_path / ".work").exists()
    counter.taken()

    class Watching(Notes):
        def note(self, text: str) -> None:
            super().note(text)
            assert counter.tiles == 0, "said before anything is predicted"

    notes = Watching()
    run_slide(slide, tmp_path, settings_of("objects.threshold=0.4"), notes)
    assert counter.taken()[0] == tiles_of(first)
    (said,) = [text for text in notes.texts if "tiles are predicted again" in text]
    assert f"all {tiles_of(first):,} tiles are predicted again. That took " in said
    assert "--keep predictions" in said


def test_asking_to_keep_maps_that_are_gone_predicts_them(slide: Path, tmp_path: Path, counter: Counter) -> None:
    first = run_slide(slide, tmp_path, settings_of())
    counter.taken()
    kept = run_slide(slide, tmp_path, settings_of("export.keep=[predictions]"))
    assert counter.taken()[0] == tiles_of(first)
    assert kept.maps_kept
    assert kept.outputs == first.outputs
    again = run_slide(slide, tmp_path, settings_of("export.keep=[predictions]"))
    assert counter.taken() == (0, 0)
    assert again.ended_utc == kept.ended_utc
    assert list((tmp_path / ".work").iterdir()) == list((tmp_path / ".work").glob("maps-*")) != []


def test_maps_of_other_settings_are_removed_and_said(slide: Path, tmp_path: Path, counter: Counter) -> None:
    run_slide(slide, tmp_path, settings_of("export.keep=[predictions]"))
    counter.taken()
    notes = Notes()
    changed = run_slide(slide, tmp_path, settings_of("tiles.overlap=0.25"), notes)
    assert counter.taken()[0] == tiles_of(changed)
    assert [text for text in notes.texts if "predicted maps of an earlier run" in text]
    assert not changed.maps_kept
    assert not (tmp_path / ".work").exists()


@pytest.mark.parametrize("harm", ["torn", "another run's", "changed", "gone"])
def test_objects_that_are_not_those_of_the_run_are_made_again(
    slide: Path, tmp_path: Path, counter: Counter, harm: str
) -> None:
    first = run_slide(slide, tmp_path / "out", settings_of())
    path = tmp_path / "out" / "objects.parquet"
    if harm == "torn":
        path.write_bytes(path.read_bytes()[:-100])
    elif harm == "another run's":
        run_slide(slide, tmp_path / "other", settings_of("objects.threshold=0.4"))
        path.write_bytes((tmp_path / "other" / "objects.parquet").read_bytes())
        manifest = json.loads((tmp_path / "out" / MANIFEST_NAME).read_text())
        manifest["outputs"]["objects.parquet"] = hashlib.sha256(path.read_bytes()).hexdigest()
        (tmp_path / "out" / MANIFEST_NAME).write_text(json.dumps(manifest))
    elif harm == "changed":
        path.write_bytes(path.read_bytes() + b" ")
    else:
        path.unlink()
    counter.taken()
    again = run_slide(slide, tmp_path / "out", settings_of("export.gzip=true"))
    assert counter.taken()[0] == tiles_of(first)
    assert again.counts == first.counts
    assert again.outputs["objects.parquet"] == first.outputs["objects.parquet"]


def test_a_run_that_fails_while_it_writes_leaves_the_earlier_outputs(
    slide: Path, tmp_path: Path, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_slide(slide, tmp_path, settings_of())
    before = contents(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("wsi_parse.exporters.parquet.ParquetExporter._finish", failing)
        with pytest.raises(StageError, match="No space left"):
            run_slide(slide, tmp_path, settings_of("export.gzip=true"))
    assert contents(tmp_path) == before
    counter.taken()
    second = run_slide(slide, tmp_path, settings_of("export.gzip=true"))
    assert counter.taken() == (0, 0), "the objects of the first run are still there"
    assert second.counts == first.counts
    assert "annotations.geojson" not in contents(tmp_path)


def failing(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_the_name_of_the_slide_is_in_no_output(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "case 7"
    # A slide that is too coarse for the model has a caution.
    settings = settings_of("slide.name='{id}'", "slide.mpp=2", "slide.override_mpp=true")
    manifest = run_slide(slide, folder, settings)
    assert manifest.slide["name"] == "case 7"
    assert "coarse-slide" in [caution["code"] for caution in manifest.cautions]
    for path in folder.iterdir():
        assert b"small.svs" not in path.read_bytes(), path.name
    assert run_slide(slide, folder, settings).ended_utc == manifest.ended_utc
    monkeypatch.setattr(StainModel, "predict", failing)
    with pytest.raises(StageError):
        run_slide(slide, tmp_path / "case 8", settings)
    failed = RunManifest.load(tmp_path / "case 8")
    assert failed is not None
    assert str(failed.error).startswith("case 8: prediction failed")
    assert "small" not in (tmp_path / "case 8" / MANIFEST_NAME).read_text()
