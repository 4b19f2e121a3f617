"""OME-XML: what it says of each image, in a TIFF or in the companion file beside it."""

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tifffile

from wsi_parse.errors import SlideOpenError
from wsi_parse.gates import check_input, exists
from wsi_parse.slides.units import unit_um

_MAX_COMPANION_BYTES = 256_000_000


@dataclass(frozen=True, slots=True)
class OmeImage:
    """What OME-XML says of one image.

    Parameters
    ----------
    name : str
        Empty if it has none.
    size_px : (int, int)
        Width and height; 0 if it does not say.
    planes : int
        Focus planes x time points.
    pixel_size_um : (float or None, float or None)
        In x and y; None if it does not say.
    files : tuple of str
        Names of the files that hold its pixels, where it names them.
    """

    name: str
    size_px: tuple[int, int]
    planes: int
    pixel_size_um: tuple[float | None, float | None]
    files: tuple[str, ...]


def ome_images(xml: str) -> list[OmeImage]:
    """Read what OME-XML says of its images, in their order; none if it is damaged."""
    root = _parsed(xml)
    if root is None:
        return []
    return [
        _ome_image(image.get("Name", ""), pixels)
        for image in _elements(root, "Image")
        for pixels in _elements(image, "Pixels")
    ]


def ome_image_of(xml: str, size_px: tuple[int, int], name: str, file_name: str) -> OmeImage | None:
    """Find an image by its size, then by the file that holds it, then by its name.

    Returns
    -------
    OmeImage or None
        None if there is none of that size, or if those that cannot be told apart have different pixel sizes.
    """
    found = [image for image in ome_images(xml) if image.size_px == size_px]
    in_file = [image for image in found if file_name.lower() in map(str.lower, image.files)]
    found = in_file or found
    found = [image for image in found if image.name == name] or found
    return found[0] if len({image.pixel_size_um for image in found}) == 1 else None


def ome_xml_of(path: Path, tiff: tifffile.TiffFile) -> str | None:
    """Return the OME-XML of a TIFF: its own, or that of the companion file it refers to; None if it is no OME-TIFF.

    Raises
    ------
    SlideOpenError
        The companion file cannot be read.
    """
    own = tiff.ome_metadata
    root = _parsed(own) if own else None
    if root is None:
        return own
    companion = next((element.get("MetadataFile") for element in _elements(root, "BinaryOnly")), None)
    if not companion:
        return own
    # Only beside the slide: a file may name any path.
    beside = path.with_name(Path(companion.replace("\\", "/")).name)
    if not exists(beside):
        return own
    check_input(beside, "OME metadata", error=SlideOpenError, max_bytes=_MAX_COMPANION_BYTES)
    return beside.read_text(encoding="utf-8", errors="replace")


def _parsed(xml: str) -> ElementTree.Element | None:
    try:
        return ElementTree.fromstring(re.sub(r"<\?xml[^>]*\?>", "", xml))
    except (ElementTree.ParseError, ValueError):
        return None


def _ome_image(name: str, pixels: ElementTree.Element) -> OmeImage:
    width, height, depth, times = (_whole(pixels.get(f"Size{axis}")) for axis in "XYZT")
    files = tuple(uuid.get("FileName", "") for uuid in _elements(pixels, "UUID"))
    sizes = _physical_um(pixels, "X"), _physical_um(pixels, "Y")
    return OmeImage(name, (width, height), max(1, depth) * max(1, times), sizes, files)


def _physical_um(pixels: ElementTree.Element, axis: str) -> float | None:
    try:
        value = float(pixels.get(f"PhysicalSize{axis}", ""))
    except ValueError:
        return None
    unit = unit_um(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
    return None if unit is None else value * unit


def _elements(parent: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (element for element in parent.iter() if element.tag.rpartition("}")[2] == name)


def _whole(text: str | None) -> int:
    try:
        number = float(text or "")
    except ValueError:
        return 0
    return int(number) if math.isfinite(number) else 0
