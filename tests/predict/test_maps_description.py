"""Kept maps are opened by their description alone, and a description that claims too much is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.one_pass import Scenario, paint_disc, white
from wsi_parse.errors import StoreError
from wsi_parse.geometry import Box
from wsi_parse.predict.maps_description import MAPS_NAME, load_description, save_description
from wsi_parse.predict.pass_maps import PassMaps


@pytest.fixture
def maps(tmp_path: Path) -> PassMaps:
    pixels = white(900, 500)
    paint_disc(pixels, 300, 200, 60)
    laid = Scenario(pixels, tmp_path / "work", tile=128, stride=2).predicted().pass_contexts[0].maps
    laid.selection.chosen[0, 0] = False
    save_description(laid)
    return laid


def changed(maps: PassMaps, change: Callable[[dict[str, Any]], object]) -> Path:
    path = maps.store.folder / MAPS_NAME
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    return maps.store.folder


def test_the_maps_are_the_same_when_they_are_opened_again(maps: PassMaps) -> None:
    again = load_description(maps.store.folder)
    assert (again.scale_pass, again.frame, again.selection.grid) == (maps.scale_pass, maps.frame, maps.selection.grid)
    assert np.array_equal(again.selection.chosen, maps.selection.chosen)
    for box in (maps.frame.box, Box(-5, 30, 90, 77), Box(140, 80, 40, 40)):
        for ours, theirs in zip(maps.channel("ink", box), again.channel("ink", box), strict=True):
            assert np.array_equal(ours, theirs)
        assert again.is_seen(box) == maps.is_seen(box)
    assert maps.channel("ink", Box(140, 90, 10, 10))[0].max() == 255


def test_opening_creates_nothing_and_nothing_can_be_written(maps: PassMaps) -> None:
    before = sorted(maps.store.folder.rglob("*"))
    again = load_description(maps.store.folder)
    assert sorted(maps.store.folder.rglob("*")) == before
    with pytest.raises(ValueError, match=r"read.only"):
        again.store._arrays["ink"][:1, :1] = 1


def _frame(values: dict[str, Any]) -> dict[str, Any]:
    frame: dict[str, Any] = values["grid"]["frame"]
    return frame


CLAIMS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another version": lambda v: v.update(version=2),
    "no grid": lambda v: v.pop("grid"),
    "a text for a number": lambda v: v["grid"].update(tile_px="many"),
    "a frame of nothing": lambda v: _frame(v).update(width=0),
    "a frame without end": lambda v: _frame(v).update(height=2**40),
    "no scale": lambda v: _frame(v).update(scale_x=0.0),
    "tiles without end": lambda v: v["grid"].update(tile_px=2**30),
    "more overlap than tile": lambda v: v["grid"].update(overlap_px=128),
    "no block": lambda v: v["grid"].update(block=0),
    "more tiles than any slide": lambda v: (
        _frame(v).update(width=2**30, height=2**30),
        v["grid"].update(overlap_px=126),
    ),
    "no channel": lambda v: v["scale_pass"].update(channels=[]),
    "a channel twice": lambda v: v["scale_pass"].update(channels=v["scale_pass"]["channels"] * 2),
    "a stride of nothing": lambda v: v["scale_pass"]["channels"][0].update(stride=0),
    "a stride that does not fit": lambda v: v["scale_pass"]["channels"][0].update(stride=3),
    "no recipe": lambda v: v["scale_pass"].update(recipes=[]),
    "a recipe of another channel": lambda v: v["scale_pass"]["recipes"][0].update(probability="other"),
    "fewer tiles": lambda v: v.update(chosen="AAAA"),
    "no base64": lambda v: v.update(chosen="?"),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_description_that_claims_what_cannot_be_is_refused(maps: PassMaps, claim: str) -> None:
    with pytest.raises(StoreError, match=r"maps\.json.*--keep predictions"):
        load_description(changed(maps, CLAIMS[claim]))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b" " * 33_000_000])
def test_a_description_that_is_none_is_refused(maps: PassMaps, content: bytes) -> None:
    (maps.store.folder / MAPS_NAME).write_bytes(content)
    with pytest.raises(StoreError, match=r"maps\.json"):
        load_description(maps.store.folder)


def test_a_store_of_another_form_is_refused(maps: PassMaps) -> None:
    path = maps.store.folder / "ink" / "zarr.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"shape": [10**9, 10**9]}))
    with pytest.raises(StoreError, match="another form"):
        load_description(maps.store.folder)
    path.unlink()
    with pytest.raises(StoreError, match="cannot be opened"):
        load_description(maps.store.folder)


def test_a_folder_without_a_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="keep predictions"):
        load_description(tmp_path)
