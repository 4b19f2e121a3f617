"""What a GeoJSON file states of itself: the origin of its coordinates, and the slide that it was made from."""

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class SlideStated:
    """The slide that a file says it was made from.

    Parameters
    ----------
    name : str
    fingerprint : str
        Empty if the file does not state it.
    size_px : (int, int) or None
        Width and height at level 0.
    """

    name: str
    fingerprint: str = ""
    size_px: tuple[int, int] | None = None

    def is_other(self, names: set[str], fingerprint: str, size_px: tuple[int, int]) -> bool:
        """Return whether a slide with these names is another one; a copy with the same name and size is none.

        >>> slide = SlideStated("a.svs", "f00", (10, 20))
        >>> slide.is_other({"b.svs"}, "f00", (10, 20)), slide.is_other({"a.svs"}, "f11", (10, 20))
        (False, False)
        >>> slide.is_other({"b.svs"}, "f11", (10, 20)), slide.is_other({"a.svs"}, "f11", (10, 30))
        (True, True)
        """
        if self.fingerprint and self.fingerprint == fingerprint:
            return False
        return self.name not in names or self.size_px not in (None, size_px)


def slide_stated(provenance: Provenance) -> SlideStated | None:
    """Return the slide that a file states; None if it states none."""
    found = provenance.get("slide")
    if not isinstance(found, Mapping) or not isinstance(name := found.get("name"), str):
        return None
    fingerprint, width, height = (found.get(key) for key in ("fingerprint", "width_px", "height_px"))
    return SlideStated(
        name,
        fingerprint if isinstance(fingerprint, str) else "",
        (width, height) if type(width) is int and type(height) is int else None,
    )
