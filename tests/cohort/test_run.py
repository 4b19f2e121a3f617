"""Cohorts with everything that can go wrong: good slides are done, bad ones are explained, exit codes are right."""

import csv
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.cohort import Choice, CohortSlide, Listing, Outcome, list_cohort, run_cohort
from wsi_parse.run.manifest import RunManifest
from wsi_parse.settings import RunSettings

pytestmark = pytest.mark.whole

SMALL = ("tissue.detect=false", "objects.chunk_px=256", "export.overlay_px=0", "export.report=false", "tiles.block=1")


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    for name, side in (("a", 700), ("b", 900), ("c", 1200)):
        write_slide(folder / f"{name}.svs", tissue_with_nuclei(side, side, seed=side)[0])
    return folder


class RecordingListener:
    """A listener that records what it receives, and may act when tiles are done."""

    def __init__(self, on_tiles: object = None) -> None:
        self.notes: list[str] = []
        self.outcomes: list[Outcome] = []
        self.problems: list[Outcome] = []
        self.on_tiles = on_tiles

    def note(self, text: str) -> None:
        self.notes.append(text)

    def device(self, name: str) -> None:
        self.device_name = name

    def checked(self, todo: int, problems: list[Outcome]) -> None:
        self.todo, self.problems = todo, problems

    def tiles(self, count: int, *, found: bool) -> None:
        if callable(self.on_tiles):
            self.on_tiles(count, found)

    def ended(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


def settings_of(*overrides: str, prompts: tuple[str, ...] = ("nuclei",), **more: object) -> RunSettings:
    return RunSettings.load(overrides=(*SMALL, *overrides), prompts=prompts, model={"name": "stain"}, **more)


def run(folder: Path, out: Path, settings: RunSettings | None = None, **choice: object) -> dict[str, Outcome]:
    outcomes = run_cohort(
        list_cohort([str(folder)], out), out, settings or settings_of(), RecordingListener(), Choice(**choice)
    )
    return {outcome.id: outcome for outcome in outcomes}


def states(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {name: outcome.state for name, outcome in outcomes.items()}


@pytest.fixture(scope="module")
def done(slides: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort that is done."""
    out = tmp_path_factory.mktemp("done")
    assert set(states(run(slides, out)).values()) == {"done"}
    return out


@pytest.fixture
def copy(done: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "copy"))


def hashes(out: Path) -> dict[str, dict[str, str]]:
    return {path.parent.name: json.loads(path.read_text())["outputs"] for path in sorted(out.glob("*/run.json"))}


def ends(out: Path) -> dict[str, str]:
    return {path.parent.name: json.loads(path.read_text())["ended_utc"] for path in sorted(out.glob("*/run.json"))}


class TestTables:
    def test_a_row_a_slide_in_both_tables(self, done: Path) -> None:
        with (done / "cohort.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        table = pq.read_table(done / "cohort.parquet")
        assert [row["id"] for row in rows] == table["id"].to_pylist() == ["a", "b", "c"]
        assert b"esearch use only" in table.schema.metadata[b"notice"]
        for row, plain in zip(rows, table.to_pylist(), strict=True):
            manifest = RunManifest.load(done / row["id"])
            assert manifest is not None
            assert int(row["count_nuclei"]) == plain["count_nuclei"] == manifest.counts["nuclei"] > 100
            assert plain["per_mm2_nuclei"] == pytest.approx(manifest.counts["nuclei"] / plain["tissue_mm2"], rel=1e-3)
            assert plain["tiles"] == sum(item["tiles"] for item in manifest.passes)
            assert plain["seconds"] > 0
            assert plain["peak_memory_mb"] > 50
            assert row["error"] == ""
            assert (plain["mpp"], plain["mpp_source"]) == (0.5, manifest.slide["mpp_source"])
            assert plain["n_unsure"] == 0
            assert plain["search_mm2"] == manifest.search_mm2 >= plain["tissue_mm2"]
            assert plain["median_nuclear_area_um2"] == manifest.nuclear_area_um2["nuclei"] > 15
            assert row["cautions"] == "; ".join(caution["code"] for caution in manifest.cautions)

    def test_the_summary_reads_well(self, done: Path) -> None:
        text = (done / "summary.md").read_text()
        assert text.startswith(
            "# Cohort of 3 slides\n\n*Research use only, not for clinical decisions.*\n\n**3 done.**"
        )
        assert "## Failed" not in text
        assert "| all | 3 |" in text

    def test_tables_hold_no_path(self, slides: Path, done: Path) -> None:
        for name in ("cohort.csv", "summary.md", "a/run.json"):
            assert str(slides) not in (done / name).read_text()

    def test_the_page_comes_at_the_end_whatever_happened(self, slides: Path, copy: Path) -> None:
        assert not (copy / "cohort.html").exists(), "export.report is false"
        (copy / "no.svs").write_bytes(b"no slide")
        rows = [CohortSlide(id=name, path=slides / f"{name}.svs") for name in "abc"]
        settings = settings_of("export.report=true")
        run_cohort(
            Listing([*rows, CohortSlide(id="no", path=copy / "no.svs")]), copy, settings, choice=Choice(("a", "no"))
        )
        page = (copy / "cohort.html").read_text(encoding="utf-8")
        assert "1 done, 1 failed, 2 open" in page
        assert 'href="./a/report.html"' in page
        assert str(slides) not in page
        assert str(copy) not in page

    def test_groups_and_prompts_of_their_own(self, slides: Path, tmp_path: Path) -> None:
        rows = [
            CohortSlide(id="one", path=slides / "a.svs", group="x", prompts=("nuclei",)),
            CohortSlide(id="two", path=slides / "a.svs", group="y", prompts=("cells",)),
        ]
        outcomes = run_cohort(Listing(rows), tmp_path, settings_of(prompts=()), RecordingListener())
        assert [list(outcome.counts) for outcome in outcomes] == [["nuclei"], ["nuclei"]]
        text = (tmp_path / "summary.md").read_text()
        assert text.index("| x | 1 |") < text.index("| y | 1 |") < text.index("| all | 2 |")


class TestResume:
    def test_finished_slides_are_not_repeated(self, slides: Path, copy: Path) -> None:
        before = ends(copy)
        time.sleep(1.1)
        assert set(states(run(slides, copy)).values()) == {"done"}
        assert ends(copy) == before

    @pytest.mark.parametrize("harm", ["deleted", "changed"])
    def test_outputs_are_verified(self, slides: Path, copy: Path, harm: str) -> None:
        expected, before = hashes(copy), ends(copy)
        target = copy / "b" / "annotations.geojson"
        if harm == "deleted":
            target.unlink()
        else:
            target.write_text(target.read_text().replace("nuclei", "nuclej", 1))
        time.sleep(1.1)
        run(slides, copy)
        assert hashes(copy) == expected
        assert {name for name, end in ends(copy).items() if end != before[name]} == {"b"}

    def test_changed_settings_are_named(self, slides: Path, copy: Path) -> None:
        listener = RecordingListener()
        settings = settings_of("objects.threshold=0.4")
        outcomes = run_cohort(list_cohort([str(slides)], copy), copy, settings, listener)
        assert all(outcome.state == "done" for outcome in outcomes)
        assert any("objects.threshold (0.5 before, 0.4 now)" in note for note in listener.notes)
        assert len(listener.notes) == len(set(listener.notes))

    def test_a_slide_that_failed_is_tried_again_when_asked_or_changed(self, slides: Path, tmp_path: Path) -> None:
        folder, out = tmp_path / "slides", tmp_path / "out"
        folder.mkdir()
        for name in ("a.svs", "b.svs"):
            shutil.copy(slides / name, folder)
        out.mkdir()
        (out / "b").write_text("not a folder")
        assert states(run(folder, out)) == {"a": "done", "b": "failed"}
        (out / "b").unlink()
        assert states(run(folder, out)) == {"a": "done", "b": "failed"}
        assert states(run(folder, out, limit=0)) == {"a": "done", "b": "failed"}
        assert states(run(folder, out, retry_failed=True)) == {"a": "done", "b": "done"}
        assert states(run(folder, out, limit=0)) == {"a": "done", "b": "done"}

    def test_only_and_limit(self, slides: Path, tmp_path: Path) -> None:
        assert states(run(slides, tmp_path, only=("c",))) == {"a": "open", "b": "open", "c": "done"}
        assert states(run(slides, tmp_path, limit=1)) == {"a": "done", "b": "open", "c": "done"}
        assert "1 open" in (tmp_path / "summary.md").read_text()


def mounted(folder: Path, size: str) -> Path:
    folder.mkdir(parents=True)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False)
    if mount.returncode:
        pytest.skip("mounting is not allowed on this system")
    return folder


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder of results on a disk that has room for its first files only."""
    folder = mounted(tmp_path / "out" / "full", "200k")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_every_good_slide_is_done_and_every_bad_one_explained(slides: Path, tmp_path: Path, full_disk: Path) -> None:
    folder, out = tmp_path / "slides", tmp_path / "out"
    folder.mkdir()
    for name in ("good", "also", "full", "folder", "gone", "torn", "twice"):
        shutil.copy(slides / "c.svs", folder / f"{name}.svs")
    whole = (slides / "c.svs").read_bytes()
    (folder / "cut.svs").write_bytes(whole[: len(whole) // 2])
    write_slide(folder / "blank.svs", np.full((600, 600, 3), 245, np.uint8))
    write_slide(folder / "nompp.svs", tissue_with_nuclei(500, 500)[0], mpp=0)
    # Nothing can be written into a file.
    (out / "folder").write_text("not a folder")
    names = ["good", "also", "full", "folder", "gone", "torn", "cut", "blank", "nompp", "twice", "twice"]
    rows = [f"{name}.svs,{name}\n" for name in names]
    # The same row twice is one row; two slides with one id are not.
    rows[-1] = "good.svs,TWICE\n"
    (folder / "list.csv").write_text("path,id\n" + "".join(rows))

    class Harmful(RecordingListener):
        def checked(self, todo: int, problems: list[Outcome]) -> None:
            super().checked(todo, problems)
            (folder / "gone.svs").unlink()

    torn = []

    def tear(count: int, found: bool) -> None:
        """Cut a slide short when it is under way."""
        if found and not torn and (out / "torn" / ".work").exists():
            (folder / "torn.svs").write_bytes(whole[:4000])
            torn.append(True)

    listener = Harmful(tear)
    settings = settings_of("tissue.detect=true", compute={"slides_at_once": 2, "threads": 2})
    outcomes = run_cohort(list_cohort([str(folder / "list.csv")], out), out, settings, listener)
    found = {outcome.id: outcome for outcome in outcomes}
    assert torn
    assert {name for name, outcome in found.items() if outcome.state == "done"} == {"good", "also", "blank"}
    assert {outcome.state for outcome in outcomes} == {"done", "failed"}
    assert found["blank"].counts == {"nuclei": 0}
    assert found["good"].counts == found["also"].counts
    assert {problem.id for problem in listener.problems} == {"cut", "nompp", "twice", "TWICE"}
    for name, stage, words in (
        ("cut", "opening", "damaged"),
        ("nompp", "opening", "--mpp"),
        ("gone", "opening", "no file"),
        ("twice", "list", "more than once"),
        ("folder", "opening the output folder", "folder"),
    ):
        assert (found[name].error_stage, words in str(found[name].error)) == (stage, True), found[name]
    assert "No space left" in str(found["full"].error) or "are free" in str(found["full"].error)
    assert found["torn"].error_stage in {"prediction", "outlining"}
    with (out / "cohort.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert all(row["error"] for name, row in rows.items() if name not in {"good", "also", "blank"})
    assert str(tmp_path) not in (out / "cohort.csv").read_text()


def command(out: Path, *more: object) -> list[str]:
    sets = [part for setting in SMALL for part in ("--set", setting)]
    start = [sys.executable, "-m", "wsi_parse.cli.main", "cohort", "-o", out, "-p", "nuclei", "--model", "stain"]
    return [*map(str, [*start, *more]), *sets]


def test_two_processes_do_each_slide_once(slides: Path, tmp_path: Path, done: Path) -> None:
    both = [
        subprocess.Popen(
            command(tmp_path / "out", slides, "--set", "compute.slides_at_once=1"), stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    stderr = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], stderr
    assert hashes(tmp_path / "out") == hashes(done)
    for text in stderr:
        assert "3 done" in text
    assert len(list((tmp_path / "out").glob("*/.work"))) == 0


def test_exit_codes_and_messages_of_the_command(slides: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"path,id\n{slides / 'a.svs'},a\n{slides / 'none.svs'},n\n")
    first = subprocess.run(command(tmp_path / "out", tmp_path / "list.csv"), capture_output=True, text=True)
    assert first.returncode == 1
    assert "1 slide cannot be processed; continuing with 1 slide." in first.stderr
    assert "1 done, 1 failed" in first.stderr
    only = subprocess.run(
        command(tmp_path / "out", tmp_path / "list.csv", "--only", "a", "--json"), capture_output=True, text=True
    )
    assert only.returncode == 0, only.stderr
    assert [json.loads(line)["state"] for line in only.stdout.splitlines()] == ["done", "failed"]
    unknown = subprocess.run(
        command(tmp_path / "out", tmp_path / "list.csv", "--only", "z"), capture_output=True, text=True
    )
    assert unknown.returncode == 2
    assert "There is no slide z" in unknown.stderr
    planned = subprocess.run(
        command(tmp_path / "new", tmp_path / "list.csv", "--dry-run"), capture_output=True, text=True
    )
    assert planned.returncode == 1
    assert "a: 1 tile · " in planned.stderr
    assert not (tmp_path / "new").exists()
    done = command(tmp_path / "out", tmp_path / "list.csv", "--dry-run")
    for more, words, total in (
        ([], "a: nothing to predict", "1 slide · 0 tiles"),
        (["--format", "csv"], "a: nothing to predict", "1 slide · 0 tiles"),
        (["--threshold", "0.4"], "a: 1 tile · ", "1 slide · 1 tile"),
    ):
        again = subprocess.run([*done, *more], capture_output=True, text=True)
        assert again.returncode == 1
        assert words in again.stderr
        assert total in again.stderr


def test_slides_go_on_where_nothing_can_be_shown(slides: Path, tmp_path: Path) -> None:
    class Gone(RecordingListener):
        def note(self, text: str) -> None:
            raise BrokenPipeError(32, "Broken pipe")

        def checked(self, todo: int, problems: list[Outcome]) -> None:
            raise OSError(28, "No space left on device")

        def ended(self, outcome: Outcome) -> None:
            raise OSError(5, "Input/output error")

    rows = [CohortSlide(id=name, path=slides / "a.svs") for name in ("one", "two")]
    outcomes = run_cohort(Listing(rows, notes=["A note."]), tmp_path, settings_of(), Gone())
    assert [outcome.state for outcome in outcomes] == ["done", "done"]


class TestPromptsOfARow:
    def test_a_row_with_unknown_prompts_fails_alone(self, slides: Path, tmp_path: Path) -> None:
        rows = [
            CohortSlide(id="good", path=slides / "a.svs"),
            CohortSlide(id="odd", path=slides / "b.svs", prompts=("green elephants",)),
        ]
        settings = RunSettings.load(overrides=SMALL, prompts=("nuclei",), model={"name": "auto"})
        outcomes = run_cohort(Listing(rows), tmp_path, settings, RecordingListener())
        assert {outcome.id: outcome.state for outcome in outcomes} == {"good": "done", "odd": "failed"}
        assert "green elephants" in str(next(one.error for one in outcomes if one.id == "odd"))

    def test_two_sites_are_no_contradiction(self, slides: Path, tmp_path: Path) -> None:
        rows = [
            CohortSlide(id="one", path=slides / "a.svs", prompts=("nuclei in colon",)),
            CohortSlide(id="two", path=slides / "b.svs", prompts=("nuclei in breast",)),
        ]
        outcomes = run_cohort(Listing(rows), tmp_path, settings_of(), RecordingListener())
        assert [outcome.state for outcome in outcomes] == ["done", "done"]

    def test_problems_of_a_list_without_valid_rows_are_reported(self, tmp_path: Path) -> None:
        (tmp_path / "list.csv").write_text("path,mpp\na.svs,-1\n")
        outcomes = run_cohort(
            list_cohort([str(tmp_path / "list.csv")], tmp_path), tmp_path, settings_of(), RecordingListener()
        )
        assert [outcome.state for outcome in outcomes] == ["failed"]


def test_rows_that_are_not_selected_are_done_only_with_the_same_settings(slides: Path, copy: Path) -> None:
    assert set(states(run(slides, copy, limit=0)).values()) == {"done"}
    assert set(states(run(slides, copy, settings_of("objects.distance_cap_um=3"), limit=0)).values()) == {"open"}
    only = states(run(slides, copy, settings_of("objects.distance_cap_um=3"), only=("a",)))
    assert only == {"a": "done", "b": "open", "c": "open"}
