"""Write synthetic slides as Aperio SVS, generic TIFF, OME-TIFF and Leica SCN, streamed."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from wsi_parse.files import atomic
from wsi_parse.synthetic.pyramid import TILE, Compression, Pyramid
from wsi_parse.synthetic.slide import SyntheticSlide

DOWNSAMPLES = (1, 4, 16)
IDENTIFIERS = {
    "User": "planted-user",
    "Date": "03/14/15",
    "Time": "09:26:53",
    "ScanScope ID": "planted-scanner",
    "Barcode": "planted-barcode",
    "Filename": "planted-accession",
}
"""Identifiers as a scanner might leave them in a file; no output may repeat them. Tests search for "planted-"."""

_SCN_NAMESPACE = "http://www.leica-microsystems.com/scn/2010/10/01"
_NM_PER_UM = 1000
_UM_PER_CM = 10_000.0


class _TiffLevels:
    """Writes the levels of a pyramid into one TIFF, one page each."""

    def __init__(self, writer: tifffile.TiffWriter, pyramid: Pyramid, compression: Compression) -> None:
        self._writer, self._pyramid = writer, pyramid
        jpeg = {"compression": "jpeg", "photometric": "ycbcr", "subsampling": (2, 2)}
        deflate = {"compression": "adobe_deflate", "photometric": "rgb"}
        self._format: dict[str, Any] = jpeg if compression == "jpeg" else deflate

    def write(self, level: int, **options: Any) -> None:  # noqa: ANN401
        """Write one level; `options` go to `TiffWriter.write`."""
        width, height = self._pyramid.sizes[level]
        self._writer.write(
            self._pyramid.tiles(level),
            shape=(height, width, 3),
            dtype=np.uint8,
            tile=(TILE, TILE),
            software=False,
            **({"metadata": None} | self._format | options),
        )

    def resolution(self, level: int) -> dict[str, Any]:
        """Return the resolution tags of a level, in pixels per centimetre."""
        slide, size = self._pyramid.slide, self._pyramid.sizes[level]
        mpp = (slide.mpp_xy[0] * slide.width / size[0], slide.mpp_xy[1] * slide.height / size[1])
        return {"resolution": tuple(_UM_PER_CM / side for side in mpp), "resolutionunit": "CENTIMETER"}


def _needs_bigtiff(slide: SyntheticSlide) -> bool:
    # Tissue compresses to less than a byte per pixel, and the pyramid adds a fifteenth; the limit is 4 GiB.
    return slide.box.area > 2**32


def write_svs_like(
    path: Path,
    slide: SyntheticSlide,
    *,
    downsamples: Sequence[int] = DOWNSAMPLES,
    compression: Compression = "jpeg",
    quality: int = 85,
    identifiers: Mapping[str, str] | None = None,
) -> None:
    """Write an Aperio-style SVS: OpenSlide opens it as vendor aperio.

    Parameters
    ----------
    path : Path
        Appears whole or not at all.
    slide : SyntheticSlide
        Aperio knows one pixel size; x and y must agree.
    downsamples : sequence of int
        The first is 1. A level's size is rounded down, so its true downsample may not be a whole number.
    compression : "jpeg" or "deflate"
        Deflate keeps exact colours.
    quality : int
        Quality of JPEG, 0..100.
    identifiers : mapping, optional
        Keys and values for the ImageDescription, such as IDENTIFIERS; adds a label image that shows them.
    """
    if slide.mpp_xy[0] != slide.mpp_xy[1]:
        raise ValueError("the pixel size must be the same in x and y, because an Aperio file has one number for both")
    mpp = slide.mpp_xy[0]
    keys = {"AppMag": f"{10 / mpp:g}", "MPP": f"{mpp:g}", **(identifiers or {})}
    size = f"{slide.width}x{slide.height} [0,0 {slide.width}x{slide.height}] ({TILE}x{TILE}) JPEG/RGB Q={quality}"
    description = f"Aperio Synthetic v1\n{size}|" + "|".join(f"{key} = {value}" for key, value in keys.items())
    with (
        atomic(path) as temporary,
        Pyramid(slide, downsamples, compression, quality, path.parent) as pyramid,
        tifffile.TiffWriter(temporary, bigtiff=_needs_bigtiff(slide)) as writer,
    ):
        levels = _TiffLevels(writer, pyramid, compression)
        levels.write(0, description=description)
        if len(pyramid.sizes) > 1:
            # The thumbnail is Aperio's second page; readers that count pages, such as tifffile, expect it there.
            _write_picture(writer, pyramid.thumbnail(), "Aperio Synthetic v1\nthumbnail")
        for level in range(1, len(pyramid.sizes)):
            levels.write(level, description=description)
        if identifiers:
            _write_picture(writer, _label(identifiers), "Aperio Synthetic v1\nlabel 240x240", subfiletype=1)


def write_generic_tiff(
    path: Path,
    slide: SyntheticSlide,
    *,
    downsamples: Sequence[int] = DOWNSAMPLES,
    compression: Compression = "jpeg",
    quality: int = 85,
    resolution: bool = True,
) -> None:
    """Write a tiled pyramidal TIFF without a vendor; the pixel size is in the resolution tags.

    Parameters are those of `write_svs_like`; with `resolution=False` the file has no pixel size.
    """
    with (
        atomic(path) as temporary,
        Pyramid(slide, downsamples, compression, quality, path.parent) as pyramid,
        tifffile.TiffWriter(temporary, bigtiff=_needs_bigtiff(slide)) as writer,
    ):
        levels = _TiffLevels(writer, pyramid, compression)
        for level in range(len(pyramid.sizes)):
            options = levels.resolution(level) if resolution else {}
            levels.write(level, subfiletype=int(level > 0), **options)


def write_ome_tiff(
    path: Path,
    slide: SyntheticSlide,
    *,
    downsamples: Sequence[int] = DOWNSAMPLES,
    compression: Compression = "jpeg",
    quality: int = 85,
) -> None:
    """Write a pyramidal OME-TIFF: smaller levels in SubIFDs, the pixel size in the OME-XML.

    Parameters are those of `write_svs_like`; the name must end in .ome.tif or .ome.tiff.
    """
    pixel_size = {
        "PhysicalSizeX": slide.mpp_xy[0],
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": slide.mpp_xy[1],
        "PhysicalSizeYUnit": "µm",
    }
    with (
        atomic(path) as temporary,
        Pyramid(slide, downsamples, compression, quality, path.parent) as pyramid,
        tifffile.TiffWriter(temporary, bigtiff=True, ome=True) as writer,
    ):
        levels = _TiffLevels(writer, pyramid, compression)
        levels.write(0, subifds=len(pyramid.sizes) - 1, metadata={"axes": "YXS", **pixel_size})
        for level in range(1, len(pyramid.sizes)):
            levels.write(level, subfiletype=1)


def write_leica_scn(
    path: Path,
    slide: SyntheticSlide,
    *,
    offset: tuple[int, int] = (4000, 3008),
    downsamples: Sequence[int] = DOWNSAMPLES,
    compression: Compression = "jpeg",
    quality: int = 85,
    identifiers: Mapping[str, str] | None = None,
) -> None:
    """Write a minimal Leica SCN: one scanned region on a larger glass, so that OpenSlide reports bounds.

    The structure is that of OpenSlide's page on the format (formats/leica): sizes and offsets in nanometres.
    Truth of the slide is counted from the corner of the region, as QuPath does.

    Parameters
    ----------
    path, slide, downsamples, compression, quality
        As for `write_svs_like`.
    offset : (int, int)
        Where the region lies on the glass, in level-0 pixels (x, y).
    identifiers : mapping, optional
        As for `write_svs_like`; goes to the barcode, the creation date, the device and the macro image.

    Raises
    ------
    ValueError
        A side or an offset is not a multiple of the largest downsample: the format has one size in nanometres for
        all levels, so rounded levels would be misplaced.
    """
    if any(length % downsamples[-1] for length in (slide.width, slide.height, *offset)):
        raise ValueError(f"sides and offset of an SCN must be multiples of {downsamples[-1]}")
    with (
        atomic(path) as temporary,
        Pyramid(slide, downsamples, compression, quality, path.parent) as pyramid,
        tifffile.TiffWriter(temporary, bigtiff=True) as writer,
    ):
        levels = _TiffLevels(writer, pyramid, compression)
        for level in range(len(pyramid.sizes)):
            xml = _scn_xml(slide, offset, pyramid.sizes, identifiers or {}) if level == 0 else None
            levels.write(level, description=xml, subfiletype=int(level > 0), **levels.resolution(level))
        _write_picture(writer, _label(identifiers or {}), None, tile=(TILE, TILE))


def _scn_xml(
    slide: SyntheticSlide,
    offset: tuple[int, int],
    sizes: Sequence[tuple[int, int]],
    identifiers: Mapping[str, str],
) -> str:
    def nanometres(pixels: int, axis: int) -> int:
        return round(pixels * slide.mpp_xy[axis] * _NM_PER_UM)

    def image(offset: tuple[int, int], size: tuple[int, int], dimensions: str, objective: float) -> str:
        return (
            f'<image name="synthetic"><creationDate>{values.get("Date", "2000-01-01T00:00:00Z")}</creationDate>'
            f'<device model="{values.get("ScanScope ID", "synthetic")}" version="1"/>'
            f'<pixels sizeX="{size[0]}" sizeY="{size[1]}">{dimensions}</pixels>'
            f'<view offsetX="{nanometres(offset[0], 0)}" offsetY="{nanometres(offset[1], 1)}" '
            f'sizeX="{nanometres(size[0], 0)}" sizeY="{nanometres(size[1], 1)}"/><scanSettings>'
            f"<objectiveSettings><objective>{objective:g}</objective></objectiveSettings><illuminationSettings>"
            "<numericalAperture>0.75</numericalAperture><illuminationSource>brightfield</illuminationSource>"
            "</illuminationSettings></scanSettings></image>"
        )

    # This version of the format stores its barcode in base64.
    barcode = base64.b64encode(identifiers.get("Barcode", "").encode()).decode()
    values = {key: escape(value) for key, value in identifiers.items()}
    dimensions = "".join(
        f'<dimension sizeX="{width}" sizeY="{height}" r="{level}" ifd="{level}"/>'
        for level, (width, height) in enumerate(sizes)
    )
    glass = 2 * offset[0] + slide.width, 2 * offset[1] + slide.height
    # The macro image covers the glass; that is how readers know it.
    macro = image((0, 0), glass, f'<dimension sizeX="240" sizeY="240" r="0" ifd="{len(sizes)}"/>', 0.6)
    main = image(offset, (slide.width, slide.height), dimensions, round(10 / slide.mpp_xy[0]))
    return (
        f'<?xml version="1.0"?><scn xmlns="{_SCN_NAMESPACE}"><collection name="synthetic" '
        f'sizeX="{nanometres(glass[0], 0)}" sizeY="{nanometres(glass[1], 1)}">'
        f"<barcode>{barcode}</barcode>{macro}{main}</collection></scn>"
    )


def _label(identifiers: Mapping[str, str]) -> NDArray[np.uint8]:
    """Draw a paper label that shows identifiers."""
    image = Image.new("RGB", (240, 240), "white")
    ImageDraw.Draw(image).multiline_text((16, 16), "\n".join(identifiers.values()), fill="black")
    return np.asarray(image)


def _write_picture(
    writer: tifffile.TiffWriter,
    picture: NDArray[np.uint8],
    description: str | None,
    *,
    subfiletype: int = 0,
    tile: tuple[int, int] | None = None,
) -> None:
    """Write a small picture as a page of its own."""
    writer.write(
        picture,
        photometric="rgb",
        description=description,
        metadata=None,
        software=False,
        subfiletype=subfiletype,
        tile=tile,
    )
