"""One stream of objects: each chunk is loaded once for it, and a box loads only the chunks around it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.one_pass import INK, Scenario, paint_disc, white
from wsi_parse.compute.plan import RunPlan
from wsi_parse.geometry import Box
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.chunk_objects import ChunkObjects
from wsi_parse.objects.extract import extract_objects
from wsi_parse.run.collect import ChunkSource, collect

SIDE, CHUNK = 1024, 128


def scenario(pixels: NDArray[np.uint8], work: Path, kind: str, chunk: int = CHUNK) -> Scenario:
    small = {"min_region_area_um2": 10, "max_cell_radius_um": 8, "min_cell_area_um2": 5}
    return Scenario(pixels, work, kind=kind, chunk=chunk, objects=small)


def outlined(one: Scenario) -> RunPlan:
    plan = one.predicted()
    for chunk in plan.passes[0].chunks.chunks(plan.passes[0].selection):
        extract_objects(plan.pass_contexts[0], chunk).save(plan.objects_path(0, chunk))
    return plan


@contextmanager
def counted_loads() -> Iterator[list[tuple[int, int]]]:
    """The chunks (row, column) that are loaded, in order."""
    loads: list[tuple[int, int]] = []
    load = ChunkObjects.load

    def counting(path: Path) -> ChunkObjects:
        row, column = path.stem.split(".")
        loads.append((int(row), int(column)))
        return load(path)

    with mock.patch.object(ChunkObjects, "load", counting):
        yield loads


def dots(seed: int, count: int = 250) -> NDArray[np.uint8]:
    pixels, random = white(SIDE, SIDE), np.random.default_rng(seed)
    for x, y, radius in random.uniform((0, 0, 3), (SIDE, SIDE, 9), (count, 3)):
        paint_disc(pixels, x, y, radius)
    return pixels


def shapes_of_regions(seed: int) -> NDArray[np.uint8]:
    """Discs, rings with islands, and long bars over many chunks."""
    pixels, random = white(SIDE, SIDE), np.random.default_rng(seed)
    for x, y, radius in random.uniform((0, 0, 5), (SIDE, SIDE, 150), (7, 3)):
        paint_disc(pixels, x, y, radius)
        rows, columns = np.mgrid[:SIDE, :SIDE]
        pixels[(columns - x) ** 2 + (rows - y) ** 2 < (radius * 0.7) ** 2] = 255
        paint_disc(pixels, x, y, radius * 0.3)
    for x, y, width, height in random.integers(0, SIDE, (4, 4)):
        pixels[y : y + max(3, height // 8), x : x + width] = INK
    return pixels


def meeting(batches: Iterable[ObjectBatch], box: Box) -> list[tuple[str, bytes, int, tuple[tuple[str, bytes], ...]]]:
    """Everything known of the objects that have a point in a box."""
    square = shapely.box(box.x, box.y, box.right, box.bottom)
    return [
        (
            batch.ids[number],
            shapely.to_wkb(batch.geometry[number]),
            int(batch.class_index[number]),
            tuple((name, values[number].tobytes()) for name, values in sorted(batch.measurements.items())),
        )
        for batch in batches
        for number in np.flatnonzero(shapely.intersects(batch.geometry, square)).tolist()
    ]


boxes = st.builds(Box, st.integers(-50, SIDE), st.integers(-50, SIDE), st.integers(1, 300), st.integers(1, 300))


@pytest.mark.parametrize("kind", ["cell", "region"])
def test_a_box_has_the_objects_of_the_whole_stream(tmp_path: Path, kind: str) -> None:
    plans = [
        outlined(scenario(dots(seed) if kind == "cell" else shapes_of_regions(seed), tmp_path / str(seed), kind))
        for seed in range(3)
    ]
    everything = [list(collect(plan)) for plan in plans]
    found = 0

    @settings(max_examples=60)
    @given(st.integers(0, 2), boxes)
    def holds(seed: int, box_level0: Box) -> None:
        nonlocal found
        expected = meeting(everything[seed], box_level0)
        assert meeting(ChunkSource(plans[seed]).batches_in(box_level0), box_level0) == expected
        found += len(expected)

    holds()
    assert found > 5


def test_each_chunk_is_loaded_once_for_the_stream(tmp_path: Path) -> None:
    plan = outlined(scenario(dots(0), tmp_path, "cell"))
    source = ChunkSource(plan)
    with counted_loads() as loads:
        assert sum(map(len, source.batches())) > 100
    assert loads == [(row, column) for row in range(8) for column in range(8)]
    assert source.steps == 64


def test_a_box_loads_the_chunks_whose_cells_reach_into_it(tmp_path: Path) -> None:
    side = 256
    plan = outlined(scenario(dots(0), tmp_path, "cell", side))
    assert 5 < plan.passes[0].chunks.halo < side // 2 - 10
    with counted_loads() as loads:
        list(ChunkSource(plan).batches_in(Box(2 * side + 124, side + 124, 8, 8)))
    assert loads == [(1, 2)]
    with counted_loads() as loads:
        list(ChunkSource(plan).batches_in(Box(2 * side + 124, 2 * side - 13, 8, 8)))
    assert sorted(loads) == [(1, 2), (2, 2)]
    with counted_loads() as loads:
        assert not list(ChunkSource(plan).batches_in(Box(10 * SIDE, 0, 50, 50)))
    assert not loads


def test_a_box_follows_a_region_and_no_other(tmp_path: Path) -> None:
    pixels = white(SIDE, SIDE)
    # A bar through the chunks (2, 1) to (2, 6), a dot beside it over the border of (2, 3) and (3, 3), one far away.
    pixels[2 * CHUNK + 60 : 2 * CHUNK + 70, CHUNK + 20 : 6 * CHUNK + 50] = INK
    paint_disc(pixels, 3 * CHUNK + 40, 3 * CHUNK, 20)
    paint_disc(pixels, 700, 900, 20)
    plan = outlined(scenario(pixels, tmp_path, "region"))
    everything = [one for batch in collect(plan) for one in batch.ids]
    assert len(everything) == 3
    with counted_loads() as loads:
        batches = list(ChunkSource(plan).batches_in(Box(3 * CHUNK + 10, 2 * CHUNK + 50, 30, 30)))
    assert sorted(loads) == [(2, column) for column in range(1, 7)] + [(3, 3)]
    assert len(loads) == len(set(loads))
    found = [one for batch in batches for one in batch.ids]
    assert len(found) == 2
    assert set(found) < set(everything)
