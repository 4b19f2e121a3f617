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
from wsi_parse.pictures.density import Density
from wsi_parse.pictures.page_layout import (
    PAPER,
    Entry,
    assemble,
    desaturate,
    draw_bar,
    heading_of,
    inset_frame,
    save,
    text_px,
)
from wsi_parse.pictures.view import Canvas, View
from wsi_parse.prompts import Rgb
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask

TISSUE_COLOUR: Rgb = (70, 110, 120)
REGION_COLOUR: Rgb = (60, 65, 72)
_FIELD_UM = 250.0
_INSET_COLOUR: Rgb = (25, 28, 33)
_PREVIEW_PX = 2048
_SEAM_PX = 4
# What is pale reaches so far outside of the picture, in level-0 pixels, that its edge is not seen.
_OUTSIDE_PX = 64


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
    model : str
        Name of the model, for the heading.

    Notes
    -----
    Cells below 6 px are drawn as a tint, stronger where they are denser; larger ones are outlined, one over the other
    in the order of the stream. Objects whose class is unsure have the paler colour of their class. With a region of
    interest, the picture is of the region. Only pixels of the slide are read, because label and macro images may show
    names.
    """

    def __init__(
        self,
        path: Path,
        slide: Slide,
        tissue: TissueMask,
        source: ObjectSource,
        longer_side_px: int = 2048,
        *,
        model: str = "",
    ) -> None:
        self.path = path
        self._slide, self._tissue, self._source = slide, tissue, source
        self._heading = heading_of(slide.name, [prompt.text for prompt in source.classes.prompts], model)
        self._view = View.of_slide(slide, longer_side_px, tissue.region)
        self._density, self._canvas = Density(self._view, source.classes), Canvas(self._view)
        self._counts = np.zeros(len(source.classes.rows), np.int64)
        draw_tissue(self._canvas, self._view, tissue)

    def write(self, batch: ObjectBatch) -> None:
        """Draw a batch of objects."""
        self._counts += np.bincount(batch.class_index, minlength=len(self._counts))
        large = self._density.add(batch)
        _draw_objects(self._canvas, batch, large, self._source.classes, fill=60, width_px=1.5, halo=150)

    def finish(self) -> None:
        """Add the slide, the field and the legend, and write the picture."""
        slide, view, density = self._slide, self._view, self._density
        picture = self._canvas.over(density.tint(desaturate(view.picture(slide))))
        field = _busiest_field(slide, view, density)
        size_px = text_px(view.box.width + (field.box.width if field else 0), view.box.height)
        draw_bar(picture, view.frame.mpp_x, size_px)
        pictures = [picture]
        if field is not None:
            pictures.append(_close_up(slide, field, self._source, size_px))
        entries = [*_tissue_entries(self._tissue), *_object_entries(self._tissue, self._counts, self._source.classes)]
        page, corners = assemble(pictures, entries, self._heading)
        if field is not None:
            _connect(page, view, field, corners)
        save(page, self.path)


def draw_preview(slide: Slide, tissue: TissueMask, boxes_level0: Sequence[Box], path: Path) -> None:
    """Draw the tissue, and the tiles that would be predicted; with a region of interest, the picture is of it.

    Parameters
    ----------
    slide : Slide
    tissue : TissueMask
    boxes_level0 : sequence of Box
        The tiles, in level-0 pixels.
    path : Path
        A PNG, written atomically.
    """
    view = View.of_slide(slide, _PREVIEW_PX, tissue.region)
    canvas = Canvas(view)
    corners = np.array([(box.x, box.y, box.right, box.bottom) for box in boxes_level0], float).reshape(-1, 4)
    canvas.boxes(corners, (60, 90, 220, 26), (60, 90, 220, 150))
    draw_tissue(canvas, view, tissue)
    picture = canvas.over(view.picture(slide))
    draw_bar(picture, view.frame.mpp_x, text_px(*picture.size))
    tiles = Entry(f"{len(boxes_level0):,} tiles", (60, 90, 220))
    save(assemble([picture], [*_tissue_entries(tissue), tiles], heading_of(slide.name))[0], path)


def draw_tissue(canvas: Canvas, view: View, tissue: TissueMask) -> None:
    """Outline the tissue; with a region of interest, that too, and what lies outside of it becomes pale."""
    for rings in tissue.rings_level0():
        canvas.rings(rings, TISSUE_COLOUR, width_px=1.5)
    if tissue.region is not None:
        box = view.box_level0.expanded(_OUTSIDE_PX)
        outside = shapely.difference(shapely.box(box.x, box.y, box.right, box.bottom), tissue.region)
        canvas.shapes([outside], PAPER, fill=150, width_px=0)
        canvas.shapes(shapely.get_parts([tissue.region]), REGION_COLOUR, fill=0, width_px=2.0, halo=200)


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


def _tissue_entries(tissue: TissueMask) -> list[Entry]:
    area = Entry(f"tissue {tissue.area_mm2:.3g} mm²", TISSUE_COLOUR, filled=False)
    return [area] if tissue.region is None else [Entry("searched region", REGION_COLOUR, filled=False), area]


def _object_entries(tissue: TissueMask, counts: NDArray[np.int64], classes: ClassTable) -> list[Entry]:
    """Tell how many objects each prompt has, and if some are unsure, how many are sure and unsure."""
    entries = []
    for number, prompt in enumerate(classes.prompts):
        sure, unsure = counts[2 * number : 2 * number + 2].tolist()
        total = sure + unsure
        density_text = f" ({total / tissue.area_mm2:,.0f}/mm²)" if tissue.area_mm2 else ""
        text = f"{prompt.class_name} {total:,}{density_text}"
        entries.append(Entry(f"{text}: {sure:,} sure" if unsure else text, prompt.colour))
        if unsure:
            entries.append(Entry(f"{unsure:,} unsure ({prompt.class_name})", classes.rows[2 * number + 1].colour))
    return entries
