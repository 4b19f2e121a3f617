"""OME-XML: what it says of each image, in a TIFF or in the companion file beside it."""

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tifffile

from wsi_parse.cautions import Caution, damaged_description
from wsi_parse.errors import SlideOpenError
from wsi_parse.gates import check_input, exists
from wsi_parse.slides.units import unit_um

_MAX_COMPANION_BYTES = 256_000_000
_COPY_AGAIN = "Copy the slide again from its source, or export it again."


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
    beside = _companion_of(path, root)
    if beside is None or not exists(beside):
        return own
    check_input(beside, "OME metadata", error=SlideOpenError, max_bytes=_MAX_COMPANION_BYTES)
    return beside.read_text(encoding="utf-8", errors="replace")


def ome_cautions(path: Path, tiff: tifffile.TiffFile, size_px: tuple[int, int]) -> tuple[Caution, ...]:
    """Say what is wrong with the OME-XML of a TIFF: the pixel size and the other images are not known then.

    Parameters
    ----------
    path : Path
    tiff : TiffFile
    size_px : (int, int)
        Width and height of the image that is read.
    """
    own = tiff.ome_metadata or str(tiff.pages.first.description)
    if "<OME" not in own:
        return ()
    root = _parsed(own)
    if root is None:
        return (damaged_description("The OME-XML in the file is damaged.", _COPY_AGAIN),)
    beside = _companion_of(path, root)
    if beside is not None and not exists(beside):
        what = f"Its OME metadata are in another file, {beside.name}, which is missing."
        return (damaged_description(what, "Put that file into the folder of the slide."),)
    xml = ome_xml_of(path, tiff)
    sizes = [image.size_px for image in ome_images(xml or own)]
    if size_px in sizes:
        return ()
    where = "The OME-XML in the file" if beside is None else f"The OME-XML in {beside.name}"
    if not sizes:
        return (damaged_description(f"{where} is damaged, or describes no image.", _COPY_AGAIN),)
    described = " and ".join(f"{width} x {height}" for width, height in sizes[:3])
    what = f"{where} describes {described} pixels, but the image has {size_px[0]} x {size_px[1]}."
    return (damaged_description(what, _COPY_AGAIN),)


def _companion_of(path: Path, root: ElementTree.Element) -> Path | None:
    """Return the file with the metadata to which OME-XML refers; None if it refers to none."""
    companion = next((element.get("MetadataFile") for element in _elements(root, "BinaryOnly")), None)
    # Only beside the slide: a file may name any path.
    name = Path((companion or "").replace("\\", "/")).name
    return path.with_name(name) if name else None


def _parsed(xml: str) -> ElementTree.Element | None:
    if "<!DOCTYPE" in xml:
        # OME-XML has none; its entities can be made to fill the memory.
        return None
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
