"""Tiles are counted while their block is at work, and each of them once."""

import time
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster
from hypothesis import given
from hypothesis import strategies as st

from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.compute import tile_events
from wsi_parse.compute.tile_events import TileCounter, TileTeller
from wsi_parse.models.stain import StainModel
from wsi_parse.progress import Silent
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings

PLACES = st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 1))


class Recording(Silent):
    def __init__(self) -> None:
        self.tiles: list[int] = []
        self.total = 0

    def start(self, stage: str, total: int) -> None:
        if stage == "predict":
            self.total = total

    def advance(self, stage: str, steps: int = 1) -> None:
        if stage == "predict":
            self.tiles.append(steps)


@pytest.mark.whole
def test_a_slow_model_is_seen_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predict = StainModel.predict

    def slowly(*given: Any) -> Any:
        time.sleep(0.05)
        return predict(*given)

    monkeypatch.setattr(StainModel, "predict", slowly)
    monkeypatch.setattr(tile_events.TileTeller.__init__, "__defaults__", (0.0,))
    path = write_slide(tmp_path / "a.svs", tissue_with_nuclei(900, 900)[0])
    settings = RunSettings.load(
        None,
        ("model.field_um=64", "model.batch=1", "export.overlay_px=0", "export.report=false"),
        prompts=("nuclei",),
        model={"name": "stain"},
    )
    progress = Recording()
    run_slide(path, tmp_path / "out", settings, progress)
    assert progress.total == sum(progress.tiles) > 9
    assert progress.tiles.count(1) > progress.total / 2, "tile by tile, and not 16 at a time"


def tell_from_a_task(key: str) -> None:
    tell = TileTeller(key, (0, 2, 3), every_s=0.0)
    for done in (1, 4, 6):
        tell(done)


def test_other_processes_tell_too() -> None:
    counted: list[int] = []
    counter = TileCounter(counted.append)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        Client(cluster) as client,
        counter.listening(client, "run"),
    ):
        client.submit(tell_from_a_task, "another run", pure=False).result()
        client.submit(tell_from_a_task, "run", pure=False).result()
        until = time.monotonic() + 30
        while sum(counted) < 6 and time.monotonic() < until:
            time.sleep(0.01)
    assert counted == [1, 3, 2]
    counter.ended((0, 2, 3), 9)
    assert counted == [1, 3, 2, 3]


def test_little_is_told_and_nothing_outside_of_a_worker() -> None:
    TileTeller("run", (0, 0, 0), every_s=0.0)(3)


@given(st.lists(st.tuples(PLACES, st.integers(1, 16))), st.sets(PLACES))
def test_each_tile_counts_once(told: list[tuple[tuple[int, int, int], int]], ended: set[tuple[int, int, int]]) -> None:
    """Tasks are repeated when a worker dies, and what they told may come late."""
    counted: list[int] = []
    counter = TileCounter(counted.append)
    half = len(told) // 2
    for place, done in told[:half]:
        counter.receive((0.0, (*place, done)))
    for place in sorted(ended):
        counter.ended(place, 16)
    for place, done in told[half:]:
        counter.receive((0.0, (*place, done)))
    open_places: dict[tuple[int, int, int], int] = {}
    for place, done in told:
        if place not in ended:
            open_places[place] = max(done, open_places.get(place, 0))
    assert sum(counted) == 16 * len(ended) + sum(open_places.values())


def test_a_stop_does_not_reach_the_thread_of_events() -> None:
    def stopped(_: int) -> None:
        raise KeyboardInterrupt

    counter = TileCounter(stopped)
    counter.receive((0.0, (0, 0, 0, 1)))
    with pytest.raises(KeyboardInterrupt):
        counter.ended((0, 0, 0), 2)
