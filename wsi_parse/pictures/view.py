"""View: a part of a slide as a picture; Canvas: outlines drawn on it with soft edges."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from wsi_parse.contours.rings import Rings
from wsi_parse.geometry import Box, Frame
from wsi_parse.prompts import Rgb
from wsi_parse.slides.slide import Slide

# Above this size a layer of twice the size would take too much memory.
_SOFT_BELOW_PX = 4096
# Around a region of interest, as a part of its longer side; and the least side of a picture of it, in level-0 pixels.
_REGION_MARGIN, _MIN_REGION_PX = 0.04, 640


@dataclass(frozen=True)
class View:
    """A part of a slide at one scale.

    Parameters
    ----------
    frame : Frame
        Of the slide, at the picture's scale.
    box : Box
        The picture, in pixels of `frame`.
    """

    frame: Frame
    box: Box

    @classmethod
    def of_slide(cls, slide: Slide, longer_side_px: int, region_level0: Any = None) -> "View":  # noqa: ANN401 - shapely
        """View the scanned area, or what of it lies around a region of interest.

        Parameters
        ----------
        slide : Slide
        longer_side_px : int
            The longer side is at most so long; the view is never finer than level 0.
        region_level0 : shapely geometry, optional
            The view is its bounding box with a margin.
        """
        size, info = slide.pixel_size, slide.info
        part = info.bounds_level0 or Box(0, 0, info.width, info.height)
        if region_level0 is not None and not region_level0.is_empty:
            around = _around(region_level0).intersection(part)
            part = around if around.area else part
        longest_um = max(part.width * size.x_um, part.height * size.y_um)
        frame = slide.frame(max(longest_um / longer_side_px, size.x_um, size.y_um))
        return cls(frame, _level0(slide).box_in(part, frame).intersection(frame.box))

    @classmethod
    def around(
        cls, slide: Slide, middle_level0: NDArray[np.float64], width_px: int, height_px: int, mpp: float
    ) -> "View":
        """View `width_px` x `height_px` pixels of `mpp` microns around a point, moved inside the slide."""
        frame = slide.frame(mpp)
        corner = np.rint(frame.from_level0(middle_level0) - (width_px / 2, height_px / 2)).astype(int)
        x, y = np.clip(corner, 0, (max(0, frame.width - width_px), max(0, frame.height - height_px))).tolist()
        return cls(frame, Box(x, y, width_px, height_px))

    @property
    def box_level0(self) -> Box:
        """The smallest box of whole level-0 pixels that covers the picture."""
        (left, top), (right, bottom) = self.frame.to_level0(
            [(self.box.x, self.box.y), (self.box.right, self.box.bottom)]
        )
        return Box.from_corners(math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))

    def picture(self, slide: Slide) -> Image.Image:
        """Read the picture, RGB; white where the slide cannot be read."""
        return Image.fromarray(slide.read_readable(self.box, self.frame).pixels)

    def pixels(self, points_level0: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert points (N, 2) from level-0 pixels to pixels of the picture."""
        return self.frame.from_level0(points_level0) - (self.box.x, self.box.y)

    def level0(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert points (N, 2) from pixels of the picture to level-0 pixels."""
        return self.frame.to_level0(points + np.array([self.box.x, self.box.y]))

    def box_of(self, field: "View", corner: tuple[int, int] = (0, 0)) -> Box:
        """Return where another view lies, in pixels of a page on which this picture begins at `corner`."""
        ends = np.array([(field.box.x, field.box.y), (field.box.right, field.box.bottom)])
        corners = (self.pixels(field.frame.to_level0(ends)) + corner).round().astype(int)
        return Box.from_corners(*corners.ravel().tolist())

    def shows(self, shapes_level0: NDArray[np.object_]) -> NDArray[np.bool_]:
        """Return for each shape whether its bounding box meets the picture."""
        bounds = shapely.bounds(shapes_level0)
        low, high = self.pixels(bounds[:, :2]), self.pixels(bounds[:, 2:])
        meets: NDArray[np.bool_] = (high > 0) & (low < (self.box.width, self.box.height))
        return np.all(meets, axis=1)


def _around(region_level0: Any) -> Box:  # noqa: ANN401 - shapely
    """Return the bounding box of a region with a margin, large enough for a picture of it."""
    left, top, right, bottom = shapely.bounds(region_level0).tolist()
    margin = _REGION_MARGIN * max(right - left, bottom - top)
    beside, above = (max(margin, (_MIN_REGION_PX - side) / 2) for side in (right - left, bottom - top))
    return Box.from_corners(
        math.floor(left - beside), math.floor(top - above), math.ceil(right + beside), math.ceil(bottom + above)
    )


def _level0(slide: Slide) -> Frame:
    size = slide.pixel_size
    return Frame(slide.info.width, slide.info.height, size.x_um, size.y_um, 1.0, 1.0)


class Canvas:
    """A transparent layer over a view: shapes are drawn larger, then reduced, so that edges are soft.

    Parameters
    ----------
    view : View
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._finer = 2 if max(view.box.width, view.box.height) <= _SOFT_BELOW_PX else 1
        size = (view.box.width * self._finer, view.box.height * self._finer)
        self._layer = Image.new("RGBA", size)
        self._draw = ImageDraw.Draw(self._layer)

    def shapes(
        self, shapes_level0: Iterable[object], colour: Rgb, *, fill: int, width_px: float, halo: int = 0
    ) -> None:
        """Draw polygons.

        Parameters
        ----------
        shapes_level0 : iterable of shapely Polygons and MultiPolygons
        colour : (int, int, int)
        fill : int
            Opacity of the inside, 0..255; holes stay clear.
        width_px : float
            Of the outline, in pixels of the picture; 0: none.
        halo : int
            Opacity of a white seam around the outline, which separates it from dark pixels of the same colour.
        """
        width = max(1, round(width_px * self._finer))
        for rings in self._rings_of(shapely.get_parts(np.asarray(shapes_level0, object))):
            if fill:
                self._fill(rings, (*colour, fill))
            lines = [ring.ravel().tolist() for ring in rings] if width_px else []
            for points in lines if halo else ():
                self._draw.line(points, (255, 255, 255, halo), 2 * width, joint="curve")
            for points in lines:
                self._draw.line(points, (*colour, 255), width, joint="curve")

    def rings(self, rings_level0: Rings, colour: Rgb, *, width_px: float) -> None:
        """Draw rings of one colour; not too many at once, because numbers of Python are large."""
        width = max(1, round(width_px * self._finer))
        numbers = self._pixels(rings_level0.points).ravel().tolist()
        for start, end in pairwise((2 * rings_level0.offsets).tolist()):
            self._draw.line(numbers[start:end], (*colour, 255), width, joint="curve")

    def boxes(self, corners_level0: NDArray[np.float64], fill: tuple[int, ...], edge: tuple[int, ...]) -> None:
        """Draw rectangles (N, 4) as (left, top, right, bottom) in level-0 pixels."""
        low, high = self._pixels(corners_level0[:, :2]), self._pixels(corners_level0[:, 2:])
        for corners in np.concatenate([low, high], axis=1).tolist():
            self._draw.rectangle(corners, fill, edge, self._finer)

    def over(self, picture: Image.Image) -> Image.Image:
        """Return the picture, RGB, with the layer on top."""
        layer = self._layer.reduce(self._finer) if self._finer > 1 else self._layer
        return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")

    def _rings_of(self, polygons: NDArray[np.object_]) -> Iterator[list[NDArray[np.float64]]]:
        """Yield the rings of each polygon in pixels of the layer; all are converted at once."""
        rings, polygon = shapely.get_rings(polygons, return_index=True)
        points, ring = shapely.get_coordinates(rings, return_index=True)
        lines = np.split(self._pixels(points), np.searchsorted(ring, np.arange(1, len(rings))))
        ends = np.searchsorted(polygon, np.arange(len(polygons) + 1))
        return (lines[start:end] for start, end in pairwise(ends.tolist()))

    def _pixels(self, points_level0: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._view.pixels(points_level0) * self._finer

    def _fill(self, rings: list[NDArray[np.float64]], colour: tuple[int, ...]) -> None:
        box = (0, 0, *self._layer.size)
        low, high = np.floor(rings[0].min(axis=0)).astype(int), np.ceil(rings[0].max(axis=0)).astype(int) + 1
        left, top = max(box[0], low[0]), max(box[1], low[1])
        right, bottom = min(box[2], high[0]), min(box[3], high[1])
        if right <= left or bottom <= top:
            return
        # A separate mask, so that holes show what was drawn before.
        mask = Image.new("1", (int(right - left), int(bottom - top)))
        draw = ImageDraw.Draw(mask)
        for number, ring in enumerate(rings):
            draw.polygon([*map(tuple, (ring - (left, top)).tolist())], fill=int(number == 0))
        self._layer.paste(colour, (int(left), int(top)), mask)
