"""Sums over pixels are exact however large and far away a region is."""

from dataclasses import fields

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsi_parse.geometry import Frame
from wsi_parse.objects.measure import measure
from wsi_parse.objects.pixel_sums import PixelSums

FRAME = Frame(400_000, 400_000, 0.25, 0.25, 1.0, 1.0)
PLACES = st.integers(-20, 5_000_000)


def sums_of(labels: NDArray[np.int64], origin: tuple[int, int]) -> PixelSums:
    return PixelSums.of(labels, int(labels.max()), origin, np.full(labels.shape, 200, np.uint8))


def exact(parts: NDArray[np.int64]) -> list[int]:
    return [(int(high) << 32) + int(low) for high, low in parts]


@given(x=PLACES, y=PLACES, seed=st.integers(0, 99))
def test_sums_are_those_of_whole_numbers(x: int, y: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, (30, 20))
    sums = sums_of(labels, (x, y))
    for number in range(1, int(labels.max()) + 1):
        points = [(x + int(column), y + int(row)) for row, column in np.argwhere(labels == number)]
        assert sums.x[number - 1] == sum(at for at, _ in points)
        assert exact(sums.xx)[number - 1] == sum(at * at for at, _ in points)
        assert exact(sums.yy)[number - 1] == sum(at * at for _, at in points)
        assert exact(sums.xy)[number - 1] == sum(one * other for one, other in points)


@pytest.mark.parametrize(("columns", "rows"), [(20, 20), (60, 30), (90, 70)])
@pytest.mark.parametrize("corner", [(0, 0), (300_000, 250_000)])
def test_axes_of_a_region_of_many_square_millimetres(columns: int, rows: int, corner: tuple[int, int]) -> None:
    side = 1000
    width, height = columns * side, rows * side
    tile = sums_of(np.ones((side, side), np.int64), corner)
    parts = [tile.moved(side * column, side * row) for row in range(rows) for column in range(columns)]
    together = PixelSums(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(PixelSums))
    ).grouped(np.zeros(len(parts), np.int64), 1)
    shape = np.array([shapely.box(*corner, corner[0] + width, corner[1] + height)], object)
    found = measure(shape, together, FRAME, stains=False)
    # The ellipse of the same second moments has full axes of 4 / sqrt(12) times the sides.
    assert together.count[0] == width * height
    assert found["major_axis_um"][0] == pytest.approx(max(width, height) * 0.25 * 4 / np.sqrt(12), rel=1e-6)
    assert found["minor_axis_um"][0] == pytest.approx(min(width, height) * 0.25 * 4 / np.sqrt(12), rel=1e-6)


@pytest.mark.parametrize("corner", [(0, 0), (12_345, 67_890), (199_000, 150_000)])
def test_what_64_bits_hold_is_measured_to_the_same_bit(corner: tuple[int, int]) -> None:
    rows, columns = np.mgrid[:60, :70]
    labels = 1 + (columns // 14) + 5 * (rows // 12)
    sums = sums_of(labels, corner)
    count = sums.count.astype(float)
    x, y = columns.ravel() + corner[0], rows.ravel() + corner[1]

    def total(values: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(labels.ravel() - 1, values).astype(np.int64)

    mean_x, mean_y = total(x) / count, total(y) / count
    xx = (total(x * x) / count - mean_x**2 + 1 / 12) * 0.25**2
    yy = (total(y * y) / count - mean_y**2 + 1 / 12) * 0.25**2
    xy = (total(x * y) / count - mean_x * mean_y) * 0.25 * 0.25
    major = 4 * np.sqrt((xx + yy) / 2 + np.sqrt(((xx - yy) / 2) ** 2 + xy**2))
    shapes = np.full(len(count), shapely.box(0, 0, 14, 12), object)
    assert np.array_equal(measure(shapes, sums, FRAME, stains=False)["major_axis_um"], major)
