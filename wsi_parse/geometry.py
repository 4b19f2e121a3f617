"""Box and Frame: whole-pixel rectangles, and the only code that converts between frames.

Points are (x, y), sizes (width, height), arrays (rows, columns). Pixel (0, 0) covers [0, 1) x [0, 1).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsi_parse.errors import UsageError


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """Whole-pixel rectangle, half-open: it covers [x, x + width) x [y, y + height).

    The name of the variable that holds a box names the frame of its coordinates (`box_frame`, `box_level0`).

    Raises
    ------
    UsageError
        The width or the height is negative, or is no number.

    Examples
    --------
    >>> Box(0, 0, 4, 4).intersection(Box(2, 1, 10, 10))
    Box(x=2, y=1, width=2, height=3)
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        try:
            is_valid = self.width >= 0 and self.height >= 0
        except TypeError:
            is_valid = False
        if not is_valid:
            raise UsageError(
                f"The size of a box must not be negative: {self.width!r} x {self.height!r}.",
                "Write it as Box(x, y, width, height), with a width and a height from 0 on.",
            )

    @classmethod
    def from_corners(cls, left: int, top: int, right: int, bottom: int) -> "Box":
        """Return the box between two corners; it is empty (area 0) if right < left or bottom < top."""
        return cls(left, top, max(0, right - left), max(0, bottom - top))

    @property
    def right(self) -> int:
        """First column right of the box."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below the box."""
        return self.y + self.height

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    @property
    def shape(self) -> tuple[int, int]:
        """Array shape (rows, columns)."""
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the box in an array (rows, columns) that begins at the origin of the frame."""
        return slice(self.y, self.bottom), slice(self.x, self.right)

    def intersection(self, other: "Box") -> "Box":
        """Return the common part of two boxes; it is empty (area 0) if they do not overlap."""
        return Box.from_corners(
            max(self.x, other.x),
            max(self.y, other.y),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def contains(self, other: "Box") -> bool:
        """Return whether `other` lies completely inside."""
        return self.intersection(other) == other

    def expanded(self, margin: int) -> "Box":
        """Return the box grown by `margin` pixels on every side."""
        return Box(self.x - margin, self.y - margin, self.width + 2 * margin, self.height + 2 * margin)

    def relative_to(self, origin: "Box") -> "Box":
        """Return the same box, with coordinates counted from the top left corner of `origin`."""
        return Box(self.x - origin.x, self.y - origin.y, self.width, self.height)

    def multiplied(self, factor: int) -> "Box":
        """Return the box on a lattice `factor` times finer."""
        return Box(self.x * factor, self.y * factor, self.width * factor, self.height * factor)

    def covering(self, factor: int) -> "Box":
        """Return the smallest box on a lattice `factor` times coarser that covers this one."""
        return Box.from_corners(self.x // factor, self.y // factor, -(-self.right // factor), -(-self.bottom // factor))

    def strips(self, height: int) -> Iterator["Box"]:
        """Yield strips of the full width and at most `height` rows, from top to bottom."""
        for y in range(self.y, self.bottom, height):
            yield Box(self.x, y, self.width, min(height, self.bottom - y))

    def pieces(self, width: int, height: int) -> Iterator["Box"]:
        """Yield boxes of at most this size, column after column, each from top to bottom."""
        for x in range(self.x, self.right, width):
            yield from Box(x, self.y, min(width, self.right - x), self.height).strips(height)


@dataclass(frozen=True, slots=True)
class Frame:
    """A slide resampled to one scale: an integer lattice whose origin is that of level 0.

    Parameters
    ----------
    width, height : int
        Size in frame pixels; the last row and column may reach past the edge of the slide, which is white there.
    mpp_x, mpp_y : float
        Microns per frame pixel.
    scale_x, scale_y : float
        Level-0 pixels per frame pixel.
    """

    width: int
    height: int
    mpp_x: float
    mpp_y: float
    scale_x: float
    scale_y: float

    @classmethod
    def of(cls, width_level0: int, height_level0: int, level0_mpp: tuple[float, float], mpp: float) -> "Frame":
        """Return the frame of `mpp` microns per pixel of a slide with the given level-0 size and pixel size.

        >>> Frame.of(1000, 500, (0.25, 0.5), 0.5)
        Frame(width=500, height=500, mpp_x=0.5, mpp_y=0.5, scale_x=2.0, scale_y=1.0)
        """
        scale_x, scale_y = mpp / level0_mpp[0], mpp / level0_mpp[1]
        return cls(
            _pixels_along(width_level0, scale_x), _pixels_along(height_level0, scale_y), mpp, mpp, scale_x, scale_y
        )

    @property
    def box(self) -> Box:
        """The whole frame."""
        return Box(0, 0, self.width, self.height)

    @property
    def pixel_area_um2(self) -> float:
        """Area of one frame pixel in square microns."""
        return self.mpp_x * self.mpp_y

    def coarser(self, stride: int) -> "Frame":
        """Return the frame whose pixels are `stride` x `stride` pixels of this one.

        >>> Frame(9, 8, 0.5, 0.5, 2.0, 2.0).coarser(4).width
        3
        """
        return Frame(
            -(-self.width // stride),
            -(-self.height // stride),
            self.mpp_x * stride,
            self.mpp_y * stride,
            self.scale_x * stride,
            self.scale_y * stride,
        )

    def to_level0(self, points_frame: ArrayLike) -> NDArray[np.float64]:
        """Convert points (N, 2) as (x, y) from this frame to level-0 pixels."""
        return np.asarray(points_frame, np.float64) * (self.scale_x, self.scale_y)

    def from_level0(self, points_level0: ArrayLike) -> NDArray[np.float64]:
        """Convert points (N, 2) as (x, y) from level-0 pixels to this frame."""
        return np.asarray(points_level0, np.float64) / (self.scale_x, self.scale_y)

    def box_in(self, box_frame: Box, other: "Frame") -> Box:
        """Return the smallest box in pixels of `other` that covers `box_frame`, a box of this frame."""
        ratio_x, ratio_y = self.scale_x / other.scale_x, self.scale_y / other.scale_y
        return Box.from_corners(
            math.floor(box_frame.x * ratio_x + _TINY),
            math.floor(box_frame.y * ratio_y + _TINY),
            math.ceil(box_frame.right * ratio_x - _TINY),
            math.ceil(box_frame.bottom * ratio_y - _TINY),
        )


# The rounding error of a product of two floats must not add a row of pixels.
_TINY = 1e-6


def _pixels_along(length_level0: int, scale: float) -> int:
    return max(1, math.ceil(length_level0 / scale - _TINY))
