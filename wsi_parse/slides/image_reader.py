"""Plain images: PNG, JPEG, TIFF without tiles; held whole in memory."""

import warnings
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from wsi_parse.errors import SlideOpenError, UnsupportedSlideError
from wsi_parse.slides.array_reader import ArrayReader
from wsi_parse.slides.checks import fingerprint
from wsi_parse.slides.openslide_reader import on_white
from wsi_parse.slides.pixel_size import pixel_size_of
from wsi_parse.slides.tiffslide_reader import check_colour

LARGEST_PX = 1_000_000_000
_TIFF = (".tif", ".tiff")
# TIFF ResolutionUnit -> microns.
_UNIT_UM = {2: 25_400.0, 3: 10_000.0}


class ImageReader(ArrayReader):
    """Reads a picture whole. Orientation tags are ignored, as QuPath and OpenSlide do."""

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() in _TIFF:
            pixels, resolution = _read_tiff(path)
        else:
            pixels, resolution = _read_picture(path), None
        super().__init__(pixels, path.name, "image", fingerprint(path))
        if resolution is not None:
            size = pixel_size_of(*resolution, "TIFF resolution")
            if size is not None:
                self.info = self.info.with_pixel_size(size)


def _read_picture(path: Path) -> NDArray[np.uint8]:
    try:
        with warnings.catch_warnings():
            # Our own limit stands below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                _check_size(path.name, picture.width, picture.height)
                if picture.mode.startswith(("I", "F")):
                    raise UnsupportedSlideError(
                        f"{path.name} holds {picture.mode} pixels, not 8-bit RGB.", "Convert it to 8-bit RGB."
                    )
                if "A" in picture.mode or "transparency" in picture.info:
                    return on_white(np.asarray(picture.convert("RGBA")))
                return np.asarray(picture.convert("RGB"))
    except UnidentifiedImageError as error:
        raise SlideOpenError("not a picture") from error
    except (OSError, Image.DecompressionBombError, ValueError) as error:
        raise SlideOpenError(str(error)) from error


def _read_tiff(path: Path) -> tuple[NDArray[np.uint8], tuple[float, float] | None]:
    try:
        with path.open("rb") as opened:
            file = tifffile.TiffFile(opened, name=path.name)
            series = file.series[0]
            check_colour(path.name, series)
            page = series.pages[0]
            _check_size(path.name, page.imagewidth, page.imagelength)
            pixels = page.asarray()
            unit = _UNIT_UM.get(int(page.resolutionunit))
            across, down = page.resolution
            resolution = (unit / across, unit / down) if unit and across and down else None
    except (tifffile.TiffFileError, ValueError, AttributeError, RuntimeError, OSError) as error:
        raise SlideOpenError(f"not a TIFF that can be read ({error})") from error
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return (on_white(pixels) if pixels.shape[2] == 4 else pixels[..., :3]), resolution


def _check_size(name: str, width: int, height: int) -> None:
    if width * height > LARGEST_PX:
        raise UnsupportedSlideError(
            f"{name} is {width} x {height} px, too large for a picture without tiles.",
            "Convert it to a pyramidal TIFF, e.g. with QuPath or libvips.",
        )
