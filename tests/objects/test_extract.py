"""Each object comes out once and whole, at the right position, with the right area, however the slide is divided."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.one_pass import INK, Found, Scenario, SoftPaintModel, paint_disc, white


def test_a_ring_is_one_polygon_with_one_hole(tmp_path: Path) -> None:
    pixels = white(600, 500)
    outer = paint_disc(pixels, 300, 250, 180)
    inner = white(600, 500)
    hole = paint_disc(inner, 300, 250, 90)
    pixels[(inner != 255).any(axis=2)] = 255
    found = Scenario(pixels, tmp_path, kind="region", chunk=128).found()
    assert len(found.shapes) == 1
    assert len(found.shapes[0].interiors) == 1
    assert found.area == pytest.approx(outer - hole, rel=0.01)


@pytest.mark.parametrize("kind", ["cell", "region"])
def test_an_object_on_a_corner_of_tiles_blocks_and_chunks_comes_once_and_whole(tmp_path: Path, kind: str) -> None:
    pixels = white(800, 800)
    middles = [(224, 224), (448, 224), (256, 448), (512, 512), (224, 512)]
    count = sum(paint_disc(pixels, x, y, 16) for x, y in middles)
    found = Scenario(pixels, tmp_path, kind=kind, objects={"min_region_area_um2": 10}).found()
    centres = shapely.get_coordinates(shapely.centroid(found.shapes))
    assert len(centres) == len(middles)
    for middle in middles:
        assert np.abs(centres - middle).max(axis=1).min() < 0.5
    assert found.area == pytest.approx(count, rel=0.01)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(["cell", "region"]))
def test_results_do_not_depend_on_tiles_blocks_or_order(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str
) -> None:
    rng = np.random.default_rng(seed)
    pixels = white(rng.integers(200, 700), rng.integers(200, 700))
    for _ in range(150):
        paint_disc(
            pixels,
            rng.uniform(10, pixels.shape[1] - 10),
            rng.uniform(10, pixels.shape[0] - 10),
            rng.uniform(3, 12),
        )
    work = tmp_path_factory.mktemp("work")
    common = {"kind": kind, "model": SoftPaintModel(), "objects": {"min_region_area_um2": 1}}
    first = Scenario(pixels, work / "a", **common).found()
    other = Scenario(pixels, work / "b", tile=128, block=3, overlap=0.5, **common).found(reverse=True)
    third = Scenario(pixels, work / "c", tile=512, block=1, overlap=0.0, **common).found()
    assert first.ids == other.ids == third.ids
    assert len(first.ids) > 0


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_regions_do_not_depend_on_chunks(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = white(500, 400)
    for _ in range(60):
        paint_disc(pixels, rng.uniform(0, 500), rng.uniform(0, 400), rng.uniform(3, 30))
    for _ in range(20):
        hole = white(500, 400)
        paint_disc(hole, rng.uniform(0, 500), rng.uniform(0, 400), rng.uniform(3, 15))
        pixels[(hole != 255).any(axis=2)] = 255
    work = tmp_path_factory.mktemp("work")
    common = {
        "kind": "region",
        "objects": {"min_region_area_um2": 0, "min_hole_area_um2": 0, "simplify_px": 0},
    }
    cut = Scenario(pixels, work / "a", chunk=128, **common).found()
    whole = Scenario(pixels, work / "b", chunk=1024, **common).found()
    assert len(cut.shapes) == len(whole.shapes)
    ink = int((pixels[..., 0] < 128).sum())
    for found in (cut, whole):
        assert found.area == pytest.approx(ink, rel=2e-3)
        assert found.column("area_um2").sum() == pytest.approx(ink * 0.25, rel=2e-3)
    assert sorted(np.rint(shapely.area(cut.shapes))) == pytest.approx(
        sorted(np.rint(shapely.area(whole.shapes))), abs=4
    )
    moments = [np.sort(found.column("major_axis_um")) for found in (cut, whole)]
    assert moments[0] == pytest.approx(moments[1], rel=1e-6)


def nest(pixels: np.ndarray, step: int, radius: float) -> list[tuple[float, float]]:
    """Paint touching discs in rows, from edge to edge; returns their middles (x, y)."""
    middles = [
        (x + (step // 2 if row % 2 else 0), y)
        for row, y in enumerate(range(30, pixels.shape[0] - 30, round(step * 0.87)))
        for x in range(30, pixels.shape[1] - 40, step)
    ]
    for x, y in middles:
        paint_disc(pixels, x, y, radius)
    return middles


def test_a_nest_of_touching_nuclei_wider_than_three_chunks_is_split_once_each(tmp_path: Path) -> None:
    pixels = white(900, 500)
    middles = nest(pixels, 20, 10.6)
    scenario = Scenario(pixels, tmp_path, chunk=200)
    plan = scenario.plan()
    assert plan.passes[0].chunks.shape[1] > 3
    found = scenario.found()
    centres = shapely.get_coordinates(shapely.centroid(found.shapes))
    assert len(centres) == len(middles)
    for middle in middles:
        assert np.hypot(*(centres - middle).T).min() < 1.5
    overlap = found.area - shapely.area(shapely.union_all(found.shapes))
    # Neighbours share a border on the quarter-pixel grid; nothing is counted twice beyond that.
    assert overlap < 0.02 * found.area
    assert found.area == pytest.approx((pixels[..., 0] < 128).sum(), rel=0.01)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_cells_of_a_crowd_do_not_depend_on_chunks(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """The rule that splits cells is local: another lattice of chunks finds the very same cells."""
    rng = np.random.default_rng(seed)
    pixels = white(700, 500)
    for _ in range(900):
        paint_disc(pixels, rng.uniform(10, 690), rng.uniform(10, 490), rng.uniform(4, 11))
    work = tmp_path_factory.mktemp("work")
    cut = Scenario(pixels, work / "a", chunk=150, model=SoftPaintModel()).found()
    whole = Scenario(pixels, work / "b", chunk=1024, model=SoftPaintModel()).found()
    assert sorted(cut.ids) == sorted(whole.ids)
    assert len(cut.ids) > 100


def test_a_blob_too_large_for_a_cell_is_bounded_by_its_reach(tmp_path: Path) -> None:
    pixels = white(900, 900)
    paint_disc(pixels, 450, 450, 400)
    found = Scenario(pixels, tmp_path, chunk=256).found()
    extents = shapely.bounds(found.shapes)
    assert (extents[:, 2:] - extents[:, :2]).max() <= 2 * 60 + 2


@pytest.mark.parametrize("mpp", [(0.23, 0.23), (0.25, 0.25), (0.5, 0.5), (0.25, 0.31), (0.4, 0.26)])
@pytest.mark.parametrize("tile", [128, 256, 512])
@pytest.mark.parametrize("kind", ["cell", "region"])
def test_a_square_lands_within_half_a_level0_pixel(
    tmp_path: Path, mpp: tuple[float, float], tile: int, kind: str
) -> None:
    pixels = white(1000, 800)
    left, top, right, bottom = 371, 287, 431, 339
    pixels[top:bottom, left:right] = INK
    scenario = Scenario(
        pixels,
        tmp_path,
        kind=kind,
        mpp=mpp,
        tile=tile,
        model=SoftLevels(),
        objects={"min_region_area_um2": 10},
    )
    found = scenario.found()
    assert len(found.shapes) == 1
    assert found.shapes[0].bounds == pytest.approx((left, top, right, bottom), abs=0.5)
    assert found.area == pytest.approx((right - left) * (bottom - top), rel=0.02)
    um2 = (right - left) * mpp[0] * (bottom - top) * mpp[1]
    assert found.column("area_um2")[0] == pytest.approx(um2, rel=0.02)


class SoftLevels(SoftPaintModel):
    """The probability is the share of ink in a pixel, so it is 0.5 at the true border."""

    def predict(self, images: np.ndarray, scale_pass: object, state: object) -> dict[str, np.ndarray]:
        share = (255 - images[..., 0].astype(float)) / (255 - INK[0])
        return {"ink": np.clip(share, 0, 1)}


def test_area_is_unbiased_over_many_small_objects(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    pixels = white(1000, 1000)
    areas = {}
    for y in range(20, 980, 24):
        for x in range(20, 980, 24):
            areas[x, y] = paint_disc(pixels, x + rng.uniform(-0.5, 0.5), y + rng.uniform(-0.5, 0.5), 4.0)
    found = Scenario(pixels, tmp_path, chunk=512, objects={"min_cell_area_um2": 0}).found()
    assert len(found.shapes) == len(areas)
    assert found.area == pytest.approx(sum(areas.values()), rel=0.01)
    centres = np.rint((shapely.get_coordinates(shapely.centroid(found.shapes)) - 20) / 24) * 24 + 20
    for (x, y), area in zip(centres.astype(int), shapely.area(found.shapes), strict=True):
        assert area == pytest.approx(areas[x, y], rel=0.05)


def test_measurements_of_a_known_ellipse(tmp_path: Path) -> None:
    pixels = white(300, 300)
    rows, columns = np.mgrid[:300, :300]
    pixels[((columns - 149.5) / 40) ** 2 + ((rows - 149.5) / 20) ** 2 < 1] = INK
    found = Scenario(pixels, tmp_path, objects={"seed_merge_radius_um": 30}).found()
    assert len(found.shapes) == 1
    value = {name: found.column(name)[0] for name in found.batches[0].measurements}
    assert value["area_um2"] == pytest.approx(np.pi * 20 * 10, rel=0.01)
    assert value["major_axis_um"] == pytest.approx(40, rel=0.01)
    assert value["minor_axis_um"] == pytest.approx(20, rel=0.01)
    # Ramanujan: semi-axes of 20 and 10 um. A hard-edged mask has steps, which cost about 5 %.
    assert value["perimeter_um"] == pytest.approx(np.pi * (3 * 30 - np.sqrt(70 * 50)), rel=0.07)
    assert value["circularity"] == pytest.approx(0.80, abs=0.05)
    assert value["solidity"] == pytest.approx(1, abs=0.02)
    assert value["probability_mean"] == value["probability_max"] == 1


def test_stains_are_measured_when_asked_for(tmp_path: Path) -> None:
    pixels = white(300, 200)
    paint_disc(pixels, 100, 100, 20)
    assert "haematoxylin_mean_od" not in Scenario(pixels, tmp_path / "a").found().batches[0].measurements
    for kind in ("cell", "region"):
        found = Scenario(pixels, tmp_path / kind, kind=kind, objects={"stains": True, "min_region_area_um2": 1}).found()
        assert found.column("haematoxylin_mean_od")[0] > 0.3
        assert found.column("haematoxylin_mean_od")[0] > found.column("eosin_mean_od")[0]


def test_nothing_painted_gives_nothing(tmp_path: Path) -> None:
    found: Found = Scenario(white(300, 300), tmp_path).found()
    assert found.batches == []
