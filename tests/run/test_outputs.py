"""One pass over the objects writes every output; objects.parquet of a finished run writes the same outputs again."""

from pathlib import Path

import numpy as np
import pytest

from tests.one_pass import Scenario, paint_disc, white
from tests.run.test_collect import counted_loads, outlined
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.errors import StageError
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.parquet_source import ParquetSource
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.progress import Clock, Silent
from wsi_parse.run.collect import ChunkSource
from wsi_parse.run.manifest import RunManifest, sha256_of
from wsi_parse.run.outputs import Written, export_context, write_outputs
from wsi_parse.run.pipeline import run_slide
from wsi_parse.run.prepared import resolve_run
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import ExportSettings, RunSettings

ABOUT = {"slide": {"name": "array", "mpp_x_um": 0.5, "mpp_y_um": 0.5, "width_px": 4096, "height_px": 4096}}


def test_one_pass_loads_each_chunk_once_and_the_close_up_only_its_own(tmp_path: Path) -> None:
    pixels, random = white(4096, 4096), np.random.default_rng(0)
    for low, high, count in ((0, 4096, 150), (2600, 2900, 60)):
        for x, y in random.uniform(low, high, (count, 2)):
            paint_disc(pixels, x, y, 6)
    small = {"min_cell_area_um2": 5, "max_cell_radius_um": 8}
    plan = outlined(Scenario(pixels, tmp_path / "work", chunk=512, block=8, objects=small))
    settings = ExportSettings(formats=("geojson", "parquet", "csv"), overlay_px=800)
    (tmp_path / "out").mkdir()
    with counted_loads() as loads:
        written = write_outputs(
            ChunkSource(plan),
            plan.slide,
            plan.tissue,
            ExportContext(plan.classes, (0, 0), ABOUT),
            settings,
            tmp_path / "out",
            Clock(),
            Silent(),
        )
    everything = [(row, column) for row in range(8) for column in range(8)]
    assert loads[:64] == everything
    close_up = loads[64:]
    # The field is 250 µm high (500 px) and at most 900 px wide: its chunks, and those whose cells reach into it.
    assert (5, 5) in close_up
    assert len(close_up) == len(set(close_up)) <= 9
    assert {path.name for path in written.paths} == {path.name for path in (tmp_path / "out").iterdir()}
    assert written.counts["nuclei"] > 150

    (tmp_path / "again").mkdir()
    with counted_loads() as loads:
        again = write_outputs(
            ParquetSource(tmp_path / "out" / "objects.parquet", plan.classes),
            plan.slide,
            plan.tissue,
            ExportContext(plan.classes, (0, 0), ABOUT),
            settings,
            tmp_path / "again",
            Clock(),
            Silent(),
        )
    assert not loads
    assert again.counts == written.counts
    same(tmp_path / "again", tmp_path / "out", written)


def same(one: Path, other: Path, written: Written) -> None:
    for path in written.paths:
        assert sha256_of(one / path.name) == sha256_of(other / path.name) is not None, path.name


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels, _ = tissue_with_nuclei(2000, 1500)
    return write_slide(tmp_path_factory.mktemp("slides") / "small.svs", pixels)


def settings_of(*overrides: str) -> RunSettings:
    # The page has the times of the run in it.
    few = ("objects.chunk_px=256", "export.overlay_px=400", "export.report=false", *overrides)
    return RunSettings.load(
        None,
        [*few, "export.formats=[geojson, parquet, csv, dicom]"],
        prompts=("neoplastic cells", "inflammatory cells", "nuclei"),
        model={"name": "mini"},
    )


@pytest.mark.whole
@pytest.mark.parametrize(
    "overrides",
    [
        ("export.gzip=true", "objects.stains=true"),
        ("objects.cell_expansion_um=3", "export.max_part_objects=300", "objects.min_class_probability=0.6"),
    ],
)
def test_a_finished_run_writes_the_same_outputs_again(slide: Path, tmp_path: Path, overrides: tuple[str, ...]) -> None:
    settings = settings_of(*overrides)
    manifest = run_slide(slide, tmp_path / "run", settings)
    assert sum(manifest.unsure.values()) > 0
    assert sum(manifest.counts.values()) > 500
    prepared = resolve_run(slide, resolve(settings))
    (tmp_path / "again").mkdir()
    with prepared.slide:
        tissue, classes = prepared.tissue(), ClassTable.of(prepared.prompts)
        written = write_outputs(
            ParquetSource(tmp_path / "run" / "objects.parquet", classes),
            prepared.slide,
            tissue,
            export_context(manifest, settings.export, classes, prepared.path),
            settings.export,
            tmp_path / "again",
            Clock(),
            Silent(),
        )
    assert {path.name for path in written.paths} == set(manifest.outputs)
    same(tmp_path / "again", tmp_path / "run", written)
    told = RunManifest.load(tmp_path / "run")
    assert told is not None
    told.outputs, told.counts, told.unsure, told.per_mm2, told.formats = {}, {}, {}, {}, {}
    written.record(told, tissue)
    assert told == RunManifest.load(tmp_path / "run")


@pytest.mark.whole
def test_an_output_that_cannot_be_written_leaves_nothing_and_names_the_stage(slide: Path, tmp_path: Path) -> None:
    settings = settings_of()
    manifest = run_slide(slide, tmp_path / "run", settings)
    prepared = resolve_run(slide, resolve(settings))
    classes = ClassTable.of(prepared.prompts)
    with prepared.slide, pytest.raises(StageError, match="export failed"):
        write_outputs(
            ParquetSource(tmp_path / "run" / "objects.parquet", classes),
            prepared.slide,
            prepared.tissue(),
            export_context(manifest, settings.export, classes, prepared.path),
            settings.export,
            tmp_path / "no such folder",
            Clock(),
            Silent(),
        )
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
