"""Overlay and preview: all objects on the slide, with the busiest field at full resolution beside it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from wsi_parse.geometry import Box
from wsi_parse.objects.batch import ObjectBatch, ObjectSource
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.objects.regions import polygons_of_mask
from wsi_parse.pictures.density import Density
from wsi_parse.pictures.page_layout import Entry, assemble, desaturate, draw_bar, inset_frame, save, text_px
from wsi_parse.pictures.view import Canvas, View
from wsi_parse.prompts import Rgb
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask

TISSUE_COLOUR: Rgb = (70, 110, 120)
_FIELD_UM = 250.0
_INSET_COLOUR: Rgb = (25, 28, 33)
_PREVIEW_PX = 2048
_SEAM_PX = 4


class Overlay:
    """All objects over a slide, with the busiest field beside it: drawn while the objects stream by.

    Parameters
    ----------
    path : Path
        A PNG, written atomically by :meth:`finish`.
    slide : Slide
    tissue : TissueMask
    source : ObjectSource
        Whose batches are written. When all of them were, the objects of the field are read from it again.
    longer_side_px : int
        Longer side of the picture of the slide.

    Notes
    -----
    Cells below 6 px are drawn as a tint, stronger where they are denser; larger ones are outlined, one over the other
    in the order of the stream. Only pixels of the slide are read, because label and macro images may show names.
    """

    def __init__(
        self, path: Path, slide: Slide, tissue: TissueMask, source: ObjectSource, longer_side_px: int = 2048
    ) -> None:
        self.path = path
        self._slide, self._tissue, self._source = slide, tissue, source
        self._view = View.of_slide(slide, longer_side_px)
        self._density, self._canvas = Density(self._view, source.classes), Canvas(self._view)
        _draw_tissue(self._canvas, tissue)

    def write(self, batch: ObjectBatch) -> None:
        """Draw a batch of objects."""
        large = self._density.add(batch)
        _draw_objects(self._canvas, batch, large, self._source.classes, fill=70, width_px=1.0)

    def finish(self) -> None:
        """Add the slide, the field and the legend, and write the picture."""
        slide, view, density = self._slide, self._view, self._density
        picture = self._canvas.over(density.tint(desaturate(view.picture(slide))))
        field = _busiest_field(slide, view, density)
        size_px = text_px(view.box.width + (field.box.width if field else 0))
        draw_bar(picture, view.frame.mpp_x, size_px)
        pictures = [picture]
        if field is not None:
            pictures.append(_close_up(slide, field, self._source, size_px))
        page, corners = assemble(pictures, _entries(self._tissue, density, self._source.classes))
        if field is not None:
            _connect(page, view, field, corners)
        save(page, self.path)


def draw_preview(slide: Slide, tissue: TissueMask, boxes_level0: Sequence[Box], path: Path) -> None:
    """Draw the tissue, and the tiles that would be predicted.

    Parameters
    ----------
    slide : Slide
    tissue : TissueMask
    boxes_level0 : sequence of Box
        The tiles, in level-0 pixels.
    path : Path
        A PNG, written atomically.
    """
    view = View.of_slide(slide, _PREVIEW_PX)
    canvas = Canvas(view)
    corners = np.array([(box.x, box.y, box.right, box.bottom) for box in boxes_level0], float).reshape(-1, 4)
    canvas.boxes(corners, (60, 90, 220, 26), (60, 90, 220, 150))
    _draw_tissue(canvas, tissue)
    picture = canvas.over(view.picture(slide))
    draw_bar(picture, view.frame.mpp_x, text_px(picture.width))
    tiles = Entry(f"{len(boxes_level0):,} tiles", (60, 90, 220))
    save(assemble([picture], [_tissue_entry(tissue), tiles])[0], path)


def _draw_tissue(canvas: Canvas, tissue: TissueMask) -> None:
    shapes = polygons_of_mask(tissue.tissue)
    shapes = shapely.set_coordinates(shapes, tissue.frame.to_level0(shapely.get_coordinates(shapes)))
    if tissue.region is not None:
        shapes = shapely.get_parts(shapely.intersection(shapely.make_valid(shapes), tissue.region))
        shapes = shapes[shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON]
    canvas.shapes(shapes, TISSUE_COLOUR, fill=0, width_px=1.5)


def _draw_objects(
    canvas: Canvas,
    batch: ObjectBatch,
    which: NDArray[np.bool_],
    classes: ClassTable,
    *,
    fill: int,
    width_px: float,
    halo: int = 0,
) -> None:
    """Draw objects in their order, so that the picture does not depend on how they are batched."""
    for index, run in groupby(np.flatnonzero(which).tolist(), batch.class_index.__getitem__):
        shapes = batch.geometry[list(run)]
        canvas.shapes(shapes, classes.rows[index].colour, fill=fill, width_px=width_px, halo=halo)


def _busiest_field(slide: Slide, view: View, density: Density) -> View | None:
    """Choose the field for the close-up; None if it would not show more detail."""
    size = slide.pixel_size
    height_px = view.box.height
    width_px = min(max(round(0.42 * view.box.width), 400), 900)
    mpp = max(_FIELD_UM / min(width_px, height_px), size.x_um, size.y_um)
    magnification = view.frame.mpp_x / mpp
    if magnification < 1.5 or width_px / magnification > view.box.width or height_px / magnification > view.box.height:
        return None
    middle = density.busiest(width_px / magnification, height_px / magnification)
    return None if middle is None else View.around(slide, middle, width_px, height_px, mpp)


def _close_up(slide: Slide, field: View, source: ObjectSource, size_px: int) -> Image.Image:
    canvas = Canvas(field)
    # Lines and their seams reach into the picture from outside.
    around = replace(field, box=field.box.expanded(_SEAM_PX))
    for batch in source.batches_in(around.box_level0):
        shown = field.shows(batch.geometry)
        _draw_objects(canvas, batch, shown, source.classes, fill=28, width_px=2.0, halo=170)
    picture = canvas.over(field.picture(slide))
    draw_bar(picture, field.frame.mpp_x, size_px)
    return picture


def _connect(page: Image.Image, view: View, field: View, corners: list[tuple[int, int]]) -> None:
    """Frame the field on the picture of the slide, and connect the frame with the close-up."""
    frame = view.box_of(field, corners[0])
    draw = ImageDraw.Draw(page, "RGBA")
    x, y = corners[1]
    for start, end in (((frame.right, frame.y), (x, y)), ((frame.right, frame.bottom), (x, y + field.box.height))):
        draw.line((start, end), (*_INSET_COLOUR, 110), 2)
    inset_frame(page, frame, _INSET_COLOUR)


def _tissue_entry(tissue: TissueMask) -> Entry:
    return Entry(f"tissue {tissue.area_mm2:.3g} mm²", TISSUE_COLOUR, filled=False)


def _entries(tissue: TissueMask, density: Density, classes: ClassTable) -> list[Entry]:
    counts = density.count.sum(axis=(1, 2), dtype=np.int64).tolist()
    entries = [_tissue_entry(tissue)]
    for prompt, count in zip(classes.prompts, counts, strict=True):
        density_text = f" ({count / tissue.area_mm2:,.0f}/mm²)" if tissue.area_mm2 else ""
        entries.append(Entry(f"{prompt.class_name} {count:,}{density_text}", prompt.colour))
    return entries
