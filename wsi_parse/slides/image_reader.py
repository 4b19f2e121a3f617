"""ImageReader: plain images (PNG, JPEG, TIFF without tiles), held in memory as a whole."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from wsi_parse.cautions import Caution
from wsi_parse.errors import SlideOpenError, UnsupportedSlideError
from wsi_parse.slides.array_reader import ArrayReader
from wsi_parse.slides.base import PixelSize
from wsi_parse.slides.fingerprint import fingerprint
from wsi_parse.slides.ome import ome_cautions, ome_image_of, ome_xml_of
from wsi_parse.slides.pixel_size_tags import from_ome, from_picture, from_tiff_page
from wsi_parse.slides.signatures import first_bytes, is_tiff
from wsi_parse.slides.tiff_file import open_tiff, parsing
from wsi_parse.slides.tiff_series import choose_series, size_of
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
        self._picture = _opened(path)
        super().__init__(self._picture.pixels, path.name, "image", fingerprint(path))
        self.info = replace(
            self.info, pixel_size=self._picture.size, notes=self._picture.notes, cautions=self._picture.cautions
        )

    @staticmethod
    def detect(path: Path) -> bool:
        """Look for the first bytes of a PNG, a JPEG or a TIFF; see :class:`wsi_parse.slides.base.Reader`."""
        return first_bytes(path, 4).startswith(tuple(_PICTURES)) or is_tiff(path)


@dataclass(frozen=True)
class _Picture:
    """Pixels (rows, columns, 3), what their header says of their size, what was decided, and what is wrong."""

    pixels: NDArray[np.uint8]
    size: PixelSize | None
    notes: tuple[str, ...] = ()
    cautions: tuple[Caution, ...] = ()


# A run in threads opens its slide twice, and such a picture may take 3 GB.
_held: WeakValueDictionary[tuple[int, ...], _Picture] = WeakValueDictionary()


def _opened(path: Path) -> _Picture:
    """Read a picture, or return the one that another reader of this process holds of the same file."""
    status = path.stat()
    key = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    picture = _held.get(key)
    if picture is None:
        with path.open("rb") as file:
            head = file.read(4)
        kinds = [kind for start, kind in _PICTURES.items() if head.startswith(start)]
        picture = _read_picture(path, kinds[0]) if kinds else _read_tiff(path)
        picture.pixels.flags.writeable = False
        _held[key] = picture
    return picture


def _read_picture(path: Path, kind: type[ImageFile]) -> _Picture:
    try:
        with path.open("rb") as file, kind(file) as picture:
            _check_size(path.name, picture.width, picture.height)
            if picture.mode not in _COLOUR:
                raise UnsupportedSlideError(
                    f"{path.name} holds {picture.mode} pixels, not 8-bit RGB.",
                    "If it is a bright-field image, convert it to 8-bit RGB.",
                )
            if "A" in picture.mode or "transparency" in picture.info:
                pixels = on_white(np.asarray(picture.convert("RGBA")))
            else:
                pixels = np.asarray(picture.convert("RGB"))
            return _Picture(pixels, from_picture(str(kind.format), picture.info.get("dpi")))
    except (OSError, SyntaxError, ValueError) as error:
        raise SlideOpenError(f"the picture is damaged ({error})") from error


def _read_tiff(path: Path) -> _Picture:
    with path.open("rb") as opened, parsing():
        tiff = open_tiff(path, opened)
        series, notes = choose_series(path.name, tiff)
        page: Any = series.keyframe
        _check_size(path.name, page.imagewidth, page.imagelength)
        pixels = page.asarray()
        ome = ome_xml_of(path, tiff)
        size = from_ome(ome_image_of(ome, size_of(series), str(series.name), path.name)) if ome else None
        size = size or from_tiff_page(page)
        cautions = ome_cautions(path, tiff, size_of(series))
    if page.planarconfig == _PLANES:
        pixels = np.moveaxis(pixels, 0, -1)
    extra = page.extrasamples[0] if page.extrasamples else None
    if pixels.shape[-1] == 4 and extra in (_ASSOCIATED_ALPHA, _ALPHA):
        return _Picture(on_white(pixels, premultiplied=extra == _ASSOCIATED_ALPHA), size, notes, cautions)
    return _Picture(np.ascontiguousarray(pixels[..., :3]), size, notes, cautions)


def _check_size(name: str, width: int, height: int) -> None:
    if width * height > MAX_PX:
        raise UnsupportedSlideError(
            f"{name} has {width} x {height} px, which is too large for a picture without tiles.",
            "Convert it to a pyramidal TIFF, e.g. with QuPath or libvips.",
        )
