"""Where files keep their pixel size: vendor metadata, OME-XML, resolution tags, ImageJ, the header of a picture."""

import math
import re
from collections.abc import Mapping
from typing import Any

from wsi_parse.slides.base import PixelSize
from wsi_parse.slides.ome import OmeImage
from wsi_parse.slides.units import unit_um

_IMAGEJ_UNIT = re.compile(r"^unit=(.*?)\s*$", re.MULTILINE)
_ESCAPED_LETTER = re.compile(r"\\u([0-9A-Fa-f]{4})")
# TIFF ResolutionUnit.
_RESOLUTION_UNIT_UM = {2: 25_400.0, 3: 10_000.0}
_INCH_UM = 25_400.0
#: A source with this ending may be no statement about a slide: programs write a resolution for printing there.
PRINTING = " resolution"


def pixel_size_of(x_um: float | None, y_um: float | None, source: str) -> PixelSize | None:
    """Return a pixel size if both numbers are positive and finite, else None; whether a slide can have it is not asked.

    >>> pixel_size_of(0.25, None, "OME-XML") is None, pixel_size_of(0.0, 0.25, "OME-XML") is None
    (True, True)
    """
    if x_um is None or y_um is None or not (0 < x_um < math.inf and 0 < y_um < math.inf):
        return None
    return PixelSize(x_um, y_um, source)


def from_openslide(properties: Mapping[str, str]) -> PixelSize | None:
    """Read the pixel size that OpenSlide reports, from the vendor's metadata or a plain TIFF's resolution tags."""
    vendor = properties.get("openslide.vendor", "")
    source = f"TIFF{PRINTING}" if vendor == "generic-tiff" else f"{vendor} metadata"
    return pixel_size_of(number_of(properties, "openslide.mpp-x"), number_of(properties, "openslide.mpp-y"), source)


def number_of(properties: Mapping[str, str], name: str) -> float | None:
    """Return a property as a number; None if it is missing or no number."""
    try:
        return float(properties[name])
    except (KeyError, ValueError):
        return None


def from_tiff_page(page: Any) -> PixelSize | None:  # noqa: ANN401 - a page of tifffile
    """Read the pixel size of a page of a TIFF: what ImageJ says of it, else its resolution tags."""
    across, down = page.resolution
    if not (across > 0 and down > 0):
        return None
    named = _imagej_unit(str(page.description))
    if named is not None:
        unit = unit_um(named)
        return pixel_size_of(unit / across, unit / down, "ImageJ") if unit else None
    unit = _RESOLUTION_UNIT_UM.get(int(page.resolutionunit))
    return pixel_size_of(unit / across, unit / down, f"TIFF{PRINTING}") if unit else None


def from_picture(kind: str, dpi: object) -> PixelSize | None:
    """Read the pixel size from the pixels per inch that the header of a picture gives; `kind` is "PNG" or "JPEG"."""
    if not isinstance(dpi, tuple) or len(dpi) != 2:
        return None
    across, down = (float(one) for one in dpi)
    if not (across > 0 and down > 0):
        return None
    return pixel_size_of(_INCH_UM / across, _INCH_UM / down, f"{kind}{PRINTING}")


def from_ome(image: OmeImage | None) -> PixelSize | None:
    """Read the pixel size in OME-XML: PhysicalSizeX and PhysicalSizeY in their units (microns if no unit is given)."""
    return None if image is None else pixel_size_of(*image.pixel_size_um, "OME-XML")


def _imagej_unit(description: str) -> str | None:
    """Return the unit in what ImageJ writes of an image; None if ImageJ did not write it, or names no unit."""
    if not description.startswith("ImageJ="):
        return None
    found = _IMAGEJ_UNIT.search(description)
    return _ESCAPED_LETTER.sub(lambda escape: chr(int(escape[1], 16)), found[1]) if found else None
