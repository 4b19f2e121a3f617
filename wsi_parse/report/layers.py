"""Layers: the slide, and over it one picture of the objects of each prompt, for switches to show and hide."""

from base64 import b64encode
from collections.abc import Callable, Iterable
from io import BytesIO

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image

from wsi_parse.contours.rings import Rings
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.pictures.density import TYPICAL_CELL_UM
from wsi_parse.pictures.view import View
from wsi_parse.prompts import Rgb
from wsi_parse.report.fields import MAX_POINTS, svg_path
from wsi_parse.report.raster import WHOLE, Coverage, mark_outlines
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask

LONGER_SIDE_PX = 1600
# Of many prompts, the pictures are smaller: together they hold at most so many pixels.
_MAX_PIXELS = 16_000_000
# Outlines of smaller cells merge; they are a tint, stronger where they are denser.
_MIN_OUTLINED_PX = 5.0
_SURE, _UNSURE = 2, 1
_FILL_LEVELS, _FILL, _TINT = 12, 0.30, 0.85
# Of the outline of the tissue: holes that are smaller than this cannot be seen, and of a sieve there are 100,000.
_MAX_RINGS, _MIN_RING_PX2 = 4000, 2.0


class Layers:
    """Pictures of the objects of each prompt over a slide, or over its region of interest, drawn while they stream by.

    Parameters
    ----------
    slide : Slide
    tissue : TissueMask
    classes : ClassTable
    """

    def __init__(self, slide: Slide, tissue: TissueMask, classes: ClassTable) -> None:
        self._slide, self._tissue, self._classes = slide, tissue, classes
        largest = int((_MAX_PIXELS / max(1, len(classes.prompts))) ** 0.5)
        self.view = View.of_slide(slide, min(LONGER_SIDE_PX, largest), tissue.region)
        self.outlines_cells = TYPICAL_CELL_UM / self.view.frame.mpp_x >= _MIN_OUTLINED_PX
        # Only of prompts that have objects.
        self._covers: dict[int, Coverage] = {}
        self._outlines: dict[int, NDArray[np.uint8]] = {}

    def add(self, batch: ObjectBatch, middle_level0: NDArray[np.float64]) -> None:
        """Draw a batch of objects, whose middles (N, 2) are given."""
        scale = self.view.frame.scale_x * self.view.frame.scale_y
        area_px = shapely.area(batch.geometry) / scale
        is_cell = self._classes.is_cell[batch.class_index]
        large = np.where(is_cell, self.outlines_cells, area_px >= _MIN_OUTLINED_PX**2)
        for index in np.unique(batch.class_index).tolist():
            mine = batch.class_index == index
            number = int(self._classes.prompt_number[index])
            cover = self._covers.setdefault(number, Coverage(self.view.box.shape))
            small = mine & ~large
            if small.any():
                cover.add_points(self.view.pixels(middle_level0[small]), area_px[small])
            if (mine & large).any():
                shapes = shapely.orient_polygons(batch.geometry[mine & large])
                points = self.view.pixels(shapely.get_coordinates(shapes))
                cover.add_polygons(shapes, points)
                outlines = self._outlines.setdefault(number, np.zeros(self.view.box.shape, np.uint8))
                mark_outlines(outlines, shapes, points, _UNSURE if self._classes.rows[index].unsure else _SURE)

    def slide_jpeg(self, quality: float) -> str:
        """Return the slide, base64."""
        return _encoded(self._small(self.view.picture(self._slide), quality), "JPEG", quality=round(80 * quality**0.5))

    def png(self, number: int, quality: float) -> str | None:
        """Return the objects of a prompt on a transparent ground, base64; None if there are none."""
        if number not in self._covers:
            return None
        cover = self._covers[number].values().astype(np.float32) / WHOLE
        outlines = self._outlines.get(number)
        if outlines is None:
            dense = np.percentile(cover[cover > cover.max() / 1000], 95)
            share, opacity = np.clip(cover / dense, 0, 1) ** 0.6, _TINT
        else:
            share, opacity = np.clip(cover, 0, 1), _FILL
        index = np.rint(share * _FILL_LEVELS).astype(np.uint8)
        if outlines is not None:
            index = np.where(outlines > 0, _FILL_LEVELS + outlines, index)
        sure, unsure = (row.colour for row in self._classes.rows[2 * number : 2 * number + 2])
        fill = [(*sure, opacity * level / _FILL_LEVELS) for level in range(_FILL_LEVELS + 1)]
        return self._paletted(index, [*fill, (*unsure, 1.0), (*sure, 1.0)], quality)

    def _paletted(self, index: NDArray[np.uint8], colours: list[tuple[int, int, int, float]], quality: float) -> str:
        picture = Image.fromarray(index, "P")
        picture.putpalette([band for colour in colours for band in colour[:3]])
        opacities = bytes(round(255 * colour[3]) for colour in colours)
        size = self._size(quality)
        picture = picture.resize(size, Image.Resampling.NEAREST) if size != picture.size else picture
        return _encoded(picture, "PNG", transparency=opacities, optimize=False, compress_level=9)

    def _size(self, quality: float) -> tuple[int, int]:
        width, height = self.view.box.width, self.view.box.height
        return max(1, round(width * quality)), max(1, round(height * quality))

    def _small(self, picture: Image.Image, quality: float) -> Image.Image:
        size = self._size(quality)
        return picture.resize(size, Image.Resampling.BILINEAR) if size != picture.size else picture

    def tissue_path(self) -> str:
        """Return the outline of the tissue in picture pixels, as the data of an SVG path."""
        return self._path(self._tissue.rings_level0)

    def region_path(self) -> str:
        """Return the outline of the region of interest, or what is left of the slide; empty without one."""
        region = self._tissue.region
        return "" if region is None else self._path(lambda: [Rings.of_shapes(shapely.get_parts(region))])

    def _path(self, rings_level0: Callable[[], Iterable[Rings]]) -> str:
        """Draw the largest rings, which are given some at a time: a hole is never drawn without the ring around it."""
        areas = [self._in_picture(part).areas() for part in rings_level0()]
        area = np.concatenate([np.empty(0), *areas])
        if not len(area):
            return ""
        largest = np.argsort(-area, kind="stable")[:_MAX_RINGS]
        largest = largest[area[largest] >= min(_MIN_RING_PX2, area.max())]
        found, first = np.empty(len(area), object), 0
        for part in rings_level0():
            for number in largest[(largest >= first) & (largest < first + len(part))].tolist():
                ring = self._in_picture(part.part(number - first, number - first + 1))
                found[number] = shapely.linearrings(ring.points)
            first += len(part)
        # Each ring alone: with all holes of a shape, GEOS compares every side with every other, for seconds.
        drawn = shapely.simplify(found[largest], 0.7)
        # Those that fit on the page as a whole, again from the largest on.
        fitting = np.flatnonzero(np.cumsum(shapely.get_num_coordinates(drawn)) <= MAX_POINTS)
        return svg_path(shapely.polygons(drawn[fitting[np.argsort(largest[fitting])]]))

    def _in_picture(self, rings_level0: Rings) -> Rings:
        return Rings(self.view.pixels(rings_level0.points), rings_level0.offsets)


def css(colour: Rgb) -> str:
    """Return a colour for CSS.

    >>> css((200, 0, 10))
    '#c8000a'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _encoded(picture: Image.Image, form: str, **options: object) -> str:
    buffer = BytesIO()
    picture.save(buffer, form, **options)
    return b64encode(buffer.getvalue()).decode()
