"""The page of real runs: on by default, off on request; `cite` reads the run."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.report.test_page import elements
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.cli.main import app
from wsi_parse.errors import WsiParseError
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings

pytestmark = pytest.mark.whole


def test_a_run_writes_its_page_and_cite_speaks_of_it(tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "small.svs", tissue_with_nuclei(900, 700)[0])
    settings = RunSettings(prompts="nuclei", model="stain")
    manifest = run_slide(slide, tmp_path / "out", settings)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    elements(page)
    assert f"{manifest.counts['nuclei']:,}" in page
    assert str(tmp_path) not in page
    assert manifest.seconds["report"] > 0
    told = CliRunner().invoke(app, ["cite", str(tmp_path / "out")])
    assert told.exit_code == 0
    assert f"{manifest.counts['nuclei']:,} nuclei" in told.output.partition("\n")[0]
    assert "@software{wsi_parse," in told.output
    only = CliRunner().invoke(app, ["cite", str(tmp_path / "out"), "--bibtex"])
    assert only.output.startswith("@software")

    off = RunSettings(prompts="nuclei", model="stain", export={"report": False})
    again = run_slide(slide, tmp_path / "out", off)
    assert "report.html" not in again.outputs
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_run_that_fails_has_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    slide = write_slide(tmp_path / "small.svs", tissue_with_nuclei(700, 500)[0])
    monkeypatch.setattr("wsi_parse.run.stages.write_outputs", fails)
    with pytest.raises(WsiParseError):
        run_slide(slide, tmp_path / "out", RunSettings(prompts="nuclei", model="stain"))
    failed = RunManifest.load(tmp_path / "out")
    assert failed is not None
    assert failed.state == "failed"
    assert failed.error
    assert not [*(tmp_path / "out").glob("*.html")]
