"""Features as QuPath needs them: exact coordinates in its frame, a class with a colour, a UUID.

The geometry is made fit by :func:`wsi_parse.qupath.geometry.fit_for_qupath`; here nothing is repaired. One bad feature
makes QuPath refuse a whole file, so an object that breaks a rule is an error that names the object.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wsi_parse.errors import UsageError
from wsi_parse.prompts import Kind, Rgb
from wsi_parse.qupath.breaches import shape_breaches
from wsi_parse.qupath.rules import ID_NOT_UUID, UUID, QuPathRule
from wsi_parse.qupath.snapping import GRID_PX

#: Steps of the 0.25 px grid per pixel; see ROUNDING_STEPS_PER_PIXEL for the 0.01 px to which QuPath itself rounds.
GRID_STEPS_PER_PIXEL = round(1 / GRID_PX)
# QuPath sorts thousands of annotations into its hierarchy in minutes, but detections in seconds.
OBJECT_TYPE: dict[Kind, str] = {"cell": "detection", "region": "annotation"}
# QuPath stores float32, in which whole numbers of grid steps below this are exact.
_EXACT = 1 << 24


def classification(class_name: str, colour: Rgb) -> dict[str, object]:
    """Return a class in QuPath's form: its name, and its colour as three integers 0..255."""
    return {"name": class_name, "color": [int(value) for value in colour]}


def grid_steps(points_level0: NDArray[np.float64], offset_level0: tuple[int, int]) -> NDArray[np.int32]:
    """Convert points to the frame of the output, counted in steps of the 0.25 px grid.

    Parameters
    ----------
    points_level0 : float array (N, 2)
        (x, y) in level-0 pixels, on the grid.
    offset_level0 : (int, int)
        (x, y) of the output frame's origin in level-0 pixels; it is subtracted.

    Returns
    -------
    int32 array (N, 2)
        (x, y) in quarter pixels.

    Raises
    ------
    UsageError
        A point is not on the grid, where it must not be moved any more, or lies too far out for QuPath's float32.
    """
    steps = points_level0 * GRID_STEPS_PER_PIXEL
    whole = np.rint(steps)
    if not np.array_equal(steps, whole):
        off = points_level0[(steps != whole).any(axis=1)][0]
        raise UsageError(
            f"The point {off.tolist()} of an outline is not on the grid of {GRID_PX} px.",
            "Apply fit_for_qupath as the last step.",
        )
    whole -= np.multiply(offset_level0, GRID_STEPS_PER_PIXEL)
    if np.abs(whole).max(initial=0) >= _EXACT:
        raise UsageError(
            f"An outline lies beyond {_EXACT // GRID_STEPS_PER_PIXEL:,} px, where QuPath loses quarter pixels.",
            "Check that the coordinates are pixels of the slide.",
        )
    return whole.astype(np.int32)


def require_valid(geometry: NDArray[np.object_], ids: NDArray[np.object_]) -> None:
    """Refuse objects that QuPath would refuse.

    Parameters
    ----------
    geometry : object array (N,)
        shapely Polygons and MultiPolygons.
    ids : object array (N,)
        Strings.

    Raises
    ------
    UsageError
        Names the first object that breaks a rule, and the rule.
    """
    for rule, bad in shape_breaches(geometry):
        _refuse(ids, bad, rule)
    uuids = pc.match_substring_regex(pa.array(ids, pa.string()), f"^{UUID.pattern}$")
    _refuse(ids, ~uuids.fill_null(False).to_numpy(zero_copy_only=False), ID_NOT_UUID)


def _refuse(ids: NDArray[np.object_], bad: NDArray[np.bool_], rule: QuPathRule) -> None:
    if bad.any():
        raise UsageError(f"Object {ids[int(np.argmax(bad))]} {rule.wrong}.", rule.remedy)
