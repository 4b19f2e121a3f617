"""Empty is free: a block that is exactly zero is a marker, and everything is as if its zeros had been stored."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.one_pass import PaintModel, Scenario, SoftPaintModel, paint_disc, white
from wsi_parse.compute.plan import RunPlan
from wsi_parse.geometry import Box
from wsi_parse.objects.chunk_objects import ChunkObjects
from wsi_parse.objects.extract import extract_objects
from wsi_parse.objects.pass_context import PassContext
from wsi_parse.predict.pass_maps import PassMaps
from wsi_parse.predict.stitch import blend
from wsi_parse.predict.tile_store import TileStore
from wsi_parse.tissue.mask import TissueMask


def _corner(model: PaintModel, folder: Path, **more: Any) -> Scenario:
    """Two discs in the upper left corner, one of them across the border of the first block; nothing elsewhere."""
    pixels = white(1100, 900)
    paint_disc(pixels, 60.0, 70.0, 12.0)
    paint_disc(pixels, 448.0, 300.0, 14.0)
    pixels[40:50, 200:230] = 254
    return Scenario(pixels, folder, model, tissue=_left, **more)


def _left(mask: TissueMask) -> TissueMask:
    kept = mask.mask.copy()
    kept[:, -40:] = False
    return TissueMask(kept, mask.frame)


def _stored(plan: RunPlan) -> list[Path]:
    return sorted(path for path in plan.maps.glob("*/*/c/*/*") if path.is_file())


def test_a_block_of_zeros_is_a_marker_and_nothing_else(tmp_path: Path) -> None:
    plan = _corner(SoftPaintModel(), tmp_path / "one").predicted()
    store, selection = plan.pass_contexts[0].store, plan.passes[0].selection
    empty = [block for block in selection.blocks() if store.is_empty("ink", block)]
    assert len(_stored(plan)) == len(selection.blocks()) - len(empty)
    assert 0 < len(empty) < len(selection.blocks())
    assert all(store.is_whole(block) for block in empty)
    again = TileStore(store.folder, store.grid, store.strides)
    assert [block for block in selection.blocks() if again.is_empty("ink", block)] == empty


def test_one_level_of_255_is_not_nothing(tmp_path: Path) -> None:
    pixels = white(600, 500)
    pixels[450, 550] = 254
    plan = Scenario(pixels, tmp_path, SoftPaintModel(), block=1).predicted()
    item, context = plan.passes[0], plan.pass_contexts[0]
    values, covered = blend(context.store, item.selection, "ink", item.chunks.frame.box)
    assert values.sum() == values[450, 550] == 1
    assert covered.all()


def test_zeros_written_over_a_block_take_its_shard_away(tmp_path: Path) -> None:
    plan = _corner(SoftPaintModel(), tmp_path / "one", block=1).predicted()
    store = plan.pass_contexts[0].store
    block = next(block for block in plan.passes[0].selection.blocks() if not store.is_empty("ink", block))
    side = store.side("ink")
    store.write_block(block, {"ink": {index: np.zeros((side, side), np.uint8) for index in store.grid.tiles_of(block)}})
    assert store.is_empty("ink", block)
    assert store.is_whole(block)
    box = Box(block[1] * side, block[0] * side, side, side)
    assert not store.read("ink", box).any()


@pytest.mark.parametrize("overlap", [0.0, 0.125, 0.5])
@pytest.mark.parametrize("block", [1, 2])
def test_maps_and_coverage_are_those_of_stored_zeros(
    tmp_path: Path, overlap: float, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _corner(SoftPaintModel(), tmp_path / "one", overlap=overlap, block=block).predicted()
    item, store = plan.passes[0], plan.pass_contexts[0].store
    boxes = [item.chunks.frame.box, Box(400, 200, 300, 300), Box(700, 500, 500, 500), Box(-20, -10, 90, 100)]
    free = [blend(store, item.selection, "ink", box) for box in boxes]
    monkeypatch.setattr(TileStore, "is_empty", lambda *_: False)
    for box, (values, covered) in zip(boxes, free, strict=True):
        theirs, their_coverage = blend(store, item.selection, "ink", box)
        assert np.array_equal(values, theirs)
        assert np.array_equal(covered, their_coverage)


@pytest.mark.parametrize("kind", ["cell", "region"])
def test_objects_are_those_of_stored_zeros_and_no_pixel_is_blended_for_nothing(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _corner(PaintModel(), tmp_path / "one", kind=kind, block=1).predicted()
    item, context = plan.passes[0], plan.pass_contexts[0]
    chunks = item.chunks.chunks(item.selection)
    blended: list[Box] = []
    read = PassMaps.channel

    def counted(self: PassMaps, name: str, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        blended.append(box)
        return read(self, name, box)

    monkeypatch.setattr(PassMaps, "channel", counted)
    free = [_bytes(context, chunk, plan) for chunk in chunks]
    assert 0 < len(blended) < len(chunks)
    monkeypatch.setattr(TileStore, "is_empty", lambda *_: False)
    assert free == [_bytes(context, chunk, plan) for chunk in chunks]
    assert sum(len(ChunkObjects.load(plan.objects_path(0, chunk)).cells) for chunk in chunks) == 2 * (kind == "cell")


def _bytes(context: PassContext, chunk: tuple[int, int], plan: RunPlan) -> bytes:
    path = plan.objects_path(0, chunk)
    extract_objects(context, chunk).save(path)
    return path.read_bytes()
