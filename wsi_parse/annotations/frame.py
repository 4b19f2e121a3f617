"""The origin of a GeoJSON file's coordinates, if the file states it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_parse.annotations.polygons import MAX_COORDINATE_PX

#: The member ``wsi_parse`` of a file; empty if the file has none.
Provenance = Mapping[str, Any]


def stated_offset(provenance: Provenance) -> NDArray[np.float64] | None:
    """Return the offset (x, y) that was subtracted from level-0 pixels; None if the file does not state it.

    >>> stated_offset({"frame": "qupath", "offset_level0_px": [100, 50]})
    array([100.,  50.])
    >>> stated_offset({"frame": "level0"})
    array([0., 0.])
    >>> stated_offset({}) is None
    True
    """
    offset = pair_px(provenance.get("offset_level0_px"))
    return np.zeros(2) if offset is None and provenance.get("frame") == "level0" else offset


def pair_px(found: Any) -> NDArray[np.float64] | None:  # noqa: ANN401 - parsed JSON
    """Return a list of two numbers of pixels as an array (2,); None for any other value."""
    if not (isinstance(found, list) and len(found) == 2):
        return None
    numbers = [float(value) for value in found if type(value) in {int, float} and abs(value) < MAX_COORDINATE_PX]
    return np.array(numbers) if len(numbers) == 2 else None
