"""TissueMask: where a slide has tissue, its areas, and which boxes and points lie on it."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.cautions import Caution
from wsi_parse.contours.inside import Place, places_in, places_of
from wsi_parse.contours.mask_rings import MaskRings
from wsi_parse.contours.rings import Rings
from wsi_parse.contours.tracing import rings_of_labels
from wsi_parse.geometry import Box, Frame
from wsi_parse.qupath.geometry import LARGE_CORNERS
from wsi_parse.tissue.morphology import dilated

_RINGS_AT_ONCE, _BLOCK_PX = 1 << 14, 64


@dataclass(frozen=True)
class TissueMask:
    """The part of a slide that is tissue: a search area, and the tissue area inside it.

    The search area is generous, so that nothing is missed at a rim or between loose fibres: objects are looked for
    there. The tissue area is without glass: densities are per area of it, and it is what outputs outline.

    Parameters
    ----------
    mask : bool array (frame.height, frame.width)
        The search area.
    frame : Frame
        Lattice of the mask, a few microns per pixel.
    region : shapely geometry or None
        The region of interest in level-0 pixels; None if the whole slide is processed.
    cautions : tuple of Caution
        What is plausible but wrong about the slide, as its overview shows it.
    unreadable : tuple of Box
        Stored tiles that cannot be read, in level-0 pixels, where the overview needs them: no tissue is found there.
    tight : bool array (frame.height, frame.width) or None
        The tissue area; None: the same as the search area.
    """

    mask: NDArray[np.bool_]
    frame: Frame
    region: Any = None
    cautions: tuple[Caution, ...] = ()
    unreadable: tuple[Box, ...] = ()
    tight: NDArray[np.bool_] | None = None

    def without(self, boxes_level0: Iterable[Box]) -> "TissueMask":
        """Return the tissue without some boxes: what was not looked at is in no area."""
        left_out = shapely.union_all([shapely.box(box.x, box.y, box.right, box.bottom) for box in boxes_level0])
        (right, bottom) = self.frame.to_level0([(self.frame.width, self.frame.height)])[0].tolist()
        looked_at = shapely.box(0, 0, right, bottom) if self.region is None else self.region
        return replace(self, region=shapely.difference(looked_at, left_out))

    @property
    def tissue(self) -> NDArray[np.bool_]:
        """The tissue area: bool array (frame.height, frame.width)."""
        return self.mask if self.tight is None else self.tight

    @cached_property
    def rings(self) -> MaskRings:
        """The outlines of the tissue area, in pixels of the mask, whatever the region: traced once for all outputs."""
        return MaskRings.of(self.tissue)

    def rings_level0(self) -> Iterator[Rings]:
        """Yield the outlines of the tissue area, inside the region if there is one, in level-0 pixels.

        Some at a time: those of a large slide would take much memory. They are in the same order each time.
        """
        if self.region is None:
            yield from self._parts_level0(np.arange(len(self.rings)))
            return
        numbers, ends, _ = rings_of_labels(self.rings, keep_holes=True)
        for first, last, is_large in self.rings.in_turn(numbers, ends, LARGE_CORNERS):
            chosen, cut = numbers[ends[first] : ends[last]], ends[first : last + 1] - ends[first]
            if is_large:
                # Only rings at the border of the region are cut; the first one encloses the others.
                places = places_in(self._parts_level0(chosen), self.region)
                if places[0] == Place.OUTSIDE:
                    continue
                yield from self._parts_level0(chosen[places == Place.INSIDE])
                chosen = chosen[places == Place.BORDER]
                cut = np.array([0, len(chosen)])
                if not len(chosen):
                    continue
            rings = self._level0(self.rings.points(chosen))
            shapes = shapely.intersection(shapely.make_valid(rings.polygons(cut)), self.region)
            shapes = shapely.get_parts(shapes)
            yield Rings.of_shapes(shapes[shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON])

    def _parts_level0(self, numbers: NDArray[np.int64]) -> Iterator[Rings]:
        for first in range(0, len(numbers), _RINGS_AT_ONCE):
            yield self._level0(self.rings.points(numbers[first : first + _RINGS_AT_ONCE]))

    def _level0(self, rings: Rings) -> Rings:
        return Rings(self.frame.to_level0(rings.points), rings.offsets)

    @cached_property
    def area_mm2(self) -> float:
        """Area of the tissue, inside the region if there is one, in square millimetres."""
        return self._area_mm2(self.tissue)

    @cached_property
    def search_mm2(self) -> float:
        """Area that is searched, inside the region if there is one, in square millimetres."""
        return self._area_mm2(self.mask)

    def _area_mm2(self, mask: NDArray[np.bool_]) -> float:
        return self._area_px(mask) * self.frame.pixel_area_um2 / 1e6

    def _area_px(self, mask: NDArray[np.bool_]) -> float:
        if self.region is None:
            return float(mask.sum())
        # Of whole blocks first: a shape for each pixel of a large slide would take gigabytes.
        inside, at_border = 0, [np.empty((0, 2), np.int64)]
        blocks = list(self.frame.box.pieces(_BLOCK_PX, _BLOCK_PX))
        corners = np.array([(block.x, block.y, block.right, block.bottom) for block in blocks])
        for block, place in zip(blocks, self._places(corners[:, :2], corners[:, 2:]).tolist(), strict=True):
            if place == Place.INSIDE:
                inside += int(mask[block.slices].sum())
            elif place == Place.BORDER:
                corner = np.argwhere(mask[block.slices])[:, ::-1] + (block.x, block.y)
                places = self._places(corner, corner + 1)
                inside += int((places == Place.INSIDE).sum())
                at_border.append(corner[places == Place.BORDER])
        corner = np.concatenate(at_border)
        # Row by row, so that the sum does not depend on the blocks.
        corner = corner[np.lexsort(corner.T)]
        cut = shapely.intersection(self._boxes(corner, corner + 1), self.region)
        return inside + float(shapely.area(cut).sum()) / (self.frame.scale_x * self.frame.scale_y)

    def _places(self, low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the :class:`Place` of rectangles of the mask, from one corner (N, 2) to the other."""
        return places_of(self._boxes(low, high), self.region)

    def _boxes(self, low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.object_]:
        (left, top), (right, bottom) = self.frame.to_level0(low).T, self.frame.to_level0(high).T
        return np.asarray(shapely.box(left, top, right, bottom))

    def touches(self, box_frame: Box, frame: Frame) -> bool:
        """Return whether a box of `frame`, which is any frame of the same slide, meets the search area."""
        box = frame.box_in(box_frame, self.frame).intersection(self.frame.box)
        return bool(self.mask[box.slices].any())

    def contains(self, points_level0: NDArray[np.float64], margin_um: float = 0.0) -> NDArray[np.bool_]:
        """Return which points lie in the search area or near it.

        Parameters
        ----------
        points_level0 : float array (N, 2)
            (x, y) in level-0 pixels.
        margin_um : float
            Points up to this far from it count, too.

        Returns
        -------
        bool array (N,)
        """
        pixels = np.floor(self.frame.from_level0(points_level0)).astype(np.int64)
        inside = (pixels >= 0).all(axis=1) & (pixels[:, 0] < self.frame.width) & (pixels[:, 1] < self.frame.height)
        found = np.zeros(len(pixels), bool)
        if not inside.any():
            return found
        # Only the part of the mask around the points is dilated, because the points come from one chunk.
        reach = margin_um / self.frame.mpp_x
        (left, top), (right, bottom) = pixels[inside].min(axis=0).tolist(), (pixels[inside].max(axis=0) + 1).tolist()
        box = Box.from_corners(left, top, right, bottom).expanded(math.ceil(reach)).intersection(self.frame.box)
        near = dilated(self.mask[box.slices], reach) if reach else self.mask[box.slices]
        found[inside] = near[pixels[inside, 1] - box.y, pixels[inside, 0] - box.x]
        return found
