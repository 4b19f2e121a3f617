"""open_slide: the first reader that can open a file, and what is checked before a slide is believed."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import SlideError, SlideOpenError, UnknownNameError, UnsupportedSlideError
from wsi_parse.files import CHECK_RIGHTS
from wsi_parse.registry import Registry
from wsi_parse.slides.base import Reader
from wsi_parse.slides.slide import Slide, SlideOptions

# Readers are tried in this order, then those of other packages (entry points "wsi_parse.readers"). OpenSlide comes
# first: it is the reference for pixels, and it reads the vendor's metadata. TiffSlide opens OME-TIFF, whose levels and
# pixel size OpenSlide does not know. Plain images come last, because they are held in memory as a whole.
_BUILTIN = {
    "openslide": "wsi_parse.slides.openslide_reader:OpenSlideReader",
    "tiffslide": "wsi_parse.slides.tiffslide_reader:TiffSlideReader",
    "image": "wsi_parse.slides.image_reader:ImageReader",
}
READERS = Registry("reader", _BUILTIN)
_OVERVIEW_PX = 512


def open_slide(source: str | Path | NDArray[np.uint8], options: SlideOptions | None = None) -> Slide:
    """Open a slide with the first reader that can open it.

    Parameters
    ----------
    source : path or uint8 array (rows, columns, 3)
        A file, or the RGB pixels of a picture.
    options : SlideOptions, optional

    Raises
    ------
    SlideOpenError
        No reader opens the file; the message holds the reason of each reader.
    UnsupportedSlideError
        The file is not a bright-field RGB slide.
    PixelSizeError
        `options.mpp` is not a valid pixel size, or differs from the one in the file.
    UnknownNameError
        `options.reader` names no reader.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from wsi_parse.synthetic import SyntheticSlide, write_svs_like
    >>> with TemporaryDirectory() as folder:
    ...     write_svs_like(Path(folder, "small.svs"), SyntheticSlide(900, 700, seed=3))
    ...     with open_slide(f"{folder}/small.svs") as slide:
    ...         slide.dimensions, slide.level_count, slide.pixel_size.x_um
    ((900, 700), 3, 0.25)
    """
    from wsi_parse.slides.pixel_size import resolve_pixel_size

    options = options or SlideOptions()
    if isinstance(source, np.ndarray):
        from wsi_parse.slides.array_reader import ArrayReader

        reader: Reader = ArrayReader(source)
    else:
        source = Path(source)
        reader = _reader(source, options.reader)
    try:
        reader.info = resolve_pixel_size(reader.info, options)
        _check_light(reader)
    except BaseException:
        reader.close()
        raise
    return Slide(reader, source, options)


def _reader(path: Path, wanted: str | None) -> Reader:
    """Open a file; what the system refuses is an error of ours."""
    try:
        return _first_that_can(path, wanted)
    except SlideError:
        raise
    except OSError as error:
        raise SlideOpenError(f"{path.name} cannot be read: {error.strerror or error}.", CHECK_RIGHTS) from error


def _first_that_can(path: Path, wanted: str | None) -> Reader:
    from wsi_parse.slides.completeness import check_whole

    names = [*_BUILTIN, *(name for name in READERS.names() if name not in _BUILTIN)]
    if wanted is not None and wanted not in names:
        raise UnknownNameError.of("reader", wanted, names)
    if not path.exists():
        raise SlideOpenError(f"There is no file {path}.", "Check the path.")
    if path.is_dir():
        if (path / ".zattrs").exists() or (path / "zarr.json").exists():
            raise UnsupportedSlideError(
                f"{path.name} is an OME-Zarr image, which is not supported yet.", "Convert it to OME-TIFF."
            )
        raise SlideOpenError(f"{path.name} is a folder, not a slide.", "Give the path of one of its files.")
    check_whole(path)
    reasons = []
    for name in [wanted] if wanted else names:
        try:
            reader: Reader = READERS.get(name)(path)
        except UnsupportedSlideError:
            raise
        except SlideError as error:
            reasons.append(f"{name}: {error.message}")
        except OSError as error:
            reasons.append(f"{name}: {error.strerror or error}")
        else:
            return reader
    raise SlideOpenError(
        f"{path.name} cannot be opened ({'; '.join(reasons)}).", "Check that the file is a slide and is complete."
    )


def _check_light(reader: Reader) -> None:
    """Refuse a slide that is not bright-field, judged by the smallest level or the middle of it."""
    from wsi_parse.geometry import Box
    from wsi_parse.slides.brightfield import check_brightfield

    index = len(reader.info.levels) - 1
    level = reader.info.levels[index]
    side = 4 * _OVERVIEW_PX
    box = Box(max(0, (level.width - side) // 2), max(0, (level.height - side) // 2), side, side)
    check_brightfield(reader.info.name, reader.read_level(index, box.intersection(level.box)))
