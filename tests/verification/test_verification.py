"""`models verify --out`: every step is done, or said to have failed, within the time, in a JSON and a page."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cli.in_process import caller
from tests.evaluate.test_verify_model import Dots, labelled
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.errors import ModelError, UnknownPromptError, UsageError
from wsi_parse.registry import MODELS
from wsi_parse.settings import ModelSettings
from wsi_parse.text import RESEARCH_ONLY
from wsi_parse.verification import Verification, verify_and_report

STEPS = {"weights", "prediction", "tiles", "slide", "memory", "machine", "versions"}


class Failing(Dots):
    def predict(self, *_: Any) -> Any:
        raise ModelError("The <b>power</b> is out.", "Switch it on.")


@pytest.fixture(autouse=True)
def model() -> Iterator[None]:
    MODELS.add("fake", Dots)
    yield
    MODELS.remove("fake")


def report(out: Path, name: str = "fake", **asked: Any) -> tuple[Verification, dict[str, Any], str]:
    settings = {"name": name, **asked.pop("settings", {})}
    found = verify_and_report(ModelSettings(**settings), out, **asked)
    page = (out / "verification.html").read_text(encoding="utf-8")
    return found, json.loads((out / "verification.json").read_text(encoding="utf-8")), page


@pytest.mark.whole
def test_tiles_a_slide_and_a_machine_are_on_one_page(tmp_path: Path) -> None:
    folder = labelled(tmp_path / "tiles", 600, 600)
    shutil.copytree(folder / "masks", folder / "golden")
    slide = write_slide(tmp_path / "Jane Doe.svs", tissue_with_nuclei(700, 500)[0])
    asked = {"text": "neoplastic cells", "labelled": folder, "mpp_um": 0.5, "slide": slide, "minutes": 1}
    found, content, page = report(tmp_path / "out", **asked)
    assert found.failed == content["failed"] == []
    assert content.keys() >= STEPS
    assert content["tiles"]["dice_mean"] > 0.9
    assert content["tiles"]["golden_fields"] == content["tiles"]["labelled_fields"] == 4
    assert content["tiles"]["golden_agreement_min"] > 0.9
    assert content["prediction"]["seconds_per_tile"] > 0
    assert content["slide"]["slide"] == "given"
    assert content["slide"]["tiles"] > 0
    assert content["memory"]["peak_memory_mb"] > 50
    assert content["machine"]["devices"][-1]["device"] == "cpu"
    assert page.count("data:image/jpeg;base64,") == 2
    assert "No step failed." in page
    for text in (page, json.dumps(content)):
        assert str(tmp_path) not in text
        assert "Jane Doe" not in text
        assert "http" not in text
    assert [line.partition(":")[0] for line in found.summary()] == ["weights", "prediction", "tiles", "slide"]


def test_what_fails_is_written_down_and_the_exit_code_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    MODELS.add("fake", Failing)
    ended = caller(monkeypatch, capsys)("models", "verify", "fake", "-o", tmp_path / "out", "--minutes", "1")
    assert ended.code == 1
    assert "prediction failed: The <b>power</b> is out. Switch it on." in ended.out
    content = json.loads((tmp_path / "out" / "verification.json").read_text(encoding="utf-8"))
    assert content["failed"] == ["prediction"]
    assert "tiles" not in content
    page = (tmp_path / "out" / "verification.html").read_text(encoding="utf-8")
    assert "Failed: One painted field." in page
    assert "<b>power" not in page


def test_what_there_is_no_time_for_is_left_out(tmp_path: Path) -> None:
    folder = labelled(tmp_path / "tiles", 300, 300)
    for name in ("images", "masks"):
        Image.open(folder / name / "a.png").save(folder / name / "b.png")
    _, content, page = report(tmp_path / "out", text="neoplastic cells", labelled=folder, mpp_um=0.5, minutes=1e-6)
    assert "<p>Left out: One slide.</p>" in page
    assert content["tiles"]["tiles_left_out_for_time"] == 1
    assert content["tiles"]["labelled_fields"] == 1
    assert "there was no time for a slide" in content["slide"]["left_out"]


def test_a_prompt_without_painted_truth_is_not_scored(tmp_path: Path) -> None:
    found, content, _ = report(tmp_path / "out", text="red dots", minutes=1e-6)
    assert content["tiles"]["truth"] == "none"
    assert found.scores is None
    with pytest.raises(UnknownPromptError):
        report(tmp_path / "other", text="unicorns")
    assert not (tmp_path / "other").exists()


@pytest.mark.whole
def test_the_embedded_model_finds_painted_nuclei(tmp_path: Path) -> None:
    _, content, page = report(tmp_path / "out", "mini", text="nuclei", minutes=2)
    assert content["failed"] == []
    assert content["tiles"]["truth"].startswith("painted")
    assert content["tiles"]["dice_mean"] > 0.5
    assert content["slide"]["f1"] > 0.6
    assert content["slide"]["objects"]["nuclei"] > 50
    assert content["weights"]["sha256"] == MODELS.get("mini").recorded_sha256()
    assert page.count("data:image/jpeg;base64,") == 2


def test_what_cannot_be_read_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    for asked in ({"slide": tmp_path / "no.svs"}, {"labelled": tmp_path / "no"}, {"settings": {"weights": tmp_path}}):
        with pytest.raises(UsageError):
            report(tmp_path / "out", **asked)
    assert not (tmp_path / "out").exists()


def test_what_a_person_wrote_is_kept_and_what_we_wrote_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "verification.json").write_text('{"my": "notes"}')
    first, content, _ = report(out, minutes=0.01)
    (kept,) = content["kept"]
    assert "verification.json" in kept
    (aside,) = out.glob("verification.edited-*.json")
    assert json.loads(aside.read_text()) == {"my": "notes"}
    _, content, page = report(out, minutes=0.01)
    assert "kept" not in content
    assert RESEARCH_ONLY in page
    assert {path.name for path in out.glob("verification*")} == {"verification.json", "verification.html", aside.name}
    assert first.facts["kept"] == [kept]
