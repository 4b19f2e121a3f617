"""What QuPath demands of a whole feature: exact coordinates in its frame, a class with a colour, a UUID.

The geometry itself is made fit by :func:`wsi_parse.qupath.geometry.fit_for_qupath`; here nothing is repaired. One bad
feature makes QuPath refuse a whole file, so an object that breaks a rule is an error that names it.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wsi_parse.errors import UsageError
from wsi_parse.prompts import Kind, Prompt
from wsi_parse.qupath.breaches import of_shapes
from wsi_parse.qupath.geometry import GRID_PX
from wsi_parse.qupath.rules import ID_NOT_UUID, UUID, QuPathRule

GRID_STEPS_PER_PIXEL = round(1 / GRID_PX)
# QuPath resolves the hierarchy of thousands of annotations in minutes, of detections in seconds.
OBJECT_TYPE: dict[Kind, str] = {"cell": "detection", "region": "annotation"}
# QuPath keeps float32: whole numbers of grid steps below this are exact.
_EXACT = 1 << 24


def classification(prompt: Prompt) -> dict[str, object]:
    """Return the class of a prompt as QuPath takes it: the colour as three integers beside the name."""
    return {"name": prompt.class_name, "color": [int(value) for value in prompt.colour]}


def grid_steps(points_level0: NDArray[np.float64], offset_level0: tuple[int, int]) -> NDArray[np.int32]:
    """Bring points into the frame of the output, counted in steps of QuPath's grid.

    Parameters
    ----------
    points_level0 : float array (N, 2)
        (x, y) in level-0 pixels, on the grid.
    offset_level0 : (int, int)
        Subtracted.

    Returns
    -------
    int32 array (N, 2)
        (x, y) in quarter pixels.

    Raises
    ------
    UsageError
        Where a point is off the grid (nothing may move it now), or too far out for QuPath's float32.
    """
    steps = points_level0 * GRID_STEPS_PER_PIXEL
    whole = np.rint(steps)
    if not np.array_equal(steps, whole):
        off = points_level0[(steps != whole).any(axis=1)][0]
        raise UsageError(
            f"The outline point {off.tolist()} is not on the grid of {GRID_PX} px.",
            "Use fit_for_qupath as the last step.",
        )
    whole -= np.multiply(offset_level0, GRID_STEPS_PER_PIXEL)
    if np.abs(whole).max(initial=0) >= _EXACT:
        raise UsageError(
            f"Outlines reach beyond {_EXACT // GRID_STEPS_PER_PIXEL:,} px, where QuPath loses quarter pixels."
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
        Names the first such object and the rule.
    """
    for rule, bad in of_shapes(geometry):
        _refuse(ids, bad, rule)
    uuids = pc.match_substring_regex(pa.array(ids, pa.string()), f"^{UUID.pattern}$")
    _refuse(ids, ~uuids.fill_null(False).to_numpy(zero_copy_only=False), ID_NOT_UUID)


def _refuse(ids: NDArray[np.object_], bad: NDArray[np.bool_], rule: QuPathRule) -> None:
    if bad.any():
        raise UsageError(f"Object {ids[int(np.argmax(bad))]} {rule.wrong}.", rule.remedy)
