"""How a slide ended, from whatever is found: manifests, errors with any text, notes of earlier calls."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from wsi_parse.cohort import CohortSlide, Outcome
from wsi_parse.cohort.cohort_slide import Problem
from wsi_parse.cohort.outcome import FailureNotes
from wsi_parse.errors import SlideOpenError, UsageError
from wsi_parse.settings import RunSettings

SETTINGS = RunSettings(prompts="nuclei", model="stain")


@pytest.fixture
def row(tmp_path: Path) -> CohortSlide:
    (tmp_path / "a.svs").touch()
    return CohortSlide(id="a", path=tmp_path / "a.svs", group="x", extra={"age": 61})


def failed(row: CohortSlide) -> Outcome:
    return Outcome.of_error(row, SlideOpenError("It is torn.", "Copy it.", "tissue"), Path("out"))


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2_000_000)


class TestNotes:
    def test_a_failure_is_found_again_until_something_changes(self, row: CohortSlide, tmp_path: Path) -> None:
        notes = FailureNotes(tmp_path)
        notes.put(row, SETTINGS, failed(row))
        assert notes.find(row, SETTINGS) == failed(row)
        # The table has the columns that the list has now.
        now = row.model_copy(update={"group": "y", "extra": {"sex": "f"}})
        found = notes.find(now, SETTINGS)
        assert found is not None
        assert (found.group, found.extra, found.error) == ("y", {"sex": "f"}, "It is torn. Copy it.")
        row.path.write_bytes(b"repaired")
        assert notes.find(row, SETTINGS) is None

    @pytest.mark.parametrize(
        "harm",
        [
            lambda path: path.write_text("[]"),
            lambda path: path.write_text("{}"),
            lambda path: path.write_text("7"),
            lambda path: path.write_text("null"),
            lambda path: path.write_text('"text"'),
            lambda path: path.write_text("[" * 200_000),
            lambda path: path.write_text('{"a":' * 200_000),
            lambda path: path.write_bytes(b"\xff\xfe\x00"),
            lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {"outcome": []})),
            lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {"outcome": {"id": []}})),
            lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {"request": []})),
            _fifo,
            _folder,
            _loop,
            _large,
        ],
    )
    def test_a_note_that_is_not_ours_is_no_note(
        self, row: CohortSlide, tmp_path: Path, harm: Callable[[Path], object]
    ) -> None:
        notes = FailureNotes(tmp_path)
        notes.put(row, SETTINGS, failed(row))
        harm(tmp_path / ".cohort" / "failed" / "a.json")
        assert notes.find(row, SETTINGS) is None


class TestText:
    def test_names_that_are_not_utf8_are_written(self, tmp_path: Path) -> None:
        row = CohortSlide(id="a", path=tmp_path / os.fsdecode(b"gr\xf6\xdfe.svs"))
        outcome = Outcome.of_error(row, SlideOpenError(f"{row.path} is torn."), Path("out"))
        assert (outcome.slide, outcome.error) == (r"gr\udcf6\udcdfe.svs", r"gr\udcf6\udcdfe.svs is torn.")
        json.loads(outcome.model_dump_json())
        notes = FailureNotes(tmp_path)
        notes.put(row, SETTINGS, outcome)
        assert notes.find(row, SETTINGS) == outcome

    def test_an_unexpected_error_is_a_row_too(self, row: CohortSlide) -> None:
        outcome = Outcome.of_error(row, KeyError("a"), Path("out"))
        assert (outcome.state, outcome.error_stage) == ("failed", "run")
        assert "Report this error" in str(outcome.error)

    @pytest.mark.parametrize(
        "path",
        [
            "/data/Mueller/a.svs",
            "C:\\Mueller\\a.svs",
            "\\\\server\\Mueller\\a.svs",
            "s3://Mueller/a.svs",
            "Mueller/a.svs",
        ],
    )
    def test_folders_are_in_no_outcome(self, path: str) -> None:
        problem = Problem("a", UsageError(f"{path} is not here.", "Look elsewhere."), "a.svs", paths=(path,))
        assert Outcome.of_problem(problem).error == "a.svs is not here. Look elsewhere."


def test_a_given_name_hides_the_file_and_those_that_are_named_alike() -> None:
    error = "There is no file Doe.svs. Did you mean 'Poe.svs'? Check the path."
    outcome = Outcome(id="s2", slide="Doe.svs", state="failed", error=error)
    assert outcome.named("case {id}").error == "There is no file of the slide case s2. Check the path."
    assert outcome.named(None) == outcome
