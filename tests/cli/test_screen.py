"""What is shown while the work goes on: a live display on a terminal, lines elsewhere, nothing when quiet."""

import io
import re
import time

import pytest
from rich.console import Console

from wsi_parse.cli.screen import CohortScreen, SlideScreen, cohort_display, slide_display
from wsi_parse.cli.stage_progress import StageProgress
from wsi_parse.cohort import Outcome
from wsi_parse.progress import STAGES, Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the test sets."""
    now = [0.0]
    monkeypatch.setattr("wsi_parse.cli.stage_progress.time.monotonic", lambda: now[0])
    return now


class TestStageProgress:
    def test_rate_and_time_left_are_of_the_steps_after_the_first(self, clock: list[float]) -> None:
        stage = StageProgress("predict", "tile", 101)
        clock[0] = 60
        assert stage.time() == ""
        stage.advance(1)
        assert stage.time() == "", "one step that waited for the model says nothing"
        clock[0] = 70
        stage.advance(20)
        assert stage.words() == ("predict 21 of 101 tiles (21%)", "2.0 tiles/s · about 40 s left")

    def test_slow_steps_have_seconds_each(self, clock: list[float]) -> None:
        stage = StageProgress("predict", "tile", 4)
        stage.advance(1)
        clock[0] = 30
        stage.advance(1)
        assert stage.time() == "30.0 s per tile · about 1 min 0 s left"

    def test_a_stage_that_ended_says_how_long_it_took(self, clock: list[float]) -> None:
        stage = StageProgress("write results", "area", 2)
        clock[0] = 5
        stage.advance(2)
        clock[0] = 50
        assert stage.is_done
        assert stage.time() == "5 s"

    def test_a_stage_without_steps_is_done(self) -> None:
        assert StageProgress("predict", "tile", 0).time() == "nothing to do"


def text_console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, force_terminal=terminal, width=100, color_system=None), stream


def work(progress: Progress) -> None:
    for stage in STAGES:
        progress.start(stage, 3)
    progress.device("Some GPU")
    progress.workers(2_000_000_000)
    for stage in STAGES:
        progress.advance(stage, 1)
    progress.note("A note [1].")


class TestSlide:
    def test_elsewhere_than_on_a_terminal_a_line_comes_now_and_then(self) -> None:
        console, stream = text_console(terminal=False)
        with slide_display(console, "a.svs", line_every_s=0.05) as progress:
            work(progress)
            end = time.monotonic() + 30
            while stream.getvalue().count("a.svs: ") < 3:
                assert time.monotonic() < end
                time.sleep(0.02)
        lines = stream.getvalue().splitlines()
        assert lines[0] == "a.svs"
        assert "  A note [1]." in lines
        of_progress = [line for line in lines if line.startswith("a.svs: ")]
        assert re.fullmatch(r"a\.svs: find tissue · Some GPU · memory \d+\.\d\d GB", of_progress[-1])
        assert float(of_progress[-1].split()[-2]) > 2, "with the memory of the workers"
        count = len(of_progress)
        time.sleep(0.2)
        assert stream.getvalue().count("a.svs: ") == count, "nothing after the end"

    def test_the_line_is_of_the_first_stage_that_is_not_done(self) -> None:
        screen = SlideScreen(text_console(terminal=False)[0], "a.svs")
        assert screen.line().startswith("a.svs: memory ")
        screen.start("tissue", 1)
        screen.advance("tissue")
        screen.start("predict", 400)
        screen.start("outline", 9)
        screen.advance("predict", 100)
        assert screen.line().startswith("a.svs: predict 100 of 400 tiles (25%) · ")
        screen.advance("predict", 300)
        assert screen.line().startswith("a.svs: trace objects 0 of 9 areas (0%) · ")

    def test_on_a_terminal_every_stage_has_a_bar(self) -> None:
        console, stream = text_console(terminal=True)
        with slide_display(console, "a.svs") as progress:
            work(progress)
        text = stream.getvalue()
        for words in (
            "find tissue",
            "prepare model",
            "1 of 3 tiles",
            "trace objects",
            "write results",
            "draw pictures",
        ):
            assert words in text
        assert "Some GPU · memory" in text
        assert "a.svs: " not in text, "no lines there"

    def test_quiet_shows_nothing(self) -> None:
        console, stream = text_console(terminal=True)
        console.quiet = True
        with slide_display(console, "a.svs", line_every_s=0.01) as progress:
            work(progress)
            time.sleep(0.1)
        assert stream.getvalue() == ""

    def test_stages_of_others_are_shown_by_their_name(self) -> None:
        screen = SlideScreen(text_console(terminal=False)[0], "a.svs")
        screen.start("score", 2)
        assert "score 0 of 2 steps" in screen.line()

    def test_every_stage_of_a_run_has_words(self) -> None:
        screen = SlideScreen(text_console(terminal=False)[0], "a.svs")
        labels = set()
        for stage in STAGES:
            screen.start(stage, 1)
            labels.add(screen.line().split(" · ")[0])
            screen.advance(stage)
        assert len(labels) == len(STAGES)
        assert not any("outline" in label for label in labels)


def outcome(state: str) -> Outcome:
    return Outcome(id=f"[{state}]", slide="s.svs", state=state, counts={"nuclei": 1200}, seconds=61.0, error="Broken.")


class TestCohort:
    def test_slides_tiles_and_outcomes(self) -> None:
        console, stream = text_console(terminal=False)
        screen = CohortScreen(console)
        assert screen.line().startswith("checking the slides · ")
        screen.checked(4, [outcome("failed")])
        screen.tiles(300, found=True)
        screen.tiles(75, found=False)
        screen.device("Some GPU")
        screen.ended(outcome("done"))
        line = screen.line()
        assert "cohort 1 of 4 slides (25%)" in line
        assert "predict 75 of 300 tiles (25%)" in line
        assert "Some GPU" in line
        text = stream.getvalue()
        assert "failed [failed]" in text
        assert "1 slide cannot be processed; continuing with 4 slides." in text
        assert "done   [done]: 1,200 nuclei · 1 min 1 s" in text

    def test_quiet_shows_what_failed(self, capsys: pytest.CaptureFixture[str]) -> None:
        console, stream = text_console(terminal=False)
        console.quiet = True
        with cohort_display(console, muted=False) as screen:
            screen.note("A note.")
            screen.ended(outcome("failed"))
            screen.ended(outcome("done"))
        assert stream.getvalue() == ""
        err = capsys.readouterr().err
        assert err.startswith("failed ")
        assert "done" not in err
        with cohort_display(console, muted=True) as screen:
            screen.ended(outcome("failed"))
        assert capsys.readouterr().err == ""


def test_of_many_problems_the_first_are_shown_and_all_are_counted() -> None:
    console, stream = text_console(terminal=False)
    CohortScreen(console).checked(3, [outcome("failed")] * 5000)
    lines = stream.getvalue().splitlines()
    assert sum("Broken." in line for line in lines) == 20
    assert lines[20].startswith("failed 4,980 more slides")
    assert lines[21] == "5,000 slides cannot be processed; continuing with 3 slides."
    assert len(lines) == 22
