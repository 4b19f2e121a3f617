"""What a run does how often, the same on each machine: reads of the slide, walks over the chunks, tasks, bytes."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.compute import worker
from wsi_parse.objects.chunk_objects import ChunkObjects
from wsi_parse.predict.tile_store import TileStore
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings
from wsi_parse.slides.cached_tiles import CachedTiles
from wsi_parse.slides.slide import Slide

pytestmark = pytest.mark.whole

SIZE = 2400, 1800
FORMATS = "annotations.geojson", "objects.parquet", "objects.csv"


def bytes_written() -> int:
    """Bytes that this process gave to the system to write, into files and connections."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("wchar")))


def test_counts_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[str, Counter[Any]] = {}

    def count(owner: Any, name: str, key: Callable[..., Any] = lambda *_: None) -> None:
        function, found = getattr(owner, name), calls.setdefault(name, Counter())

        def counted(*given: Any, **named: Any) -> Any:
            result = function(*given, **named)
            # What is looked for, and is not there yet, was not read.
            found[key(*given)] += 1
            return result

        monkeypatch.setattr(owner, name, counted)

    path = write_slide(tmp_path / "small.svs", tissue_with_nuclei(*SIZE)[0])
    settings = RunSettings.load(
        None,
        ["model.field_um=128", "tiles.block=2", "objects.chunk_px=256", "export.overlay_px=512", "export.report=false"],
        prompts=("nuclei",),
        model={"name": "stain"},
        export={"formats": ("geojson", "parquet", "csv")},
        compute={"workers": 0, "threads": 2},
    )
    stored: list[CachedTiles] = []
    made = CachedTiles.__init__

    def listed(tiles: CachedTiles, *given: Any) -> None:
        made(tiles, *given)
        stored.append(tiles)

    monkeypatch.setattr(CachedTiles, "__init__", listed)
    count(Slide, "read_readable")
    count(worker, "predict_block", lambda *given: given[5])
    count(worker, "extract_objects", lambda _, chunk: chunk)
    count(TileStore, "write_block", lambda _, block, *__: block)
    count(ChunkObjects, "save")
    count(ChunkObjects, "load")
    count(Client, "submit")
    before = bytes_written()
    run_slide(path, tmp_path / "out", settings)
    written = bytes_written() - before
    totals = {name: found.total() for name, found in calls.items()}
    outputs = sum((tmp_path / "out" / name).stat().st_size for name in FORMATS)
    decodes = sum(tiles.reads for tiles in stored) / max(tiles.count for tiles in stored)
    blocks, chunks = totals["predict_block"], totals["extract_objects"]

    # Each block and chunk is one task, done once.
    assert set(calls["predict_block"].values()) == set(calls["extract_objects"].values()) == {1}, totals
    assert totals["write_block"] == blocks > 10, totals
    assert totals["save"] == chunks > 10, totals
    assert totals["submit"] <= blocks + chunks + 1, totals
    # All outputs and the picture come from one walk; the chunks around the picture's close-up are read once more.
    assert chunks <= totals["load"] <= chunks + 16, totals
    # Beside the blocks, the slide is read for the tissue, in samples of it, and for the picture.
    assert totals["read_readable"] <= blocks + 27, totals
    # Of this slide, which has one level only, the tissue and the blocks need every tile.
    assert decodes <= 2.1
    # Maps and stored chunks are smaller than what comes of them, and nothing is written twice.
    assert written <= 2.5 * outputs, (written, outputs)
