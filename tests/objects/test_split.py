"""Touching nuclei are split on a model's distance channel by a rule that is local and scales with the nucleus."""

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from tests.slides.opencv import without_opencv
from wsi_parse.geometry import Box, Frame
from wsi_parse.objects.parameters import ObjectParameters
from wsi_parse.objects.split import SplitParameters, _squared_distance_to_edge, label_cells, landscape
from wsi_parse.settings import ObjectSettings

MPP = 0.5


def parameters(mpp: float = MPP) -> SplitParameters:
    return ObjectParameters.of(ObjectSettings(), Frame(1000, 1000, mpp, mpp, 1.0, 1.0)).split


def cells(probability: NDArray[np.uint8], distance: NDArray[np.uint8], mpp: float = MPP) -> int:
    """Count the cells of a map with a margin that no window cuts."""
    box = Box(0, 0, probability.shape[1], probability.shape[0])
    return len(label_cells(probability, probability >= 128, distance, box, box, parameters(mpp))[1])


def nucleus_of_two_tops(
    radius_um: float, valley: float, between: int = 255, mpp: float = MPP
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return probability and distance of a nucleus, oval and wider than `radius_um`, with a valley across.

    The tops of the distance lie at 0.9 of its range, the valley so much of the range lower; the probability there is
    `between`.
    """
    side = round(6 * radius_um / mpp)
    y, x = (np.mgrid[:side, :side] - side / 2 + 0.5) * mpp / radius_um
    inside = (x / 1.5) ** 2 + y**2 < 1
    # A saddle at x = 0 between tops at x = ±0.7, broad enough for the smoothing to keep it.
    relative = 0.9 - 0.2 * y**2 - valley * (1 + np.cos(np.pi * x / 0.7)) / 2 - 0.5 * np.maximum(abs(x) - 0.7, 0)
    probability = np.where(abs(x) < 0.3, between, 255)
    return (
        np.where(inside, probability, 0).astype(np.uint8),
        np.where(inside, np.clip(relative * 255, 0, 255), 0).astype(np.uint8),
    )


class TestScale:
    def test_a_valley_that_parts_small_nuclei_does_not_cut_a_large_one(self) -> None:
        small, large = (cells(*nucleus_of_two_tops(radius, 0.35)) for radius in (2.5, 6.0))
        assert (small, large) == (2, 1)

    def test_a_deep_valley_parts_large_ones(self) -> None:
        assert cells(*nucleus_of_two_tops(6.0, 0.85)) == 2

    def test_a_shallow_valley_parts_nothing(self) -> None:
        assert cells(*nucleus_of_two_tops(2.5, 0.05)) == 1

    def test_large_nuclei_that_touch_are_parted_where_the_probability_falls(self) -> None:
        counts = [cells(*nucleus_of_two_tops(6.0, 0.35, between)) for between in (255, 240, 180, 135)]
        assert counts == [1, 1, 2, 2]

    @pytest.mark.parametrize(("radius_um", "count"), [(2.5, 2), (5.0, 1)])
    @pytest.mark.parametrize("mpp", [0.25, 0.5])
    def test_it_is_the_size_in_microns_that_counts(self, radius_um: float, count: int, mpp: float) -> None:
        assert cells(*nucleus_of_two_tops(radius_um, 0.35, mpp=mpp), mpp) == count


def maps(seed: int, side: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a random crowd: probability and distance, with nuclei of all sizes."""
    rng = np.random.default_rng(seed)
    coarse, fine = (ndimage.gaussian_filter(rng.normal(size=(side, side)), sigma) * sigma for sigma in (6, 2))
    probability = np.clip(150 + 260 * coarse + 60 * fine, 0, 255)
    distance = np.clip(90 + 250 * coarse + 120 * fine, 0, 255)
    return probability.astype(np.uint8), distance.astype(np.uint8)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(40, 140))
