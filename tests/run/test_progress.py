"""What a run reports while it goes on: every stage with its steps, the device, and where errors arose."""

import logging
from pathlib import Path

import pytest

from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.progress import STAGES, TRACEBACKS, Clock, Silent, report_traceback
from wsi_parse.run.layout import device_of
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings


class Recorded(Silent):
    """Remembers what was reported."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.devices: list[str] = []

    def start(self, stage: str, total: int) -> None:
        assert stage not in self.totals, "a stage begins once"
        self.totals[stage], self.done[stage] = total, 0

    def advance(self, stage: str, steps: int = 1) -> None:
        self.done[stage] += steps

    def device(self, name: str) -> None:
        self.devices.append(name)


def test_a_run_reports_every_stage_to_its_end_and_the_device(tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "s.svs", tissue_with_nuclei(900, 700)[0])
    progress = Recorded()
    settings = RunSettings.load(None, ["model.field_um=128"], prompts=("nuclei",), model={"name": "stain"})
    run_slide(slide, tmp_path / "out", settings, progress)
    assert tuple(progress.totals) == STAGES
    assert progress.done == progress.totals
    assert progress.totals["predict"] > 1
    assert progress.devices == ["CPU"]


@pytest.mark.parametrize(
    ("state", "name"),
    [({}, "CPU"), ({"device": "cuda"}, "cuda"), ({"device": "cuda", "device_name": "Some GPU"}, "Some GPU")],
)
def test_a_model_says_where_it_computes_in_its_state(state: dict[str, str], name: str) -> None:
    assert device_of(state) == name


def test_a_stage_is_logged_with_its_seconds(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "wsi_parse"), Clock().stage("tissue"):
        pass
    assert caplog.messages == ["The stage tissue took 0.0 s."]


def test_tracebacks_have_a_logger_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("wrong")
    with caplog.at_level(logging.INFO, TRACEBACKS):
        report_traceback(error)
    (record,) = caplog.records
    assert record.name == TRACEBACKS
    assert record.exc_info is not None
    assert record.exc_info[1] is error
