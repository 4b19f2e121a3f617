"""A block is whole or it is not: an incomplete, lost or changed shard is noticed."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.one_pass import Scenario, white
from wsi_parse.errors import StoreError
from wsi_parse.geometry import Box
from wsi_parse.objects.chunk_objects import ChunkObjects
from wsi_parse.predict.tile_store import TileStore, folder_name


@pytest.fixture
def store(tmp_path: Path) -> TileStore:
    grid = Scenario(white(700, 500), tmp_path / "work").plan().passes[0].selection.grid
    return TileStore(tmp_path / "store", grid, {"a": 1, "b": 4})


def filled(store: TileStore, block: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    tiles = {
        name: {
            index: rng.integers(0, 256, (store.side(name), store.side(name)), dtype=np.uint8)
            for index in store.grid.tiles_of(block)
        }
        for name in store.strides
    }
    store.write_block(block, tiles)
    for name in store.strides:
        side = store.side(name)
        for index, tile in tiles[name].items():
            assert np.array_equal(store.read(name, Box(index[1] * side, index[0] * side, side, side)), tile)


def test_a_block_is_whole_only_when_written(store: TileStore) -> None:
    assert not store.is_whole((0, 0))
    filled(store, (0, 0))
    assert store.is_whole((0, 0))
    assert not store.is_whole((0, 1))
    again = TileStore(store.folder, store.grid, store.strides)
    assert again.is_whole((0, 0))


@pytest.mark.parametrize("damage", ["incomplete", "changed", "lost", "no marker", "incomplete marker"])
def test_damage_to_a_shard_is_noticed(store: TileStore, damage: str) -> None:
    filled(store, (0, 0))
    shard = store.folder / "b" / "c" / "0" / "0"
    data = bytearray(shard.read_bytes())
    marker = store.folder / "done" / "0.0.json"
    if damage == "incomplete":
        shard.write_bytes(data[: len(data) // 2])
    elif damage == "changed":
        data[len(data) // 3] ^= 1
        shard.write_bytes(data)
    elif damage == "lost":
        shard.unlink()
    elif damage == "no marker":
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
    with pytest.raises(StoreError, match="Run the same command again"):
        ChunkObjects.load(path)
    with pytest.raises(StoreError):
        ChunkObjects.load(tmp_path / "missing.npz")


@given(st.text(max_size=80), st.text(max_size=80))
def test_every_channel_name_gets_its_own_folder_inside_the_store(one: str, other: str) -> None:
    for channel in (one, other):
        name = folder_name(channel)
        assert re.fullmatch(r"[a-z0-9_-][a-z0-9_ -]*", name), name
        assert len(name) <= 60
        assert name not in {"done", "objects"}
    assert (folder_name(one) == folder_name(other)) == (one == other)


def test_the_notes_of_the_model_are_read_back_in_order(store: TileStore) -> None:
    def tiles(block: tuple[int, int]) -> dict[str, dict[tuple[int, int], np.ndarray]]:
        return {
            name: {index: np.zeros((store.side(name),) * 2, np.uint8) for index in store.grid.tiles_of(block)}
            for name in store.strides
        }

    for block in ((0, 1), (0, 0)):
        noted = {index: [float(index[0]), float(index[1]), 0.5] for index in store.grid.tiles_of(block)}
        store.write_block(block, tiles(block), {"a": noted})
    expected = [[*index, 0.5] for block in ((0, 0), (0, 1)) for index in store.grid.tiles_of(block)]
    assert store.notes([(0, 0), (0, 1)])["a"].tolist() == expected
    filled(store, (0, 0))
    assert store.notes([(0, 0)]) == {}
