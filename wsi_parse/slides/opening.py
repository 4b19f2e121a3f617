"""open_slide: the reader for a path, and what is checked before a slide is believed."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import PluginError, SlideError, SlideOpenError, UnsupportedSlideError, UsageError
from wsi_parse.files import CHECK_RIGHTS
from wsi_parse.gates import check_input
from wsi_parse.registry import READERS, plugin_named
from wsi_parse.slides.base import Level, Reader, SlideInfo, claims, has_ending
from wsi_parse.slides.options import SlideOptions
from wsi_parse.slides.slide import Slide

_OVERVIEW_PX = 512
# 100 mm of glass at 0.05 µm per pixel.
_MAX_SIDE_PX = 2_000_000
# Levels are rounded to whole pixels, and some programs crop a little; otherwise both axes shrink alike.
_ROUNDED_PX, _MOST_SKEW = 2, 0.1

logger = logging.getLogger(__name__)


def open_slide(source: str | Path | NDArray[np.uint8], options: SlideOptions | None = None) -> Slide:
    """Open a slide with the first reader that can open it.

    Parameters
    ----------
    source : path or uint8 array (rows, columns, 3)
        A file, a folder that is one slide, or the RGB pixels of a picture.
    options : SlideOptions, optional

    Notes
    -----
    Readers of this package are tried first, in the order of :data:`wsi_parse.registry.READERS`; then those of other
    packages that claim the path (their `detect` returns True), by name. A reader of another package comes before ours
    where its claim is exclusive: no reader of ours knows the ending of the name, or none recognises the content. A
    folder is opened only by a reader that claims it.

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

    options = SlideOptions() if options is None else options
    if not isinstance(options, SlideOptions):
        raise UsageError(
            f"The options of a slide are SlideOptions, not {options!r}.",
            "Write them as wsi_parse.SlideOptions(mpp=0.25).",
        )
    if isinstance(source, np.ndarray):
        from wsi_parse.slides.array_reader import ArrayReader

        reader: Reader = ArrayReader(source)
    else:
        source = check_input(source, "a slide", error=SlideOpenError, folder=True)
        reader = _reader(source, options)
    try:
        _check_size(reader.info)
        _check_role(reader.info)
        reader.info = resolve_pixel_size(reader.info, options)
        _check_light(reader)
    except BaseException:
        reader.close()
        raise
    return Slide(reader, source, options)


def _reader(path: Path, options: SlideOptions) -> Reader:
    """Open a file; what the system refuses is an error of ours."""
    try:
        return _first_that_can(path, options)
    except SlideError:
        raise
    except OSError as error:
        raise SlideOpenError(f"{path.name} cannot be read: {error.strerror or error}.", CHECK_RIGHTS) from error


def _first_that_can(path: Path, options: SlideOptions) -> Reader:
    from wsi_parse.slides.companions import check_companions
    from wsi_parse.slides.completeness import check_whole

    named = {options.reader: READERS.get(options.reader)} if options.reader is not None else None
    if not path.is_dir():
        check_companions(path)
        check_whole(path, may_lack_tiles=options.skip_unreadable)
    kinds, reasons = (named, []) if named is not None else _in_order(path)
    if path.is_dir() and all(map(READERS.is_builtin, kinds)):
        raise _not_a_slide(path, reasons)
    failure: Exception | None = None
    for name, kind in kinds.items():
        try:
            with plugin_named("reader", name):
                reader: Reader = kind(path)
        except UnsupportedSlideError:
            raise
        except (SlideError, PluginError) as error:
            failure = failure or error
            reasons.append(f"{name}: {error.message}")
        except OSError as error:
            reasons.append(f"{name}: {error.strerror or error}")
        else:
            logger.info("%s is read by the reader %s.", path.name, name)
            return reader
    raise _not_opened(path, reasons) from failure