def test_windows_agree_about_every_cell(seed: int, cut: int) -> None:
    """Each quarter, cut out with its halo alone, gives the cells of the whole map whose seeds it owns."""
    rule, side = parameters(), 180
    margin = rule.halo
    around = [np.pad(values, margin) for values in maps(seed, side)]
    core = Box(0, 0, side, side)

    def pixels(part: Box) -> dict[tuple[int, int], frozenset[tuple[int, int]]]:
        window = part.expanded(margin)
        rows, columns = (
            slice(start + margin, stop + margin)
            for start, stop in ((window.y, window.bottom), (window.x, window.right))
        )
        probability, distance = (values[rows, columns] for values in around)
        labels, seeds = label_cells(probability, probability >= 128, distance, window, part, rule)
        row, column = np.nonzero(labels)
        members: list[list[tuple[int, int]]] = [[] for _ in seeds]
        for y, x, label in zip(row.tolist(), column.tolist(), labels[row, column].tolist(), strict=True):
            members[label - 1].append((x + window.x, y + window.y))
        return {(int(x), int(y)): frozenset(own) for (x, y), own in zip(seeds, members, strict=True)}

    whole = pixels(core)
    quarters = [
        pixels(Box(x, y, width, height))
        for x, width in ((0, cut), (cut, side - cut))
        for y, height in ((0, cut), (cut, side - cut))
    ]
    together = {seed: own for quarter in quarters for seed, own in quarter.items()}
    assert sum(map(len, quarters)) == len(whole) > 20
    assert together == whole


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), limit=st.integers(1, 9))
def test_the_squared_distance_to_the_edge_is_that_of_scipy(seed: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    inside = ndimage.binary_opening(rng.random((40, 50)) < 0.8, iterations=2)
    inside[0], inside[-1], inside[:, 0], inside[:, -1] = False, False, False, False
    points = np.argwhere(inside)
    true = np.rint(ndimage.distance_transform_edt(inside) ** 2).astype(int)[inside]
    assert _squared_distance_to_edge(inside, points, limit).tolist() == np.minimum(true, limit**2).tolist()


def test_lengths_are_those_of_the_pixel_size() -> None:
    coarse, fine = parameters(0.5), parameters(0.25)
    assert fine.usual_depth == 2 * coarse.usual_depth
    assert fine.seed_merge_radius == 2 * coarse.seed_merge_radius


@pytest.mark.parametrize("way", ["with OpenCV", "without it"])
@settings(deadline=None)
@given(
    st.sampled_from([(1, 1), (5, 40), (40, 5), (3, 900), (700, 2)]),
    st.integers(1, 10) | st.sampled_from([127, 128, 340, 341, 600]),
    st.booleans(),
    st.data(),
)
def test_the_landscape(way: str, shape: tuple[int, int], cap: int, by_model: bool, data: st.DataObject) -> None:
    """The smoothed height, in whole numbers, by the definitions of SciPy; nothing lies beyond the window."""
    random = np.random.default_rng(data.draw(st.integers(0, 999)))
    inside = random.random(shape) < data.draw(st.sampled_from([0.5, 0.99, 0.9995, 1.0]))
    probability, distance = random.integers(0, 256, (2, *shape), np.uint8)
    height = 8 * distance.astype(np.int64)
    if not by_model:
        # Beyond the window is mask; without any edge, all have the largest distance.
        height = (probability >> 2).astype(np.int64)
        for metric, limit in (("chessboard", cap), ("taxicab", 2 * cap)):
            found = np.minimum(ndimage.distance_transform_cdt(inside, metric).astype(np.int64), limit)
            height += 64 * (limit if inside.all() else found)
    for axis in (0, 0, 1, 1):
        height = ndimage.convolve1d(height, [1, 2, 1], axis, mode="constant")
    with nullcontext() if way == "with OpenCV" else without_opencv():
        assert (landscape(probability, inside, distance if by_model else None, cap) == height).all()
