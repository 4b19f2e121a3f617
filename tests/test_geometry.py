"""Box and Frame: half-open rectangles, and the conversion between frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsi_parse.errors import UsageError
from wsi_parse.geometry import Box, Frame

lengths = st.integers(0, 40)
places = st.integers(-60, 60)
boxes = st.builds(Box, places, places, lengths, lengths)
solid_boxes = boxes.filter(lambda box: box.area > 0)
factors = st.integers(1, 9)
scales = st.floats(0.3, 40.0)
frames = st.builds(
    Frame,
    width=st.integers(1, 500),
    height=st.integers(1, 500),
    mpp_x=st.floats(0.1, 10.0),
    mpp_y=st.floats(0.1, 10.0),
    scale_x=scales,
    scale_y=scales,
)
points = st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5)), min_size=1, max_size=8)


def pixels_of(box: Box) -> set[tuple[int, int]]:
    """All (x, y) of a box, by the definition: half-open."""
    return {(x, y) for x in range(box.x, box.x + box.width) for y in range(box.y, box.y + box.height)}


class TestBox:
    def test_is_half_open_and_slices_rows_first(self) -> None:
        array = np.zeros((4, 6), bool)
        box = Box(x=1, y=2, width=3, height=1)
        array[box.slices] = True
        assert np.argwhere(array).tolist() == [[2, 1], [2, 2], [2, 3]]
        assert (box.right, box.bottom) == (4, 3)
        assert box.shape == array[box.slices].shape == (1, 3)

    @pytest.mark.parametrize(("width", "height"), [(-1, 3), (3, -1)])
    def test_has_no_negative_size(self, width: int, height: int) -> None:
        with pytest.raises(ValueError, match="negative"):
            Box(0, 0, width, height)

    @pytest.mark.parametrize("width", [-1, "3", None])
    def test_a_wrong_size_is_an_error_of_ours(self, width: object) -> None:
        with pytest.raises(UsageError, match=r"negative: .* Write it as Box\(x, y, width, height\)"):
            Box(0, 0, width, 3)  # type: ignore[arg-type]

    @given(boxes)
    def test_area_counts_pixels(self, box: Box) -> None:
        assert box.area == len(pixels_of(box))

    @given(boxes, boxes)
    def test_intersection_is_that_of_the_pixels(self, one: Box, other: Box) -> None:
        common = one.intersection(other)
        assert pixels_of(common) == pixels_of(one) & pixels_of(other)
        assert common.area == other.intersection(one).area

    @given(boxes, solid_boxes)
    def test_contains_means_all_pixels(self, outer: Box, inner: Box) -> None:
        assert outer.contains(inner) == (pixels_of(inner) <= pixels_of(outer))

    @given(solid_boxes, st.integers(0, 9))
    def test_expanded_keeps_the_middle(self, box: Box, margin: int) -> None:
        grown = box.expanded(margin)
        assert grown.contains(box)
        assert (grown.width, grown.height) == (box.width + 2 * margin, box.height + 2 * margin)
        assert grown.x + grown.right == box.x + box.right

    @given(boxes, st.integers(1, 50))
    def test_strips_partition(self, box: Box, height: int) -> None:
        strips = list(box.strips(height))
        assert all(strip.height <= height and strip.width == box.width for strip in strips)
        cut = [pixel for strip in strips for pixel in pixels_of(strip)]
        assert len(cut) == len(set(cut))
        assert set(cut) == pixels_of(box)

    @given(solid_boxes, factors)
    def test_covering_is_the_smallest_that_covers(self, box: Box, factor: int) -> None:
        coarse = box.covering(factor)
        assert pixels_of(coarse) == {(x // factor, y // factor) for x, y in pixels_of(box)}

    @given(solid_boxes, factors)
    def test_covering_undoes_multiplied(self, box: Box, factor: int) -> None:
        assert box.multiplied(factor).covering(factor) == box

    @given(st.data())
    def test_relative_to_indexes_a_crop(self, data: st.DataObject) -> None:
        whole = np.arange(30 * 20).reshape(20, 30)
        outer = data.draw(boxes_inside(Box(0, 0, 30, 20)))
        inner = data.draw(boxes_inside(outer))
        crop = whole[outer.slices]
        assert np.array_equal(crop[inner.relative_to(outer).slices], whole[inner.slices])


@st.composite
def boxes_inside(draw: st.DrawFn, outer: Box) -> Box:
    left, top = draw(st.integers(outer.x, outer.right)), draw(st.integers(outer.y, outer.bottom))
    right, bottom = draw(st.integers(left, outer.right)), draw(st.integers(top, outer.bottom))
    return Box.from_corners(left, top, right, bottom)


class TestFrame:
    @given(frames, points)
    def test_round_trip(self, frame: Frame, given_points: list[tuple[float, float]]) -> None:
        there = frame.to_level0(given_points)
        assert there.shape == (len(given_points), 2)
        assert np.allclose(frame.from_level0(there), given_points, rtol=1e-12, atol=1e-9)

    def test_points_are_x_then_y(self) -> None:
        frame = Frame.of(1000, 500, level0_mpp=(0.25, 0.5), mpp=0.5)
        assert frame.to_level0([(10, 20)]).tolist() == [[20, 20]]
        assert (frame.width, frame.height) == (500, 500)

    @given(frames)
    def test_pixel_0_0_covers_0_to_1(self, frame: Frame) -> None:
        corners = frame.to_level0([(0, 0), (1, 1)])
        assert corners.tolist() == [[0, 0], [frame.scale_x, frame.scale_y]]

    @given(st.integers(1, 10**6), st.integers(1, 10**6), scales, scales, scales)
    def test_covers_the_slide_with_no_pixel_to_spare(
        self, width: int, height: int, mpp_x: float, mpp_y: float, mpp: float
    ) -> None:
        frame = Frame.of(width, height, (mpp_x, mpp_y), mpp)
        for pixels, length, scale in (
            (frame.width, width, frame.scale_x),
            (frame.height, height, frame.scale_y),
        ):
            assert pixels * scale >= length - 1e-5 * scale
            assert pixels == 1 or (pixels - 1) * scale < length
        assert frame.scale_x * mpp_x == pytest.approx(mpp)
        assert frame.scale_y * mpp_y == pytest.approx(mpp)

    @given(frames, frames, solid_boxes)
    def test_box_in_is_the_smallest_that_covers(self, frame: Frame, other: Frame, box: Box) -> None:
        found = frame.box_in(box, other)
        corners = other.from_level0(frame.to_level0([(box.x, box.y), (box.right, box.bottom)]))
        (left, top), (right, bottom) = corners.tolist()
        noise = 1e-5
        assert found.x - noise <= left < found.x + 1 + noise
        assert found.y - noise <= top < found.y + 1 + noise
        assert found.right - 1 - noise < right <= found.right + noise
        assert found.bottom - 1 - noise < bottom <= found.bottom + noise

    @given(frames, solid_boxes)
    def test_box_in_itself_is_itself(self, frame: Frame, box: Box) -> None:
        assert frame.box_in(box, frame) == box

    @given(frames, factors, solid_boxes)
    def test_coarser_is_the_frame_of_covering_boxes(self, frame: Frame, stride: int, box: Box) -> None:
        coarse = frame.coarser(stride)
        assert coarse.box == frame.box.covering(stride)
        assert frame.box_in(box, coarse) == box.covering(stride)
        assert coarse.pixel_area_um2 == pytest.approx(frame.pixel_area_um2 * stride**2)

    def test_rounding_noise_adds_no_pixels(self) -> None:
        # 3 * 0.1 is 0.30000000000000004: a frame of 1001 pixels would be wrong.
        assert Frame.of(3000, 3000, (0.1, 0.1), 3 * 0.1).width == 1000