def _not_opened(path: Path, reasons: list[str]) -> SlideError:
    """Say why no reader opens a file: what it is, where that explains it, else the reason of each reader."""
    from wsi_parse.slides.signatures import unsupported_format

    if path.is_file() and not path.stat().st_size:
        return SlideOpenError(f"{path.name} is empty.", "Copy it again from its source.")
    if kind := unsupported_format(path):
        return UnsupportedSlideError(
            f"{path.name} is in the {kind} format, which is not supported.", "Convert it to PNG or TIFF."
        )
    return SlideOpenError(
        f"{path.name} cannot be opened ({'; '.join(reasons)}).", "Check that the file is a slide and is complete."
    )


def _in_order(path: Path) -> tuple[dict[str, type[Reader]], list[str]]:
    """Return the readers to try, and a sentence about each that is broken; see the notes of :func:`open_slide`."""
    kinds, warnings = READERS.usable()
    ours = {name: kind for name, kind in kinds.items() if READERS.is_builtin(name)}
    others, failures = claims(path, {name: kind for name, kind in kinds.items() if name not in ours})
    reasons = [*warnings, *failures]
    if path.is_dir():
        return others, reasons
    knows_ending = any(has_ending(path, kind.suffixes) for kind in ours.values())
    # Ours are asked only where it matters: to look at a file takes time.
    is_exclusive = bool(others) and not (knows_ending and claims(path, ours)[0])
    return {**others, **ours} if is_exclusive else {**ours, **others}, reasons


def _not_a_slide(folder: Path, reasons: list[str]) -> SlideError:
    if (folder / ".zattrs").exists() or (folder / "zarr.json").exists():
        return UnsupportedSlideError(
            f"{folder.name} is an OME-Zarr image, which is not supported yet.", "Convert it to OME-TIFF."
        )
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return SlideOpenError(
        f"{folder.name or folder} is a folder, not a slide{why}.", "Give the path of one of its files."
    )


def _check_size(info: SlideInfo) -> None:
    """Refuse what only a damaged header claims, before anything is laid out over it."""
    if max(info.width, info.height) > _MAX_SIDE_PX:
        raise UnsupportedSlideError(
            f"{info.name} claims to have {info.width:,} x {info.height:,} pixels, which no slide has.",
            "Copy it again from its source: its header is damaged.",
        )
    for number, level in enumerate(info.levels[1:], 1):
        if _is_skewed(info.levels[0], level):
            raise SlideOpenError(
                f"{info.name} is damaged: level {number} has {level.width:,} x {level.height:,} pixels, which is not "
                f"the shape of level 0 with {info.width:,} x {info.height:,} pixels.",
                "Copy it again from its source.",
            )


def _is_skewed(first: Level, level: Level) -> bool:
    """Return whether a level is wider or taller than the largest one, beyond what rounding explains."""

    def shrinks(length: int, length_level: int) -> tuple[float, float]:
        return length / (length_level + _ROUNDED_PX), length / max(0.5, length_level - _ROUNDED_PX)

    (across, most_across), (down, most_down) = shrinks(first.width, level.width), shrinks(first.height, level.height)
    return across > most_down * (1 + _MOST_SKEW) or down > most_across * (1 + _MOST_SKEW)


def _check_role(info: SlideInfo) -> None:
    """Refuse a small picture whose file is called a label or a macro image: it may show the name of a patient."""
    from wsi_parse.slides.image_role import role_of
    from wsi_parse.slides.tiff_series import not_a_slide

    role = role_of(Path(info.name).stem.removesuffix(".ome"), (info.width, info.height))
    if role in ("label", "macro image") and len(info.levels) == 1:
        raise not_a_slide(info.name, role)


def _check_light(reader: Reader) -> None:
    """Refuse a slide that is not bright-field, judged by what can be read of the smallest level or its middle."""
    from wsi_parse.geometry import Box
    from wsi_parse.slides.brightfield import check_brightfield
    from wsi_parse.slides.readable import TolerantReader

    index = len(reader.info.levels) - 1
    level = reader.info.levels[index]
    side = 4 * _OVERVIEW_PX
    box = Box(max(0, (level.width - side) // 2), max(0, (level.height - side) // 2), side, side)
    # What cannot be read is white, and white counts as not scanned.
    check_brightfield(reader.info.name, TolerantReader(reader).read_level(index, box.intersection(level.box)))
