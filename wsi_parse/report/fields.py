"""Fields: squares of 128 µm of the slide at full resolution, with the outlines of the objects in them."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.geometry import Box
from wsi_parse.objects.batch import ObjectSource
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.pictures.view import View
from wsi_parse.report.choose import at_random, densest, least_certain
from wsi_parse.report.lattice import FIELD_UM, PROBABILITY_STEPS, FieldLattice
from wsi_parse.slides.slide import Slide

#: Title of the fields in which the objects are least certain.
LEAST_CERTAIN = "Least certain"
_CROP_PX = 400
_QUALITY = 82
# Outlines are cut this far outside of the crop, so that the cut is not seen.
_MARGIN_PX = 12
_TOLERANCE_PX = 0.3
#: Points of a path; of a field whose outlines are finer than can be seen, the others are left out.
MAX_POINTS = 60_000


@dataclass(frozen=True)
class Field:
    """A field, ready for the page.

    Parameters
    ----------
    name : str
        Its anchor on the page: "densest-1".
    title : str
        "Densest 1".
    box_level0 : Box
    why : str
        The number by which it was chosen.
    side_px : int
        Side of the crop.
    jpeg : str
        The crop, base64.
    paths : dict of int to str
        Row of the class table -> the outlines as the data of an SVG path, in pixels of the crop.
    outside : str
        The part of the crop outside of the region of interest, as such a path; empty without one.
    """

    name: str
    title: str
    box_level0: Box
    why: str
    side_px: int
    jpeg: str
    paths: dict[int, str]
    outside: str

    def box_in(self, view: View) -> tuple[float, float, float, float]:
        """Return x, y, width and height of the field in pixels of a view."""
        box = self.box_level0
        return rectangle_in(view, np.array([(box.x, box.y), (box.right, box.bottom)], float))


@dataclass(frozen=True)
class FieldGroup:
    """Fields that were chosen for one reason."""

    title: str
    what: str
    fields: tuple[Field, ...]


def field_groups(
    slide: Slide,
    lattice: FieldLattice,
    source: ObjectSource,
    seed: int,
    *,
    region_level0: Any = None,  # noqa: ANN401 - shapely
    quality: float = 1.0,
) -> tuple[FieldGroup, ...]:
    """Choose the fields, read their pixels, and draw the outlines in them.

    Parameters
    ----------
    slide : Slide
    lattice : FieldLattice
        After all objects were counted.
    source : ObjectSource
        Only the objects in the fields are read.
    seed : int
        Of the random fields.
    region_level0 : shapely geometry, optional
        The region of interest: outside of it, nothing was looked for.
    quality : float
        Below 1: smaller pictures.
    """
    return tuple(
        FieldGroup(
            one.title,
            one.what,
            tuple(
                _field(slide, lattice, source, (one.title, number), corner, one.why(*corner), region_level0, quality)
                for number, corner in enumerate(one.corners, 1)
            ),
        )
        for one in choose_fields(lattice, source.classes, seed)
    )


@dataclass(frozen=True)
class ChosenFields:
    """Which fields are worth a look for one reason.

    Parameters
    ----------
    title, what : str
        The reason, in short and as a sentence.
    corners : list of (int, int)
        Row and column of each field, in steps of the lattice.
    why : callable
        Returns the number by which a field was chosen, in words.
    """

    title: str
    what: str
    corners: list[tuple[int, int]]
    why: Callable[[int, int], str]


def choose_fields(lattice: FieldLattice, classes: ClassTable, seed: int) -> tuple[ChosenFields, ...]:
    """Choose the densest fields, the least certain ones, and some at random.

    Parameters
    ----------
    lattice : FieldLattice
        After all objects were counted.
    classes : ClassTable
    seed : int
        Of the random fields.
    """
    objects = _objects(lattice, classes)
    counts = lattice.sums(objects)
    name, certainty = lattice.certainty
    count, total = lattice.sums(certainty.count), lattice.sums(certainty.total)
    step_um2 = (lattice.field_steps * lattice.step_um) ** 2

    def many(row: int, column: int) -> str:
        number = int(counts[row, column])
        return f"{number:,} object{'' if number == 1 else 's'}, {number / step_um2 * 1e6:,.0f} per mm²"

    def sure(row: int, column: int) -> str:
        mean = total[row, column] / count[row, column] / PROBABILITY_STEPS
        return f"mean probability {mean:.2f} of {int(count[row, column]):,} objects"

    of_class = "class" if name == "class_probability" else "pixels"
    return (
        ChosenFields("Densest", "The fields with the most objects.", densest(lattice, objects), many),
        ChosenFields(
            LEAST_CERTAIN,
            f"The fields in which the mean probability of the {of_class} of the objects is lowest, among those with "
            "at least five objects, if there are any.",
            least_certain(lattice),
            sure,
        ),
        ChosenFields(
            "Random",
            "Fields on tissue, chosen without regard to what was found: they show what a usual place looks like.",
            at_random(lattice, seed),
            many,
        ),
    )


def _objects(lattice: FieldLattice, classes: ClassTable) -> NDArray[np.int64]:
    """Count cells in each step; regions only where no prompt is of cells."""
    cells = [number for number, prompt in enumerate(classes.prompts) if prompt.kind == "cell"]
    return lattice.counts[cells or slice(None)].sum(axis=0, dtype=np.int64)


def _field(
    slide: Slide,
    lattice: FieldLattice,
    source: ObjectSource,
    title: tuple[str, int],
    corner: tuple[int, int],
    why: str,
    region_level0: Any,  # noqa: ANN401 - shapely
    quality: float,
) -> Field:
    size = slide.pixel_size
    mpp = max(FIELD_UM / (_CROP_PX * quality), size.x_um, size.y_um)
    side_px = round(FIELD_UM / mpp)
    row, column = corner
    middle = lattice.level0(np.array([column, row], float) + lattice.field_steps / 2)
    view = View.around(slide, middle, side_px, side_px, mpp)
    buffer = BytesIO()
    view.picture(slide).save(buffer, "JPEG", quality=round(_QUALITY * quality**0.25), subsampling=0)
    return Field(
        f"{title[0].lower().replace(' ', '-')}-{title[1]}",
        f"{title[0]} {title[1]}",
        view.box_level0,
        why,
        side_px,
        b64encode(buffer.getvalue()).decode(),
        _outlines(view, source),
        outside_path(view, region_level0),
    )


def _outlines(view: View, source: ObjectSource) -> dict[int, str]:
    """Return the outlines in a view for each row of the class table; bounded, whatever is there."""
    found: dict[int, list[NDArray[np.object_]]] = {}
    edge = -_MARGIN_PX, -_MARGIN_PX, view.box.width + _MARGIN_PX, view.box.height + _MARGIN_PX
    for batch in source.batches_in(view.box_level0):
        shown = batch.take(view.shows(batch.geometry))
        shapes = shapely.set_coordinates(shown.geometry.copy(), view.pixels(shapely.get_coordinates(shown.geometry)))
        shapes = shapely.clip_by_rect(shapely.simplify(shapes, _TOLERANCE_PX), *edge)
        for index in np.unique(shown.class_index).tolist():
            found.setdefault(index, []).append(shapes[shown.class_index == index])
    return {index: text for index, parts in sorted(found.items()) if (text := svg_path(np.concatenate(parts)))}


def outside_path(view: View, region_level0: Any) -> str:  # noqa: ANN401 - shapely
    """Return what of a view lies outside of a region, as the data of an SVG path; empty without a region."""
    if region_level0 is None:
        return ""
    box = view.box_level0
    rest = shapely.get_parts(shapely.difference(shapely.box(box.x, box.y, box.right, box.bottom), region_level0))
    rest = rest[shapely.get_type_id(rest) == shapely.GeometryType.POLYGON]
    return svg_path(shapely.set_coordinates(rest, view.pixels(shapely.get_coordinates(rest))))


def rectangle_in(view: View, corners_level0: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return x, y, width and height in pixels of a view, of two corners (2, 2) in level-0 pixels."""
    (left, top), (right, bottom) = view.pixels(corners_level0).tolist()
    return round(left, 1), round(top, 1), round(right - left, 1), round(bottom - top, 1)


def svg_path(shapes: Sequence[object] | NDArray[np.object_]) -> str:
    """Return the rings of polygons as the data of an SVG path, to a tenth of a pixel.

    >>> svg_path([shapely.box(0, 0, 2, 1)])
    'M2 0L2 1L0 1L0 0Z'
    """
    rings = shapely.get_rings(shapely.get_parts(np.asarray(shapes, object)))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    points, ring = points[:MAX_POINTS], ring[:MAX_POINTS]
    # The last point of a ring is its first.
    last = np.append(ring[1:] != ring[:-1], True) if len(ring) else np.zeros(0, bool)
    first = np.insert(last[:-1], 0, True) if len(ring) else last
    text = [
        "Z" if is_last else f"{'M' if is_first else 'L'}{x:g} {y:g}"
        for (x, y), is_first, is_last in zip((np.round(points, 1) + 0.0).tolist(), first, last, strict=True)
    ]
    return "".join(text)
