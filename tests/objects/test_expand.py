"""Nuclei are expanded to cells: the nearest nucleus wins, cells do not overlap, and chunks do not change them."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from tests.one_pass import Scenario, SoftPaintModel, paint_disc, white
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.objects.expand import expand_labels
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings

MASKS = arrays(bool, st.tuples(st.integers(2, 24), st.integers(2, 24)), elements=st.booleans())


@settings(deadline=None)
@given(MASKS, st.floats(0.5, 9))
def test_every_pixel_goes_to_a_nearest_nucleus_within_the_distance(mask: np.ndarray, distance: float) -> None:
    mask &= np.random.default_rng(mask.size).random(mask.shape) < 0.2
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0).astype(np.int32)
    found = expand_labels(labels, mask, np.ones_like(mask), distance)
    indices = np.argwhere(mask)
    for y, x in np.ndindex(mask.shape):
        squared = ((indices - (y, x)) ** 2).sum(axis=1) if len(indices) else np.array([10**6])
        if squared.min() > distance**2:
            assert found[y, x] == 0
        else:
            winner = np.array(np.unravel_index(found[y, x] - 1, mask.shape))
            assert ((winner - (y, x)) ** 2).sum() == squared.min()


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(5, 25), st.integers(5, 25))
def test_a_smaller_window_agrees_away_from_its_edge(seed: int, top: int, left: int) -> None:
    labels, _ = ndimage.label(np.random.default_rng(seed).random((60, 60)) < 0.05)
    labels = labels.astype(np.int32)
    part = np.s_[top : top + 30, left : left + 30]
    inner = np.s_[6:-6, 6:-6]
    whole = expand_labels(labels, labels > 0, np.ones(labels.shape, bool), 6.0)
    cut = expand_labels(labels[part], labels[part] > 0, np.ones((30, 30), bool), 6.0)
    assert np.array_equal(cut[inner], whole[part][inner])


def test_unlabelled_and_competing_nuclei_keep_their_surroundings() -> None:
    nuclei = np.zeros((3, 21), bool)
    nuclei[1, [2, 10, 18]] = True
    labels = np.zeros(nuclei.shape, np.int32)
    labels[1, 2] = 1
    everywhere = np.ones_like(nuclei)
    assert np.flatnonzero(expand_labels(labels, nuclei, everywhere, 20)[1]).max() == 6
    competing = np.zeros_like(nuclei)
    competing[1, 6] = True
    labelled = labels > 0
    # The pixel half-way, x = 4, is equally near to both.
    assert np.flatnonzero(expand_labels(labels, labelled, everywhere, 20, ((competing,), ()))[1]).max() == 3
    assert np.flatnonzero(expand_labels(labels, labelled, everywhere, 20, ((), (competing,)))[1]).max() == 4
    assert not expand_labels(labels, nuclei, ~everywhere, 20)[labels == 0].any()


def crowd(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    pixels = white(640, 480)
    for _ in range(350):
        paint_disc(pixels, rng.uniform(10, 630), rng.uniform(10, 470), rng.uniform(5, 10))
    return pixels


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_cells_do_not_depend_on_tiles_blocks_chunks_or_order(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    work, pixels = tmp_path_factory.mktemp("work"), crowd(seed)
    common = {"model": SoftPaintModel(), "objects": {"cell_expansion_um": 5.0, "stains": True}}
    layouts = (
        {"chunk": 150},
        {"chunk": 1024, "tile": 128, "block": 3, "overlap": 0.5},
    )
    rows_of_layout = []
    for number, layout in enumerate(layouts):
        found = Scenario(pixels, work / str(number), **common, **layout).found(reverse=number == 1)
        names = sorted(found.batches[0].measurements)
        nuclei = np.concatenate([batch.nuclei for batch in found.batches])
        rows = zip(
            found.ids,
            shapely.to_wkb(found.shapes),
            shapely.to_wkb(nuclei),
            np.stack([found.column(name) for name in names], 1).tolist(),
            strict=True,
        )
        rows_of_layout.append(sorted((row[0], row[1], row[2], str(row[3])) for row in rows))
    assert len(rows_of_layout[0]) > 100
    assert rows_of_layout[0] == rows_of_layout[1]


def test_cells_of_a_crowd_hold_their_nuclei_and_do_not_overlap(tmp_path: Path) -> None:
    pixels = crowd(1)
    found = Scenario(pixels, tmp_path / "a", chunk=256, objects={"cell_expansion_um": 5.0}).found()
    plain = Scenario(pixels, tmp_path / "b", chunk=256).found()
    nuclei = np.concatenate([batch.nuclei for batch in found.batches])
    assert shapely.covers(shapely.buffer(plain.shapes, 0.25), nuclei).all(), (
        "a nucleus may only lose parts that lie outside of its cell"
    )
    assert shapely.area(nuclei).sum() == pytest.approx(plain.area, rel=0.02)
    same = shapely.equals(nuclei, plain.shapes)
    assert 0.3 < same.mean() < 1
    assert [a == b for a, b in zip(found.ids, plain.ids, strict=True)] == same.tolist(), (
        "the id of a cell comes from its nucleus"
    )
    assert shapely.covers(shapely.buffer(found.shapes, 0.25), nuclei).all()
    assert shapely.is_valid(found.shapes).all()
    union = shapely.area(shapely.union_all(found.shapes))
    assert found.area - union < 1e-6 * found.area, "neighbours share their borders, point by point"
    # The cells cover ten and a quarter pixels around the painted discs, and nothing else.
    near = ndimage.distance_transform_edt(pixels[..., 0] > 128) <= 10.25
    assert union == pytest.approx(near.sum(), rel=0.03)
    cells, inside = found.column("cell_area_um2"), found.column("nucleus_area_um2")
    assert found.column("cytoplasm_area_um2") == pytest.approx(cells - inside, abs=1e-9)
    assert inside[same] == pytest.approx(plain.column("area_um2")[same])
    assert (inside <= cells).all()


@pytest.mark.parametrize("mpp", [0.25, 0.5])
@pytest.mark.parametrize("grow_um", [2.0, 5.0, 12.0])
def test_a_lone_nucleus_grows_by_the_distance(tmp_path: Path, grow_um: float, mpp: float) -> None:
    pixels = white(400, 400)
    paint_disc(pixels, 200, 200, 5 / mpp)
    scenario = Scenario(
        pixels, tmp_path, mpp=(mpp, mpp), read_mpp=mpp, objects={"cell_expansion_um": grow_um, "stains": True}
    )
    found = scenario.found()
    assert len(found.shapes) == 1
    assert found.column("cell_area_um2")[0] == pytest.approx(np.pi * (5 + grow_um) ** 2, rel=0.03)
    assert found.column("nucleus_area_um2")[0] == pytest.approx(np.pi * 25, rel=0.02)
    assert found.column("cell_major_axis_um")[0] == pytest.approx(2 * (5 + grow_um), rel=0.03)
    assert found.column("nucleus_haematoxylin_mean_od")[0] > 0.3
    assert found.column("cytoplasm_haematoxylin_mean_od")[0] < 0.05
    assert 0.05 < found.column("cell_haematoxylin_mean_od")[0] < found.column("nucleus_haematoxylin_mean_od")[0]


def test_regions_do_not_grow(tmp_path: Path) -> None:
    pixels = white(400, 300)
    paint_disc(pixels, 200, 150, 60)
    with_cells = {"cell_expansion_um": 5.0}
    found = Scenario(pixels, tmp_path / "a", kind="region", objects=with_cells).found()
    assert found.ids == Scenario(pixels, tmp_path / "b", kind="region").found().ids
    assert found.batches[0].nuclei is None


def test_a_run_writes_cells_as_qupath_takes_them(tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "small.svs", tissue_with_nuclei(900, 700)[0])
    small = [
        "model.field_um=128",
        "objects.chunk_px=256",
        "objects.cell_expansion_um=4",
        "export.overlay_px=0",
        "export.report=false",
    ]
    settings = RunSettings.load(None, small, prompts=("nuclei",), model={"name": "stain"})
    run_slide(slide, tmp_path / "out", settings)
    features = json.loads((tmp_path / "out" / "annotations.geojson").read_bytes())["features"]
    assert len(features) > 50
    for feature in features:
        assert list(feature) == ["type", "id", "geometry", "nucleusGeometry", "properties"]
        assert feature["properties"]["objectType"] == "cell"
        nucleus, cell = (shapely.from_geojson(json.dumps(feature[name])) for name in ("nucleusGeometry", "geometry"))
        assert cell.buffer(0.25).covers(nucleus)
        assert cell.area > nucleus.area
        measurements = feature["properties"]["measurements"]
        assert measurements["nucleus_area_um2"] == pytest.approx(nucleus.area * 0.25, rel=1e-4)
        assert measurements["cell_area_um2"] == pytest.approx(cell.area * 0.25, rel=1e-4)
    table = pyarrow.parquet.read_table(tmp_path / "out" / "objects.parquet")
    assert shapely.from_wkb(table["nucleus_geometry"].to_numpy()).tolist() == [
        shapely.from_geojson(json.dumps(feature["nucleusGeometry"])) for feature in features
    ]
