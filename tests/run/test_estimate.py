"""Estimates: a tile is timed here once, and where that cannot be, the words say so."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.models.stain import StainModel
from wsi_parse.registry import MODELS
from wsi_parse.run import estimate
from wsi_parse.run.estimate import OWN_FIGURE, TIMED, TileTime, estimate_cost
from wsi_parse.run.prepared import PreparedRun, resolve_run
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import RunSettings


class Counted(StainModel):
    """Counts how often tiles are predicted, and keeps the last ones."""

    spec = replace(StainModel.spec, name="counted", cpu_seconds_per_tile=1000.0)
    calls = 0
    images: Any = None

    def predict(self, images: Any, scale_pass: Any, state: Any) -> Any:
        Counted.calls += 1
        Counted.images = images
        return super().predict(images, scale_pass, state)


@pytest.fixture
def counted() -> Iterator[type[Counted]]:
    MODELS.add("counted", Counted)
    estimate._timed.clear()
    Counted.calls = 0
    yield Counted
    estimate._timed.clear()
    MODELS.remove("counted")


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("slides")
    return [write_slide(folder / f"{seed}.svs", tissue_with_nuclei(900, 700, seed=seed)[0]) for seed in (1, 2)]


Prepare = Callable[..., PreparedRun]


def cost(slide: Path, *overrides: str, model: str = "counted", prompt: str = "nuclei", **more: Any) -> dict[str, Any]:
    settings = RunSettings.load(None, overrides, prompts=(prompt,), model={"name": model})
    prepared = resolve_run(slide, resolve(settings, require_weights=False))
    with prepared.slide:
        tissue = prepared.tissue()
        return estimate_cost(prepared, prepared.passes(tissue), tissue, **more)


def test_a_few_tiles_are_timed_once_for_all_slides(counted: type[Counted], slides: list[Path]) -> None:
    figures = [cost(slide, "model.field_um=128") for slide in slides]
    assert 1 <= counted.calls <= 4
    assert np.ptp(counted.images) > 50, "real pixels of the slide"
    assert {each["expected_by"] for each in figures} == {TIMED}
    assert figures[0]["expected_seconds"] < figures[0]["tiles"] * 100, "not by the figure of the model"
    calls = counted.calls
    cost(slides[0], "model.field_um=256")
    assert counted.calls > calls, "tiles of another size take another time"


def test_seconds_grow_with_the_tiles(counted: type[Counted], slides: list[Path]) -> None:
    given = TileTime(2.0, TIMED)
    large, small = (cost(slides[0], f"model.field_um={field}", as_timed=given) for field in (256, 64))
    assert small["tiles"] > 4 * large["tiles"]
    for figures in (large, small):
        assert figures["expected_seconds"] == 2.0 * figures["tiles"]
    assert counted.calls == 0


def test_on_a_cluster_nothing_is_predicted_here(counted: type[Counted], slides: list[Path]) -> None:
    figures = cost(slides[0], "compute.cluster=slurm")
    assert counted.calls == 0
    assert figures["expected_by"] == OWN_FIGURE
    assert figures["expected_seconds"] > 0


def test_without_tissue_nothing_is_predicted(counted: type[Counted], tmp_path: Path) -> None:
    figures = cost(write_slide(tmp_path / "glass.svs", np.full((700, 900, 3), 244, np.uint8)))
    assert counted.calls == 0
    assert (figures["tiles"], figures["expected_seconds"]) == (0, 0)


def test_without_weights_the_model_s_own_figure_counts(
    slides: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WSI_PARSE_CACHE", str(tmp_path))
    figures = cost(slides[0], "compute.threads=2", model="biomedparse", prompt="neoplastic cells")
    assert figures["expected_by"] == OWN_FIGURE
    assert figures["expected_seconds"] == pytest.approx(figures["tiles"] * 36.0 / 2)


def test_a_model_that_uses_all_threads_is_not_divided_by_them(
    counted: type[Counted], slides: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each look at this clock is a thousand seconds after the one before.
    clock = SimpleNamespace(perf_counter=map(float, itertools.count(0, 1000)).__next__)
    monkeypatch.setattr(estimate, "time", clock)
    one, many = (cost(slides[0], f"compute.threads={threads}")["expected_seconds"] for threads in (1, 100))
    assert one == pytest.approx(100 * many), "threads predict side by side"
    monkeypatch.setattr(counted, "at_once", 1)
    estimate._timed.clear()
    alone = cost(slides[0], "compute.threads=100")["expected_seconds"]
    assert alone == pytest.approx(one), "a network uses them all for one tile"
