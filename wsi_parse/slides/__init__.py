"""Slides: open_slide, list_slides, and what they return."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import SlideError, SlideOpenError, UnknownNameError, UnsupportedSlideError
from wsi_parse.registry import Registry
from wsi_parse.slides.base import Level, PixelSize, Reader, SlideInfo
from wsi_parse.slides.listing import list_slides
from wsi_parse.slides.slide import Slide, SlideOptions

__all__ = ["Level", "PixelSize", "Reader", "Slide", "SlideInfo", "SlideOptions", "list_slides", "open_slide"]

# Tried in this order, then those of other packages (entry points "wsi_parse.readers"). OpenSlide first: the reference,
# and the vendor's metadata. TiffSlide opens OME-TIFF, of which OpenSlide knows neither levels nor pixel size.
# Pictures last: they are held whole.
_BUILTIN = {
    "openslide": "wsi_parse.slides.openslide_reader:OpenSlideReader",
    "tiffslide": "wsi_parse.slides.tiffslide_reader:TiffSlideReader",
    "image": "wsi_parse.slides.image_reader:ImageReader",
}
READERS = Registry("reader", _BUILTIN)
_OVERVIEW_PX = 512


def open_slide(source: str | Path | NDArray[np.uint8], options: SlideOptions | None = None) -> Slide:
    """Open a slide with the first reader that can.

    Parameters
    ----------
    source : path or uint8 array (rows, columns, 3)
    options : SlideOptions, optional

    Raises
    ------
    SlideOpenError
        No reader opens it; the message holds each one's reason.
    UnsupportedSlideError
        It is something else than a bright-field RGB slide.
    PixelSizeError
        The file and `options.mpp` disagree.
    """
    from wsi_parse.slides.pixel_size import settle

    options = options or SlideOptions()
    if isinstance(source, np.ndarray):
        from wsi_parse.slides.array_reader import ArrayReader

        reader: Reader = ArrayReader(source)
    else:
        source = Path(source)
        reader = _reader(source, options.reader)
    try:
        reader.info = settle(reader.info, options)
        _check_light(reader)
    except BaseException:
        reader.close()
        raise
    return Slide(reader, source, options)


def _reader(path: Path, wanted: str | None) -> Reader:
    from wsi_parse.slides.whole import check_whole

    names = [*_BUILTIN, *(name for name in READERS.names() if name not in _BUILTIN)]
    if wanted is not None and wanted not in names:
        raise UnknownNameError.of("reader", wanted, names)
    if not path.exists():
        raise SlideOpenError(f"There is no file {path}.", "Check the path.")
    if path.is_dir():
        if (path / ".zattrs").exists() or (path / "zarr.json").exists():
            raise UnsupportedSlideError(f"{path.name} is OME-Zarr, which is not read yet.", "Convert it to OME-TIFF.")
        raise SlideOpenError(f"{path.name} is a folder.", "Give one of its files.")
    check_whole(path)
    reasons = []
    for name in [wanted] if wanted else names:
        try:
            reader: Reader = READERS.get(name)(path)
        except UnsupportedSlideError:
            raise
        except SlideError as error:
            reasons.append(f"{name}: {error.message}")
        else:
            return reader
    raise SlideOpenError(f"{path.name} cannot be opened ({'; '.join(reasons)}).", "Is it a slide, and whole?")


def _check_light(reader: Reader) -> None:
    """Look at the smallest level, if it is small, or at its middle."""
    from wsi_parse.geometry import Box
    from wsi_parse.slides.checks import check_brightfield

    index = len(reader.info.levels) - 1
    level = reader.info.levels[index]
    side = 4 * _OVERVIEW_PX
    box = Box(max(0, (level.width - side) // 2), max(0, (level.height - side) // 2), side, side)
    check_brightfield(reader.info.name, reader.read_level(index, box.intersection(level.box)))
