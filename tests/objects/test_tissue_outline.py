"""The outline of the tissue: traced once, simplified and fit for QuPath as if it was done all at once."""

import numpy as np
import pytest
import shapely
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import wsi_parse.objects.tissue_outline
import wsi_parse.tissue.mask
from tests.contours.masks import polygons_of_mask
from wsi_parse.contours import mask_rings
from wsi_parse.contours.mask_rings import MaskRings
from wsi_parse.contours.rings import Rings
from wsi_parse.geometry import Frame
from wsi_parse.objects import tissue_outline as outline
from wsi_parse.objects.simplify import MIN_POINTS, to_level0
from wsi_parse.objects.tissue_outline import areas_to_level0, tissue_outline
from wsi_parse.qupath.snapping import GRID_PX
from wsi_parse.tissue.mask import TissueMask

FRAME = Frame(60, 40, 8.0, 8.0, 32.0, 32.0)


def mask_with_holes() -> np.ndarray:
    mask = np.zeros(FRAME.box.shape, bool)
    mask[4:36, 3:50] = True
    mask[10:14, 8:12] = mask[20, 20] = mask[2, 55] = False
    mask[1:3, 52:58] = True
    return mask


def sieve() -> np.ndarray:
    """Return a mask of an area with more than 5,000 corners, with islands in some of its holes."""
    random = np.random.default_rng(3)
    mask = np.zeros((200, 320), bool)
    mask[1:-1, 1:-1] = True
    for row in range(6, 190, 8):
        for column in range(6, 310, 8):
            hole = mask[row : row + 6, column : column + 6]
            hole[1:5, 1:5] = random.random((4, 4)) < 0.4
            hole[2:4, 1 : random.integers(2, 5)] = False
    return mask


def polygons_in(areas: list[outline.Areas]) -> np.ndarray:
    """Return all polygons, with those that are held as rings."""
    return np.concatenate(
        [np.array([some.polygon()], object) if isinstance(some, Rings) else some for some in areas], dtype=object
    )


def test_rings_are_those_of_the_polygons() -> None:
    tissue = TissueMask(mask_with_holes(), FRAME)
    polygons = polygons_of_mask(tissue.tissue)
    rings, known = Rings.joined(list(tissue.rings_level0())), Rings.of_shapes(polygons)
    assert sorted(rings.sizes) == sorted(known.sizes)
    assert len(rings) == 4
    assert {tuple(point) for point in rings.points} == {tuple(point) for point in FRAME.to_level0(known.points)}
    assert np.array_equal(rings.points[rings.offsets[:-1]], rings.points[rings.offsets[1:] - 1]), "rings are closed"
    areas = np.sort(rings.areas())
    assert areas == pytest.approx(np.sort(shapely.area(shapely.polygons(shapely.get_rings(polygons)))) * 32**2)


def test_rings_are_cut_at_the_region() -> None:
    region = shapely.box(0, 0, 11 * 32, 1e4)
    tissue = TissueMask(mask_with_holes(), FRAME, region)
    (rings,) = tissue.rings_level0()
    assert len(rings) == 1, "the hole is open at the border of the region"
    assert rings.points.max(axis=0).tolist() == [11 * 32, 36 * 32]
    assert shapely.area(polygons_in(list(tissue_outline(tissue)))).sum() == pytest.approx(rings.areas().sum(), rel=0.02)


def test_the_mask_is_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tissue, calls = TissueMask(mask_with_holes(), FRAME), []
    trace = MaskRings.of

    def counted(mask: np.ndarray) -> MaskRings:
        calls.append(mask)
        return trace(mask)

    monkeypatch.setattr(MaskRings, "of", counted)
    for _ in range(2):
        assert sum(map(len, tissue.rings_level0())) == len(tissue.rings)
    assert len(calls) == 1


