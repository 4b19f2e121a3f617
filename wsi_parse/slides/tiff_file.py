"""A TIFF opened by tifffile: of one file only, with the errors of its parser as ours."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import tifffile

from wsi_parse.errors import SlideError, SlideOpenError

# Our errors report the problems that tifffile logs; without a handler they would appear on the screen as well.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def open_tiff(path: Path, file: IO[bytes]) -> tifffile.TiffFile:
    """Parse a TIFF that is open; we open the file ourselves, because a parser that fails leaves open what it opened."""
    # OME-XML may name any other file, which tifffile would open: a pipe, a device, a file of somebody else.
    return tifffile.TiffFile(file, name=path.name, _multifile=False)


@contextmanager
def parsing() -> Iterator[None]:
    """Turn every exception that a parser raises on a damaged TIFF into a SlideOpenError.

    Raises
    ------
    SlideOpenError
    """
    try:
        yield
    except SlideError:
        raise
    except Exception as error:
        raise SlideOpenError(f"the file is not a readable TIFF ({error})") from error
