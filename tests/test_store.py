"""A block is whole or it is not: a torn, lost or changed shard is seen."""

from pathlib import Path

import numpy as np
import pytest

from tests.scene import Scenario, white
from wsi_parse.chunk_objects import ChunkObjects
from wsi_parse.errors import StoreError
from wsi_parse.geometry import Box
from wsi_parse.store import TileStore


@pytest.fixture
def store(tmp_path: Path) -> TileStore:
    grid = Scenario(white(700, 500), tmp_path / "work").plan().passes[0].selection.grid
    return TileStore(tmp_path / "store", grid, {"a": 1, "b": 4})


def filled(store: TileStore, block: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    tiles = {
        name: {
            place: rng.integers(0, 256, (store.side(name), store.side(name)), dtype=np.uint8)
            for place in store.grid.tiles_of(block)
        }
        for name in store.strides
    }
    store.write_block(block, tiles)
    for name in store.strides:
        side = store.side(name)
        for place, tile in tiles[name].items():
            assert np.array_equal(store.read(name, Box(place[1] * side, place[0] * side, side, side)), tile)


def test_a_block_is_whole_only_when_written(store: TileStore) -> None:
    assert not store.is_whole((0, 0))
    filled(store, (0, 0))
    assert store.is_whole((0, 0))
    assert not store.is_whole((0, 1))
    again = TileStore(store.folder, store.grid, store.strides)
    assert again.is_whole((0, 0))


@pytest.mark.parametrize("harm", ["torn", "changed", "lost", "no marker", "torn marker"])
def test_harm_to_a_shard_is_seen(store: TileStore, harm: str) -> None:
    filled(store, (0, 0))
    shard = store.folder / "b" / "c" / "0" / "0"
    data = bytearray(shard.read_bytes())
    marker = store.folder / "done" / "0.0.json"
    if harm == "torn":
        shard.write_bytes(data[: len(data) // 2])
    elif harm == "changed":
        data[len(data) // 3] ^= 1
        shard.write_bytes(data)
    elif harm == "lost":
        shard.unlink()
    elif harm == "no marker":
        marker.unlink()
    else:
        marker.write_text(marker.read_text()[:5])
    assert not store.is_whole((0, 0))


def test_damaged_objects_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    empty = ChunkObjects(np.empty(0, object), np.empty(0, np.int16), {}, {})
    path = tmp_path / "0.0.npz"
    empty.save(path)
    assert len(ChunkObjects.load(path).cells) == 0
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(StoreError, match="Run again"):
        ChunkObjects.load(path)
    with pytest.raises(StoreError):
        ChunkObjects.load(tmp_path / "missing.npz")
