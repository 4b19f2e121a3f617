"""DICOM whose header and compressed pixels disagree on the colours is shown in the right ones, and it is said."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from wsi_parse.geometry import Box
from wsi_parse.slides import open_slide
from wsi_parse.slides.dicom_colour import look_like_ycbcr

pydicom = pytest.importorskip("pydicom")
JPEG, JPEG_2000 = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.91"
NOTE = "Its colours are stored as YCbCr, which its header does not say. They are converted to RGB."
Pixels = NDArray[np.uint8]


def as_ycbcr(pixels: Pixels) -> Pixels:
    red, green, blue = np.moveaxis(pixels.astype(float), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    bands = np.stack([luma, 128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402], -1)
    return np.clip(np.rint(bands), 0, 255).astype(np.uint8)


def jpeg_2000(pixels: Pixels, *, transform: bool) -> bytes:
    options: dict[str, Any] = {"level": 60, "reversible": False, "mct": transform, "codecformat": "j2k"}
    return bytes(imagecodecs.jpeg2k_encode(pixels, **options))


def jpeg(pixels: Pixels, stored: str) -> bytes:
    return bytes(imagecodecs.jpeg_encode(pixels, level=95, colorspace="RGB", outcolorspace=stored))


@pytest.fixture(scope="module")
def frames(slides: Path) -> list[Pixels]:
    data = pydicom.dcmread(slides / "dicom/CMU-1-Small-Region/03.dcm")
    stored = pydicom.encaps.generate_frames(data.PixelData, number_of_frames=int(data.NumberOfFrames))
    return [imagecodecs.jpeg_decode(frame, colorspace="RGB", outcolorspace="RGB") for frame in stored]


def write(slides: Path, path: Path, frames: list[bytes], photometric: str, syntax: str) -> Path:
    data = pydicom.dcmread(slides / "dicom/CMU-1-Small-Region/03.dcm")
    data.PixelData = pydicom.encaps.encapsulate(frames)
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = syntax
    data.PhotometricInterpretation = photometric
    data.SeriesInstanceUID = pydicom.uid.generate_uid()
    for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if name in data:
            del data[name]
    data.save_as(path)
    return path


CASES: list[tuple[str, str, Callable[[Pixels], bytes], bool]] = [
    ("YBR_ICT", JPEG_2000, lambda pixels: jpeg_2000(as_ycbcr(pixels), transform=False), True),
    ("YBR_ICT", JPEG_2000, lambda pixels: jpeg_2000(pixels, transform=False), False),
    ("YBR_ICT", JPEG_2000, lambda pixels: jpeg_2000(pixels, transform=True), False),
    ("RGB", JPEG_2000, lambda pixels: jpeg_2000(pixels, transform=False), False),
    ("RGB", JPEG, lambda pixels: jpeg(pixels, "YCBCR"), True),
    ("RGB", JPEG, lambda pixels: jpeg(pixels, "RGB"), False),
    ("YBR_FULL_422", JPEG, lambda pixels: jpeg(pixels, "YCBCR"), False),
]


@pytest.mark.parametrize(("photometric", "syntax", "encode", "is_corrected"), CASES)
def test_colours_are_right_whatever_the_header_says(
    slides: Path,
    tmp_path: Path,
    frames: list[Pixels],
    photometric: str,
    syntax: str,
    encode: Callable[[Pixels], bytes],
    is_corrected: bool,
) -> None:
    path = write(slides, tmp_path / "a.dcm", [encode(frame) for frame in frames], photometric, syntax)
    box = Box(300, 300, 1500, 1500)
    with open_slide(path) as slide, open_slide(slides / "dicom/CMU-1-Small-Region/03.dcm") as right:
        assert np.abs(slide.read(box).astype(int) - right.read(box)).mean() < 4
        assert slide.info.notes == ((NOTE,) if is_corrected else ())


def test_only_pixels_without_chroma_where_they_are_bright_look_like_it() -> None:
    glass = np.full((60, 60, 3), 240, np.uint8)
    glass[:20] = (150, 90, 160)
    assert not look_like_ycbcr(glass)
    assert look_like_ycbcr(as_ycbcr(glass))
    assert not look_like_ycbcr(np.full((60, 60, 3), 255, np.uint8))
