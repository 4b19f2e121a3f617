"""Other formats of a finished run: equal to those that the run would have written, without the model."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.cli.main import app
from wsi_parse.compute import worker
from wsi_parse.errors import UnknownNameError, UsageError
from wsi_parse.models.stain import StainModel
from wsi_parse.run.export import export_run
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.pipeline import run_slide
from wsi_parse.run.result import Run
from wsi_parse.settings import RunSettings

pytestmark = pytest.mark.whole
FORMATS = ("geojson", "parquet", "csv")


def settings_of(*overrides: str) -> RunSettings:
    small = ("model.field_um=128", "objects.chunk_px=256", "export.overlay_px=0", "export.report=false")
    return RunSettings.load(None, [*small, *overrides], prompts=("nuclei",), model={"name": "stain"})


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    return write_slide(folder / "small.svs", tissue_with_nuclei(900, 800)[0])


@pytest.fixture(autouse=True)
def without_model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> "Forbidden":
    return Forbidden(monkeypatch)


class Forbidden:
    """Lets runs predict, and notes whether an export does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        predict, extract = StainModel.predict, worker.extract_objects

        def predicting(*given):  # type: ignore[no-untyped-def] # noqa: ANN002, ANN202
            self.calls += 1
            return predict(*given)

        def extracting(*given):  # type: ignore[no-untyped-def] # noqa: ANN002, ANN202
            self.calls += 1
            return extract(*given)

        monkeypatch.setattr(StainModel, "predict", predicting)
        monkeypatch.setattr(worker, "extract_objects", extracting)


@pytest.mark.parametrize("more", [(), ("objects.cell_expansion_um=3", "objects.stains=true"), ("export.frame=level0",)])
def test_the_file_is_the_one_that_the_run_would_have_written(
    slide: Path, tmp_path: Path, without_model: Forbidden, more: tuple[str, ...]
) -> None:
    whole = run_slide(slide, tmp_path / "whole", settings_of(f"export.formats={json.dumps(FORMATS)}", *more))
    run_slide(slide, tmp_path / "part", settings_of('export.formats=["parquet"]', *more))
    without_model.calls = 0
    written = export_run(tmp_path / "part", ["geojson", "csv", "csv"])
    assert without_model.calls == 0
    assert [path.name for path in written] == ["annotations.geojson", "objects.csv"]
    for path in written:
        assert path.read_bytes() == (tmp_path / "whole" / path.name).read_bytes(), path.name
    run = Run.open(tmp_path / "part")
    assert run.manifest.outputs == whole.outputs
    assert run.manifest.formats == whole.formats
    assert not (tmp_path / "part" / ".work").exists()
    assert export_run(tmp_path / "part", ["csv"]) == written[1:], "again, over its own file"


def test_gzip_and_the_same_command_again(slide: Path, tmp_path: Path) -> None:
    settings = settings_of()
    first = run_slide(slide, tmp_path / "out", settings)
    (written,) = export_run(tmp_path / "out", ["geojson"], gzip=True)
    assert written.name == "annotations.geojson.gz"
    packed = run_slide(slide, tmp_path / "gz", settings_of("export.gzip=true"))
    assert packed.outputs[written.name] == Run.open(tmp_path / "out").manifest.outputs[written.name]
    assert run_slide(slide, tmp_path / "out", settings).ended_utc == first.ended_utc
    # Another run removes what an export wrote, as it does with outputs of an earlier run.
    run_slide(slide, tmp_path / "out", settings_of("objects.threshold=0.4"))
    assert not written.exists()


def test_what_a_person_has_changed_is_kept_aside(slide: Path, tmp_path: Path) -> None:
    run_slide(slide, tmp_path, settings_of('export.formats=["parquet"]'))
    today = date.today().isoformat()
    (tmp_path / "objects.csv").write_text("mine")
    annotations, table = export_run(tmp_path, ["geojson", "csv"])
    assert (tmp_path / f"objects.edited-{today}.csv").read_text() == "mine"
    assert not (tmp_path / ".work").exists()
    as_written = annotations.read_bytes()
    for number in ("", "-2"):
        annotations.write_bytes(as_written + b" ")
        assert export_run(tmp_path, ["geojson"]) == (annotations,)
        assert annotations.read_bytes() == as_written
        assert (tmp_path / f"annotations.edited-{today}{number}.geojson").read_bytes() == as_written + b" "
    export_run(tmp_path, ["geojson", "csv"])
    assert len(list(tmp_path.glob("*.edited-*"))) == 3, "what we wrote is replaced, not kept"
    assert table.name in Run.open(tmp_path).manifest.outputs


def test_what_cannot_be_exported(slide: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with pytest.raises(UsageError, match="holds no run"):
        export_run(tmp_path, ["csv"])
    run_slide(slide, folder, settings_of('export.formats=["geojson"]'))
    with pytest.raises(UsageError, match=r"has no objects\.parquet.*--format parquet"):
        export_run(folder, ["csv"])
    run_slide(slide, folder, settings_of())
    with pytest.raises(UsageError, match=r"from the predictions.*--format ome-zarr"):
        export_run(folder, ["ome-zarr"])
    with pytest.raises(UnknownNameError):
        export_run(folder, ["geojsn"])
    other = write_slide(tmp_path / "other.svs", np.full((600, 600, 3), 240, np.uint8))
    with pytest.raises(UsageError, match=r"other\.svs is not the slide of this run, which is small\.svs"):
        export_run(folder, ["csv"], slide=other)
    path = folder / "objects.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UsageError, match=r"has a changed or removed objects\.parquet"):
        export_run(folder, ["csv"])
    manifest = RunManifest.load(folder)
    assert manifest is not None
    manifest.state = "failed"
    manifest.save(folder)
    with pytest.raises(UsageError, match="is not finished"):
        export_run(folder, ["csv"])


def test_the_command(slide: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run_slide(slide, tmp_path / name, settings_of())
    runs = [str(tmp_path / name) for name in ("a", "b")]
    done = CliRunner().invoke(app, ["export", *runs, "--format", "csv", "--json"])
    assert done.exit_code == 0, done.output
    assert [json.loads(line)["files"] for line in done.stdout.splitlines()] == [["objects.csv"]] * 2
    bad = CliRunner().invoke(app, ["export", runs[0], "--format", "ome-zarr"])
    assert isinstance(bad.exception, UsageError)
