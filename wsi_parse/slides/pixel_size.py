"""Microns per pixel and the source of the number; an implausible number counts as missing."""

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any

from wsi_parse.errors import PixelSizeError
from wsi_parse.slides.base import PixelSize, SlideInfo
from wsi_parse.slides.slide import SlideOptions

# No scanner works outside of this range: 72, 96, 150, 300, 600 and 1200 dpi and a unit of 1 mm give 21 to 1000 um.
PLAUSIBLE_UM = (0.02, 20.0)
DISAGREES = 0.02
_UNIT_UM = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "pm": 1e-6, "in": 25400.0}

# TIFF ResolutionUnit.
_RESOLUTION_UNIT_UM = {2: 25_400.0, 3: 10_000.0}


def pixel_size_of(x_um: float | None, y_um: float | None, source: str) -> PixelSize | None:
    """Return a pixel size if both numbers are plausible, else None.

    >>> pixel_size_of(352.8, 352.8, "TIFF resolution") is None
    True
    """
    if x_um is None or y_um is None:
        return None
    low, high = PLAUSIBLE_UM
    return PixelSize(x_um, y_um, source) if low <= x_um <= high and low <= y_um <= high else None


def from_openslide(properties: Mapping[str, str]) -> PixelSize | None:
    """Read the pixel size that OpenSlide reports, from the vendor's metadata or a plain TIFF's resolution tags."""
    vendor = properties.get("openslide.vendor", "")
    source = "TIFF resolution" if vendor == "generic-tiff" else f"{vendor} metadata"
    return pixel_size_of(_number(properties.get("openslide.mpp-x")), _number(properties.get("openslide.mpp-y")), source)


def from_tiff_tags(page: Any) -> PixelSize | None:  # noqa: ANN401 - a page of tifffile
    """Read the pixel size from the resolution tags of a TIFF."""
    unit = _RESOLUTION_UNIT_UM.get(int(page.resolutionunit))
    across, down = page.resolution
    return pixel_size_of(unit / across, unit / down, "TIFF resolution") if unit and across and down else None


def from_ome_xml(xml: str) -> PixelSize | None:
    """Read PhysicalSizeX and PhysicalSizeY of the first image, in their units (microns if no unit is given)."""
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


def resolve_pixel_size(info: SlideInfo, options: SlideOptions) -> SlideInfo:
    """Choose between the pixel size of the file and the user's.

    Raises
    ------
    PixelSizeError
        The user's number is not valid, or differs from the file's by more than 2 % without `override_mpp`.
    """
    from_file, mpp = info.pixel_size, options.mpp
    if mpp is None:
        if options.override_mpp:
            raise PixelSizeError(
                f"{info.name}: --override-mpp was given without --mpp.", "Add the pixel size, for example --mpp 0.25."
            )
        return info
    if not (math.isfinite(mpp) and mpp > 0):
        raise PixelSizeError(
            f"{info.name}: {mpp:g} µm per pixel is not a valid pixel size.",
            "Give a positive number; usual values are --mpp 0.25 and --mpp 0.5.",
        )
    if from_file is None:
        return info.with_pixel_size(PixelSize(mpp, mpp, "user"))
    if options.override_mpp:
        return info.with_pixel_size(PixelSize(mpp, mpp, f"user, overriding {from_file.source}"))
    if max(abs(mpp / size - 1) for size in (from_file.x_um, from_file.y_um)) > DISAGREES:
        raise PixelSizeError(
            f"{info.name}: --mpp gives {mpp:g} µm per pixel, but the file gives {from_file.x_um:g} x "
            f"{from_file.y_um:g} µm ({from_file.source}).",
            "Omit --mpp to use the file's value, or add --override-mpp to use yours.",
        )
    return info


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
