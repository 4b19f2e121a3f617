"""ImageReader: plain images (PNG, JPEG, TIFF without tiles), held in memory as a whole."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from wsi_parse.errors import SlideOpenError, UnsupportedSlideError
from wsi_parse.slides.array_reader import ArrayReader
from wsi_parse.slides.base import PixelSize
from wsi_parse.slides.fingerprint import fingerprint
from wsi_parse.slides.pixel_size import from_tiff_tags
from wsi_parse.slides.signatures import first_bytes, is_tiff
from wsi_parse.slides.tiff_colour import check_series, parsing
from wsi_parse.slides.transparency import on_white

MAX_PX = 1_000_000_000
# Pictures are opened by their class, because `Image.open` has a size limit of its own that is far below ours.
_PICTURES: dict[bytes, type[ImageFile]] = {b"\x89PNG": PngImageFile, b"\xff\xd8\xff": JpegImageFile}
_COLOUR = ("RGB", "RGBA", "P", "PA", "YCbCr")
_ASSOCIATED_ALPHA, _ALPHA = 1, 2
_PLANES = 2


class ImageReader(ArrayReader):
    """Reads a whole picture. As in OpenSlide and QuPath, orientation tags are ignored: pixels lie as stored."""

    suffixes: ClassVar[tuple[str, ...]] = (".png", ".jpg", ".jpeg", ".tif", ".tiff")

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            head = file.read(4)
        kinds = [kind for start, kind in _PICTURES.items() if head.startswith(start)]
        pixels, size = (_read_picture(path, kinds[0]), None) if kinds else _read_tiff(path)
        super().__init__(pixels, path.name, "image", fingerprint(path))
        if size is not None:
            self.info = self.info.with_pixel_size(size)

    @staticmethod
    def detect(path: Path) -> bool:
        """Look for the first bytes of a PNG, a JPEG or a TIFF; see :class:`wsi_parse.slides.base.Reader`."""
        return first_bytes(path, 4).startswith(tuple(_PICTURES)) or is_tiff(path)


def _read_picture(path: Path, kind: type[ImageFile]) -> NDArray[np.uint8]:
    try:
        with path.open("rb") as file, kind(file) as picture:
            _check_size(path.name, picture.width, picture.height)
            if picture.mode not in _COLOUR:
                raise UnsupportedSlideError(
                    f"{path.name} holds {picture.mode} pixels, not 8-bit RGB.",
                    "If it is a bright-field image, convert it to 8-bit RGB.",
                )
            if "A" in picture.mode or "transparency" in picture.info:
                return on_white(np.asarray(picture.convert("RGBA")))
            return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise SlideOpenError(f"the picture is damaged ({error})") from error


def _read_tiff(path: Path) -> tuple[NDArray[np.uint8], PixelSize | None]:
    with path.open("rb") as opened, parsing():
        file = tifffile.TiffFile(opened, name=path.name)
        series = file.series[0]
        check_series(path.name, series)
        page: Any = series.keyframe
        _check_size(path.name, page.imagewidth, page.imagelength)
        pixels = page.asarray()
        size = from_tiff_tags(page)
    if page.planarconfig == _PLANES:
        pixels = np.moveaxis(pixels, 0, -1)
    extra = page.extrasamples[0] if page.extrasamples else None
    if pixels.shape[-1] == 4 and extra in (_ASSOCIATED_ALPHA, _ALPHA):
        return on_white(pixels, premultiplied=extra == _ASSOCIATED_ALPHA), size
    return np.ascontiguousarray(pixels[..., :3]), size


def _check_size(name: str, width: int, height: int) -> None:
    if width * height > MAX_PX:
        raise UnsupportedSlideError(
            f"{name} has {width} x {height} px, which is too large for a picture without tiles.",
            "Convert it to a pyramidal TIFF, e.g. with QuPath or libvips.",
        )