@pytest.mark.parametrize("at_once", [1, 3, 1 << 14])
@settings(deadline=None)
@given(arrays(bool, (24, 30)))
def test_areas_are_simplified_as_whole_polygons_are(at_once: int, mask: np.ndarray) -> None:
    """GEOS simplifies the rings of a polygon one by one, drops holes that collapse, and loses polygons that do.

    Those, and what becomes a triangle, are kept.
    """
    polygons, rings = polygons_of_mask(mask), MaskRings.of(mask)
    known = shapely.simplify(polygons, 0.5, preserve_topology=False)
    lost = shapely.get_num_coordinates(known) < 5
    known[lost] = polygons[lost]
    numbers, ends, _ = outline.rings_of_labels(rings, keep_holes=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outline, "_RINGS_AT_ONCE", at_once)
        patch.setattr(mask_rings, "_CORNERS_AT_ONCE", at_once)
        owner = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
        found = outline._simplified_areas(rings, numbers, owner, 0.5)
        fitted = polygons_in([np.empty(0, object), *areas_to_level0(rings, frame_of(4.0), 0.5)])
    valid = shapely.is_valid(found)
    event(f"all valid: {valid.all()}")
    # GEOS repairs the others by a buffer, which may lose parts of them; ours are repaired when they are fitted.
    assert shapely.equals_exact(found[valid], known[valid]).all()
    assert shapely.is_valid(fitted).all()


@pytest.mark.parametrize("scale", [4.0, 0.5, 0.3])
@settings(deadline=None)
@given(arrays(bool, (24, 30)))
def test_areas_as_rings_are_those_of_whole_polygons(scale: float, mask: np.ndarray) -> None:
    """At scales below one, pixels of the mask are smaller than QuPath's grid, and rings come near."""
    rings = MaskRings.of(mask)
    known = polygons_in([np.empty(0, object), *areas_to_level0(rings, frame_of(scale), 0.5)])
    with pytest.MonkeyPatch.context() as patch:
        # What has fewer corners is kept as it was traced.
        patch.setattr(outline, "LARGE_CORNERS", MIN_POINTS - 1)
        areas = list(areas_to_level0(rings, frame_of(scale), 0.5))
    event(f"as rings: {any(isinstance(some, Rings) for some in areas)}")
    found = polygons_in([np.empty(0, object), *areas])
    # Where rings come near, they may begin at another corner, or follow in another order.
    assert shapely.to_wkb(shapely.normalize(found)).tolist() == shapely.to_wkb(shapely.normalize(known)).tolist()


def star(seed: int, width: float, height: float) -> shapely.Geometry:
    """Return a region with spikes and with a hole, or two of them, around the middle of a picture."""
    random = np.random.default_rng(seed)
    angles = np.linspace(0, 2 * np.pi, 2 * random.integers(2, 7), endpoint=False) + random.random()
    reach = np.where(np.arange(len(angles)) % 2, 0.35, random.uniform(0.6, 1.2)) / 2
    points = np.stack([np.cos(angles) * reach * width + width / 2, np.sin(angles) * reach * height + height / 2], 1)
    hole = shapely.box(0.4 * width, 0.45 * height, random.uniform(0.41, 0.6) * width, 0.55 * height)
    region = shapely.difference(shapely.Polygon(points), hole)
    return region if random.random() < 0.5 else shapely.union(region, shapely.box(0, 0, width / 5, height / 3))


seeds = st.integers(0, 1 << 30)


