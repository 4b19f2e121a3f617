"""The buffers hold every object once, as it was written; counts and densities equal those of the table."""

import os
import shutil
import time
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.viewer.made import TABLE, all_cells, batch_of, decode, layer_of, write_table
from wsi_parse.errors import StoreError
from wsi_parse.files import file_sha256
from wsi_parse.viewer.build import StoreBuilder
from wsi_parse.viewer.counts import SQUARES, counts_in, density_of
from wsi_parse.viewer.layers import Layer, layer_of_table
from wsi_parse.viewer.layout import BINS, CELL_PX
from wsi_parse.viewer.object_table import ObjectTable
from wsi_parse.viewer.shelf import Shelf

SIDE = 20_000


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Layer:
    """Squares anywhere, many of them on borders of cells, some large, some without a probability."""
    rng = np.random.default_rng(5)
    corner = rng.integers(0, SIDE * 4, (3000, 2)) / 4
    corner[::3] = rng.integers(0, SIDE // CELL_PX, (1000, 2)) * CELL_PX - rng.integers(0, 3, (1000, 2)) * 4
    side = np.where(rng.random(3000) < 0.01, 900, 8)
    corner = np.maximum(corner, 0)
    shapes = shapely.box(corner[:, 0], corner[:, 1], corner[:, 0] + side, corner[:, 1] + side)
    probability = np.where(rng.random(3000) < 0.1, np.nan, rng.integers(0, 65, 3000) / 64)
    batch = batch_of(shapes, rng.integers(0, 4, 3000), probability, area_um2=shapely.area(shapes))
    folder = tmp_path_factory.mktemp("layer")
    return layer_of(folder, *batch.parts(700))


@cache
def table_of(layer: Layer) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return x, y, class and bin of every object, read from the table by other means."""
    found = pq.read_table(layer.store.folder.parents[1] / "objects.parquet").to_pandas()
    rows = {(row.prompt.name, row.unsure): number for number, row in enumerate(TABLE.rows)}
    index = np.array([rows[key] for key in zip(found["prompt"], found["unsure"], strict=True)])
    p = found["class_probability"].to_numpy()
    bins = np.array([31 if np.isnan(value) else min(31, int(value * 32)) for value in p.tolist()])
    return found["centroid_x_level0"].to_numpy(), found["centroid_y_level0"].to_numpy(), index, bins


@cache
def probabilities(layer: Layer) -> np.ndarray:
    return pq.read_table(layer.store.folder.parents[1] / "objects.parquet")["class_probability"].to_numpy()


def brute(layer: Layer, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    x, y, index, bins = table_of(layer)
    inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    counts = np.zeros((len(TABLE.rows), BINS), int)
    np.add.at(counts, (index[inside], bins[inside]), 1)
    return counts


def test_every_object_is_in_one_buffer_as_it_was_written(layer: Layer) -> None:
    table = pq.read_table(layer.store.folder.parents[1] / "objects.parquet").to_pandas()
    shapes = shapely.from_wkb(table["geometry"].to_numpy())
    buffers = all_cells(layer)
    rows = np.concatenate([each.row for each in buffers])
    assert sorted(rows.tolist()) == list(range(len(table)))
    assert shapely.equals_exact(np.concatenate([each.shapes() for each in buffers]), shapes[rows], 0).all()
    x, y, index, _ = table_of(layer)
    for each in buffers:
        assert np.array_equal(each.class_index, index[each.row])
        assert np.array_equal(each.probability, table["class_probability"].to_numpy()[each.row], equal_nan=True)
        assert np.allclose(each.centroid + each.origin, np.stack([x, y], 1)[each.row], atol=1e-3)
    cells = [each for each in buffers if each.origin != (0, 0)]
    assert all((each.centroid >= 0).all() and (each.centroid < CELL_PX).all() for each in cells)


def test_large_objects_are_apart(layer: Layer) -> None:
    content = layer.store.large()
    assert content is not None
    sides = np.ptp(shapely.bounds(decode(content).shapes()).reshape(-1, 2, 2), axis=1)
    assert (sides > 512).all()
    assert len(sides) == layer.to_dict(0)["large"] > 5


def test_values_follow_the_order_of_the_buffer(layer: Layer) -> None:
    number = layer.store.measurements.index("area_um2")
    for column, row in ((0, 0), (3, 7), (12, 5)):
        content, values = layer.store.cell(column, row), layer.store.values_of(number, column, row)
        assert content is not None
        assert values is not None
        assert np.array_equal(np.frombuffer(values, "<f4"), shapely.area(decode(content).shapes()))
    content, values = layer.store.large(), layer.store.large_values_of(number)
    assert content is not None
    assert values is not None
    assert np.array_equal(np.frombuffer(values, "<f4"), shapely.area(decode(content).shapes()))


edges = st.one_of(
    st.floats(-2000, SIDE + 2000, width=32),
    st.integers(-1, SIDE // CELL_PX + 2).map(lambda cell: float(cell * CELL_PX)),
    # Centroids of squares of 8 px on a border of cells.
    st.integers(0, SIDE // CELL_PX).map(lambda cell: float(cell * CELL_PX + 4)),
)


@settings(max_examples=60, deadline=None)
@given(st.tuples(edges, edges), st.tuples(edges, edges))
def test_counts_are_those_of_the_table(layer: Layer, x: tuple[float, float], y: tuple[float, float]) -> None:
    box = min(x), min(y), max(x), max(y)
    assert np.array_equal(counts_in(layer.store, *box), brute(layer, *box))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 32), st.tuples(edges, edges))
def test_a_threshold_at_a_bin_edge_counts_what_the_probabilities_say(
    layer: Layer, step: int, corner: tuple[float, float]
) -> None:
    box = (corner[0], corner[1], corner[0] + 5000, corner[1] + 4000)
    x, y, _, _ = table_of(layer)
    p = probabilities(layer)
    inside = (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
    reached = inside & (np.isnan(p) | (p >= step / 32)) if step < BINS else inside & (np.isnan(p) | (p >= 31 / 32))
    assert counts_in(layer.store, *box)[:, min(step, BINS - 1) :].sum() == reached.sum()


@pytest.mark.parametrize("zoom", range(2, 9))
def test_a_density_sums_to_all_objects_and_each_square_is_exact(layer: Layer, zoom: int) -> None:
    side = 512 << zoom
    tiles = -(-SIDE // side) + 1
    rng = np.random.default_rng(zoom)
    total = 0
    for column in range(tiles):
        for row in range(tiles):
            found = density_of(layer.store, zoom, column, row)
            if found is None:
                assert not counts_in(
                    layer.store, column * side, row * side, (column + 1) * side, (row + 1) * side
                ).any()
                continue
            assert found.shape == (len(TABLE.rows), BINS, SQUARES, SQUARES)
            total += int(found.sum())
            x, y = rng.integers(0, SQUARES, 2).tolist()
            square = side // SQUARES
            left, top = column * side + x * square, row * side + y * square
            assert np.array_equal(found[:, :, y, x], counts_in(layer.store, left, top, left + square, top + square))
    assert total == 3000


def test_holes_and_parts_stay(tmp_path: Path) -> None:
    ring = shapely.box(10, 10, 50, 50).difference(shapely.box(20, 20, 30, 30))
    several = shapely.MultiPolygon([shapely.box(100, 100, 110, 110), ring])
    layer = layer_of(tmp_path, batch_of([ring, several], [0, 2], 0.5))
    (found,) = all_cells(layer)
    assert shapely.equals_exact(found.shapes(), np.array([ring, several], object), 0).all()


def test_objects_far_out_keep_a_quarter_pixel(tmp_path: Path) -> None:
    square = shapely.box(199_999.25, 150_000.75, 200_010.5, 150_020.25)
    (found,) = all_cells(layer_of(tmp_path, batch_of([square])))
    assert shapely.equals_exact(found.shapes()[0], square, 0)


def test_a_layer_without_objects_has_no_counts(tmp_path: Path) -> None:
    layer = layer_of(tmp_path)
    assert layer.to_dict(0)["objects"] == 0
    assert not counts_in(layer.store, 0, 0, 1e6, 1e6).any()
    assert (layer.store.cell(0, 0), layer.store.large(), density_of(layer.store, 3, 0, 0)) == (None, None, None)
    assert density_of(layer.store, 7, 0, 0) is None


def test_without_class_probabilities_all_objects_are_in_the_last_bin(tmp_path: Path) -> None:
    layer = layer_of(tmp_path, batch_of(shapely.box([0, 40], 0, [10, 50], 10), probability_mean=0.2))
    assert layer.to_dict(0)["probability"] is None
    assert counts_in(layer.store, 0, 0, 100, 100)[0, BINS - 1] == 2
    assert np.isnan(all_cells(layer)[0].probability).all()


def test_the_offset_of_the_outputs_is_added(tmp_path: Path) -> None:
    square = shapely.box(1000, 2000, 1016, 2016)
    (found,) = all_cells(layer_of(tmp_path, batch_of([square]), offset=(700, 1900)))
    assert shapely.equals_exact(found.shapes()[0], square, 0)
    assert found.origin == (0, 1024)


def opened(folder: Path, said: list[str]) -> Layer:
    path = folder / "objects.parquet"
    return layer_of_table(ObjectTable(path, TABLE), file_sha256(path), Shelf(folder, folder / "temporary", said.append))


def test_buffers_are_kept_and_built_anew_for_another_result(tmp_path: Path) -> None:
    first = layer_of(tmp_path, batch_of([shapely.box(0, 0, 9, 9)]))
    made = (first.store.folder / "points.npy").stat().st_mtime_ns
    again = opened(tmp_path, [])
    assert (again.store.folder / "points.npy").stat().st_mtime_ns == made
    write_table(tmp_path / "objects.parquet", batch_of(shapely.box([0, 20], 0, [9, 29], 9)))
    other = opened(tmp_path, [])
    assert (sum(other.store.objects), other.digest == first.digest) == (2, False)
    # What is still open is not pulled away.
    assert sum(first.store.objects) == 1
    assert decode(first.store.cell(0, 0) or b"").row.tolist() == [0]


def test_details_of_another_file_are_not_told(tmp_path: Path) -> None:
    first = layer_of(tmp_path, batch_of([shapely.box(0, 0, 9, 9)], ids=["first"]))
    write_table(tmp_path / "objects.parquet", batch_of([shapely.box(0, 0, 9, 9)], ids=["other"]))
    with pytest.raises(StoreError, match="changed meanwhile"):
        first.details.row(0)


@pytest.mark.parametrize("place", [np.nan, np.inf, 1e13])
def test_objects_nowhere_are_refused(tmp_path: Path, place: float) -> None:
    shapes = np.array([shapely.box(0, 0, 9, 9)], object)
    with StoreBuilder(tmp_path, 1, [], None) as builder, pytest.raises(StoreError, match="damaged"):
        builder.add(shapes, np.zeros(1, np.int16), {}, np.array([[place, 0.0]]))


def test_damaged_buffers_are_built_anew(tmp_path: Path) -> None:
    layer = layer_of(tmp_path, batch_of([shapely.box(0, 0, 9, 9)]))
    (layer.store.folder / "points.npy").write_bytes(b"")
    assert len(all_cells(opened(tmp_path, []))) == 1


def test_what_is_not_ours_is_kept_and_said(tmp_path: Path) -> None:
    write_table(tmp_path / "objects.parquet", batch_of([shapely.box(0, 0, 9, 9)]))
    (tmp_path / "view" / "result").mkdir(parents=True)
    note = tmp_path / "view" / "result" / "note.txt"
    note.write_text("mine")
    said: list[str] = []
    layer = opened(tmp_path, said)
    assert layer.store.folder.is_relative_to(tmp_path / "temporary")
    assert "temporary folder" in said[0]
    assert note.read_text() == "mine"


def test_a_file_of_a_person_among_the_buffers_is_kept_when_they_are_built_anew(tmp_path: Path) -> None:
    first = layer_of(tmp_path, batch_of([shapely.box(0, 0, 9, 9)]))
    (first.store.folder / "note.txt").write_text("mine")
    write_table(tmp_path / "objects.parquet", batch_of(shapely.box([0, 20], 0, [9, 29], 9)))
    said: list[str] = []
    assert sum(opened(tmp_path, said).store.objects) == 2
    aside = tmp_path / "view" / "result-1"
    assert [(path.name, path.read_text()) for path in aside.iterdir()] == [("note.txt", "mine")]
    assert len(said) == 1
    assert str(aside) in said[0]
    assert not (tmp_path / "view" / "result" / "note.txt").exists()
    # A second one does not replace the first.
    (tmp_path / "view" / "result" / "note.txt").write_text("mine, too")
    write_table(tmp_path / "objects.parquet", batch_of([shapely.box(0, 0, 9, 9)]))
    opened(tmp_path, said)
    assert (aside / "note.txt").read_text() == "mine"
    assert (tmp_path / "view" / "result-2" / "note.txt").read_text() == "mine, too"


def test_buffers_of_files_that_nobody_looks_at_are_removed_and_nothing_else(tmp_path: Path) -> None:
    view, days = tmp_path / "view", 24 * 3600
    layer_of(tmp_path, batch_of([shapely.box(0, 0, 9, 9)]))
    names = ["with-0123456789ab", "with-ba9876543210", "with-aaaaaaaaaaaa", "with-mine", "result-1"]
    for name in names:
        shutil.copytree(view / "result", view / name)
    (view / "with-ba9876543210" / "note.txt").write_text("mine")
    for name, age in [*((name, 31 * days) for name in ("result", *names)), ("with-aaaaaaaaaaaa", 29 * days)]:
        then = time.time() - age
        os.utime(view / name / "view.json", (then, then))
    outside = tmp_path / "outside"
    shutil.copytree(view / "with-mine", outside)
    os.utime(outside / "view.json", (0, 0))
    (view / "with-cccccccccccc").symlink_to(outside)
    Shelf(tmp_path, tmp_path / "temporary", print).remove_unused()
    left = sorted(path.name for path in view.iterdir())
    assert left == ["result", "with-aaaaaaaaaaaa", "with-ba9876543210", "with-cccccccccccc", "with-mine"]
    assert [path.name for path in (view / "with-ba9876543210").iterdir()] == ["note.txt"]
    assert len(list(outside.iterdir())) == len(list((view / "result").iterdir())) > 10


def test_to_look_at_buffers_keeps_them(tmp_path: Path) -> None:
    about = layer_of(tmp_path, batch_of([shapely.box(0, 0, 9, 9)])).store.folder / "view.json"
    os.utime(about, (0, 0))
    opened(tmp_path, [])
    assert about.stat().st_mtime > time.time() - 3600


def test_a_damaged_table_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write_table(tmp_path / "objects.parquet", batch_of(shapely.box(0, 0, np.arange(9, 900), 9)))
    content = bytearray(path.read_bytes())
    content[3000:3400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(StoreError):
        opened(tmp_path, [])
    assert not list((tmp_path / "view").iterdir())


@settings(max_examples=5, deadline=None)
@given(st.lists(st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000)), min_size=1, max_size=30))
def test_objects_beyond_the_slide_are_counted_too(corners: list[tuple[float, float]]) -> None:
    corner = np.round(np.array(corners) * 4) / 4
    with TemporaryDirectory() as folder:
        layer = layer_of(
            Path(folder), batch_of(shapely.box(corner[:, 0], corner[:, 1], corner[:, 0] + 4, corner[:, 1] + 4))
        )
        assert counts_in(layer.store, -4000, -4000, 4000, 4000).sum() == len(corner)
        x, y = (corner + 2).T
        inside = (x >= -1000) & (x < 1024) & (y >= -1024) & (y < 77)
        assert counts_in(layer.store, -1000, -1024, 1024, 77).sum() == inside.sum()
        assert sum(len(each.row) for each in all_cells(layer)) == len(corner)
