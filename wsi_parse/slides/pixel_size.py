"""Microns per pixel, with where the number comes from; what is absurd counts as missing."""

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any

from wsi_parse.errors import PixelSizeError
from wsi_parse.slides.base import PixelSize, SlideInfo
from wsi_parse.slides.slide import SlideOptions

# Outside of this no scanner works: 72, 96, 150, 300, 600 and 1200 dpi and a unit of 1 mm give 21 to 1000 um.
PLAUSIBLE_UM = (0.02, 20.0)
DISAGREES = 0.02
_UNIT_UM = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "pm": 1e-6, "in": 25400.0}

# TIFF ResolutionUnit.
_RESOLUTION_UNIT_UM = {2: 25_400.0, 3: 10_000.0}


def pixel_size_of(x_um: float | None, y_um: float | None, source: str) -> PixelSize | None:
    """Return a pixel size where both numbers are plausible; else None.

    >>> pixel_size_of(352.8, 352.8, "TIFF resolution") is None
    True
    """
    if x_um is None or y_um is None:
        return None
    low, high = PLAUSIBLE_UM
    return PixelSize(x_um, y_um, source) if low <= x_um <= high and low <= y_um <= high else None


def from_openslide(properties: Mapping[str, str]) -> PixelSize | None:
    """Read what OpenSlide knows: the vendor's metadata, or the resolution tags of a plain TIFF."""
    vendor = properties.get("openslide.vendor", "")
    source = "TIFF resolution" if vendor == "generic-tiff" else f"{vendor} metadata"
    return pixel_size_of(_number(properties.get("openslide.mpp-x")), _number(properties.get("openslide.mpp-y")), source)


def from_tiff_tags(page: Any) -> PixelSize | None:  # noqa: ANN401 - a page of tifffile
    """Read the resolution tags of a TIFF."""
    unit = _RESOLUTION_UNIT_UM.get(int(page.resolutionunit))
    across, down = page.resolution
    return pixel_size_of(unit / across, unit / down, "TIFF resolution") if unit and across and down else None


def from_ome_xml(xml: str) -> PixelSize | None:
    """Read PhysicalSizeX and PhysicalSizeY of the first image, in their units (microns where none is given)."""
    try:
        root = ElementTree.fromstring(re.sub(r"<\?xml[^>]*\?>", "", xml))
    except ElementTree.ParseError:
        return None
    for element in root.iter():
        if element.tag.rpartition("}")[2] == "Pixels":
            sizes = []
            for axis in "XY":
                value = _number(element.get(f"PhysicalSize{axis}"))
                unit = _UNIT_UM.get(element.get(f"PhysicalSize{axis}Unit", "µm"))
                sizes.append(value * unit if value is not None and unit is not None else None)
            return pixel_size_of(sizes[0], sizes[1], "OME-XML")
    return None


def settle(info: SlideInfo, options: SlideOptions) -> SlideInfo:
    """Bring what the file says and what the user says together.

    Raises
    ------
    PixelSizeError
        Where they disagree by more than 2 % and the user does not insist.
    """
    found, said = info.pixel_size, options.mpp
    if said is None:
        if options.override_mpp:
            raise PixelSizeError(f"{info.name}: --override-mpp without a number.", "Add it: --mpp 0.25.")
        return info
    if not (math.isfinite(said) and said > 0):
        raise PixelSizeError(f"{info.name}: {said:g} um per pixel cannot be.", "Usual are --mpp 0.25 and --mpp 0.5.")
    if found is None:
        return info.with_pixel_size(PixelSize(said, said, "user"))
    if options.override_mpp:
        return info.with_pixel_size(PixelSize(said, said, f"user, overriding {found.source}"))
    if max(abs(said / size - 1) for size in (found.x_um, found.y_um)) > DISAGREES:
        raise PixelSizeError(
            f"{info.name}: --mpp says {said:g} um per pixel, the file says {found.x_um:g} x {found.y_um:g} "
            f"({found.source}).",
            "Leave --mpp out to believe the file, or add --override-mpp to insist.",
        )
    return info


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