@settings(deadline=None)
@given(seeds, st.sampled_from([0.3, 0.7, 0.85, 0.95]))
# The border of the region comes to a hole beside it when it is moved to the grid.
@example(1068, 0.85)
def test_a_large_area_is_cut_by_a_region_as_polygons_are(seed: int, density: float) -> None:
    random = np.random.default_rng(seed)
    mask = random.random(FRAME.box.shape) < density
    tissue = TissueMask(mask, FRAME, star(seed, FRAME.width * FRAME.scale_x, FRAME.height * FRAME.scale_y))
    known = polygons_in([np.empty(0, object), *tissue_outline(tissue)])
    known_rings = Rings.joined(list(tissue.rings_level0()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outline, "LARGE_CORNERS", 12)
        patch.setattr(wsi_parse.tissue.mask, "LARGE_CORNERS", 12)
        areas = list(tissue_outline(tissue))
        rings = Rings.joined(list(tissue.rings_level0()))
    event(f"as rings: {any(isinstance(some, Rings) for some in areas)}")
    found = polygons_in([np.empty(0, object), *areas])
    assert shapely.is_valid(found).all()
    assert not (shapely.get_coordinates(found) % GRID_PX).any()
    # What is cut is moved to the grid before the holes beside it are: a thin sliver may be left or not.
    one, other = (shapely.set_precision(shapely.union_all(shapes), 0, mode="pointwise") for shapes in (found, known))
    for outer, inner in ((one, other), (other, one)):
        assert shapely.difference(inner, shapely.buffer(outer, 4 * GRID_PX)).is_empty
    assert lines_of(rings) == lines_of(known_rings)


def lines_of(rings: Rings) -> list[bytes]:
    """Return closed lines, wherever each begins, in whatever order."""
    return sorted(shapely.to_wkb(shapely.normalize(rings.shapes())).tolist())


@pytest.mark.parametrize("block_px", [1, 7, 64])
@settings(deadline=None)
@given(seeds)
def test_the_area_in_a_region_is_the_one_of_its_pixels(block_px: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random(FRAME.box.shape) < 0.7
    region = star(seed, FRAME.width * FRAME.scale_x, FRAME.height * FRAME.scale_y)
    left, top = FRAME.to_level0(np.argwhere(mask)[:, ::-1]).T
    pixels = shapely.box(left, top, left + FRAME.scale_x, top + FRAME.scale_y)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wsi_parse.tissue.mask, "_BLOCK_PX", block_px)
        found = TissueMask(mask, FRAME, region).area_mm2
    known = shapely.area(shapely.intersection(pixels, region)).sum() / FRAME.scale_x / FRAME.scale_y
    assert found == pytest.approx(known * FRAME.pixel_area_um2 / 1e6)


def test_a_large_area_is_fit_as_polygons_of_shapely_are(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = sieve()
    areas = list(areas_to_level0(MaskRings.of(mask), frame_of(4.0), 0.5))
    assert any(isinstance(some, Rings) for some in areas)
    monkeypatch.setattr(wsi_parse.objects.tissue_outline, "LARGE_CORNERS", 1 << 30)
    known = polygons_in(list(areas_to_level0(MaskRings.of(mask), frame_of(4.0), 0.5)))
    assert shapely.to_wkb(polygons_in(areas)).tolist() == shapely.to_wkb(known).tolist()


def test_the_area_of_a_mask_is_kept() -> None:
    mask = sieve()
    found = polygons_in(list(areas_to_level0(MaskRings.of(mask), frame_of(4.0), 0.5)))
    assert shapely.area(found).sum() / 16 == pytest.approx(mask.sum(), rel=0.01)
    whole = shapely.area(to_level0(polygons_of_mask(mask), frame_of(4.0), 0.5)).sum()
    assert shapely.area(found).sum() == pytest.approx(whole, rel=1e-3)


def test_a_single_pixel_does_not_vanish() -> None:
    mask = np.zeros((5, 5), bool)
    mask[2, 2] = True
    (area,) = areas_to_level0(MaskRings.of(mask), frame_of(4.0), 0.5)
    assert shapely.area(area).sum() == pytest.approx(16, 0.2)


def test_a_mask_without_areas_has_no_polygons() -> None:
    assert list(areas_to_level0(MaskRings.of(np.zeros((8, 8), bool)), frame_of(4.0), 0.5)) == []


def frame_of(scale: float) -> Frame:
    return Frame(1000, 1000, 0.25 * scale, 0.25 * scale, scale, scale)
