"""What `benchmarks.viewer` looks at: a painted slide with and without a pyramid, and runs with its cells as objects."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import shapely
import tifffile
from numpy.typing import NDArray

from benchmarks.scale_slide import TILE, ScaleSlide, write
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.parquet import ParquetExporter
from wsi_parse.files import MANIFEST_NAME, file_sha256
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.qupath.snapping import GRID_PX
from wsi_parse.run.export import classes_of
from wsi_parse.run.manifest import RunManifest
from wsi_parse.slides import open_slide

VERTICES, CHUNK_PX, BATCH = 24, 2048, 2_000
# The run that lends its manifest: just large enough to have a tissue.
_LENT_PX = 2_500
MEASUREMENTS = (
    *("area_um2", "perimeter_um", "circularity", "solidity", "eccentricity", "major_axis_um", "minor_axis_um"),
    *("probability_mean", "probability_max", "hematoxylin_od_mean", "eosin_od_mean"),
)


def make(side: int, folder: Path, *, pyramid: bool) -> tuple[Path, Path]:
    """Make a slide and its run, unless they are there; return the folder of the run and the slide."""
    slide, run = folder / f"{side}.svs", folder / f"run-{side}{'' if pyramid else '-flat'}"
    if not slide.exists():
        write(ScaleSlide(side), slide)
    if not pyramid:
        with_levels, slide = slide, folder / f"{side}-flat.tif"
        if not slide.exists():
            without_pyramid(with_levels, slide)
    if not (run / MANIFEST_NAME).exists():
        make_run(ScaleSlide(side), slide, run)
    return run, slide


def without_pyramid(slide: Path, path: Path) -> None:
    """Copy the stored tiles of level 0, and nothing else."""
    with tifffile.TiffFile(slide) as file, tifffile.TiffWriter(path, bigtiff=True) as tiff:
        page = file.pages.first

        def stored() -> Iterator[bytes]:
            for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
                file.filehandle.seek(offset)
                yield file.filehandle.read(size)

        tiff.write(
            stored(),
            shape=page.shape,
            dtype=np.uint8,
            tile=(TILE, TILE),
            photometric="rgb",
            subsampling=(1, 1),
            compression="jpeg",
            resolution=(40_000, 40_000),
            resolutionunit="CENTIMETER",
            metadata=None,
        )


def make_run(slide: ScaleSlide, path: Path, run: Path) -> None:
    """Write a run whose objects are the painted cells, each of one of ten classes, in the order of chunks."""
    small, out = run.parent / "lent" / f"{run.name}.svs", run.parent / "lent" / "out"
    small.parent.mkdir(exist_ok=True)
    write(ScaleSlide(_LENT_PX), small)
    command = ["-m", "wsi_parse", str(small), "--prompt", "all", "--model", "mini", "-o", str(out)]
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (out / run.name).rename(run)
    manifest = RunManifest.load(run)
    assert manifest is not None
    with ParquetExporter(run / "objects.parquet", ExportContext(classes_of(manifest), (0, 0), {})) as exporter:
        for batch in _batches(slide.truth(), 2 * len(manifest.prompts)):
            exporter.write(batch)
    with open_slide(path) as opened:
        facts = {"name": path.name, "fingerprint": opened.info.fingerprint}
    values = json.loads((run / MANIFEST_NAME).read_text(encoding="utf-8"))
    values["slide"] |= facts
    values["outputs"]["objects.parquet"] = file_sha256(run / "objects.parquet")
    (run / MANIFEST_NAME).write_text(json.dumps(values), encoding="utf-8")


def _batches(cells: NDArray[np.float64], classes: int) -> Iterator[ObjectBatch]:
    random = np.random.default_rng(0)
    chunk = np.floor(cells[:, :2] / CHUNK_PX)
    cells = cells[np.lexsort((chunk[:, 0], chunk[:, 1]))]
    turn = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    for start in range(0, len(cells), BATCH):
        some = cells[start : start + BATCH]
        points = np.rint((some[:, None, :2] + circle * some[:, None, 2:]) / GRID_PX) * GRID_PX
        measured = {name: random.random(len(some), np.float32) for name in (*MEASUREMENTS, "class_probability")}
        ids = np.array([os.urandom(16).hex() for _ in some], object)
        yield ObjectBatch(shapely.polygons(points), random.integers(0, classes, len(some), np.int16), ids, measured)
