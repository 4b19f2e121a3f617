"""Which pixel size counts: that of the file or the user's, and whether a slide can have it."""

import math
from dataclasses import replace

from wsi_parse.cautions import Caution, pixels_not_square, unusual_pixel_size
from wsi_parse.errors import PixelSizeError
from wsi_parse.gates import is_usual_pixel_size, pixel_size_problem
from wsi_parse.slides.base import PixelSize, SlideInfo
from wsi_parse.slides.options import SlideOptions
from wsi_parse.slides.pixel_size_tags import PRINTING

DISAGREES = 0.02
# 72, 96, 150, 300, 600 and 1200 dots per inch give 21 to 353 um: a resolution for printing.
_MAX_PRINTED_UM = 20.0
# Pixels of line scanners can be a little longer than wide. More than this is an error of the file.
_NOT_SQUARE, _MAX_RATIO = 1.1, 5.0
# A number that is wrong by a power of ten, and a magnification: 40x has about 0.25 um.
_LIKELY_UM = (0.2, 1.05)
_MAGNIFICATIONS, _UM_OF_1X = (5, 10, 20, 40, 60, 63, 80, 100), 10.0


def check_pixel_size(x_um: float, y_um: float, source: str) -> tuple[Caution, ...]:
    """Check a pixel size, wherever it comes from.

    Parameters
    ----------
    x_um, y_um : float
        Microns per level-0 pixel.
    source : str
        Where the numbers come from: "--mpp", "aperio metadata", "TIFF resolution".

    Returns
    -------
    tuple of Caution
        What is unusual about it.

    Raises
    ------
    PixelSizeError
        No slide can have it.

    >>> check_pixel_size(0.25, 0.25, "--mpp")
    ()
    >>> check_pixel_size(0.025, 0.025, "TIFF resolution")[0].text
    'The pixel size of 0.025 µm is unusual for a slide. Is it 0.25 µm?'
    """
    for um in (x_um, y_um):
        if problem := problem_of(um, source):
            raise PixelSizeError(f"{um:g} µm per pixel ({source}) is not a valid pixel size: {problem}.", _GIVE_IT)
    ratio = max(x_um, y_um) / min(x_um, y_um)
    if ratio > _MAX_RATIO:
        raise PixelSizeError(
            f"{x_um:g} x {y_um:g} µm per pixel ({source}) is not a valid pixel size: pixels of slides are square.",
            _GIVE_IT,
        )
    unusual = next((um for um in (x_um, y_um) if not is_usual_pixel_size(um)), None)
    found = () if unusual is None else (unusual_pixel_size(unusual, likely_pixel_size(unusual)),)
    return found if ratio <= _NOT_SQUARE else (*found, pixels_not_square(x_um, y_um))


_GIVE_IT = "Give it in µm per pixel, for example --mpp 0.25; `wsi-parse preview` shows the slide with rulers."


def problem_of(um: float, source: str) -> str:
    """Say why a number cannot be a pixel size; empty if it can."""
    if not (math.isfinite(um) and um > 0):
        return "it must be a positive number"
    if source.endswith(PRINTING) and um > _MAX_PRINTED_UM:
        return "it is a resolution for printing"
    return pixel_size_problem(um)


def likely_pixel_size(um: float) -> float | None:
    """Return what an unusual number most likely stands for: a power of ten less or more, or a magnification.

    >>> likely_pixel_size(0.025), likely_pixel_size(40), likely_pixel_size(8.3)
    (0.25, 0.25, 0.83)
    """
    if um in _MAGNIFICATIONS:
        return _UM_OF_1X / um
    return next((float(f"{um * by:.3g}") for by in (10, 0.1) if _LIKELY_UM[0] <= um * by <= _LIKELY_UM[1]), None)


def resolve_pixel_size(info: SlideInfo, options: SlideOptions) -> SlideInfo:
    """Choose between the pixel size of the file and the user's.

    What the file says and no slide can have is not used; it stays in ``stated_pixel_size``, so that it can be shown.

    Raises
    ------
    PixelSizeError
        The user's number is not valid, or differs from the file's by more than 2 % without `override_mpp`.
    """
    stated, mpp = info.pixel_size, options.mpp
    if mpp is not None:
        return _with_users(info, mpp, override=options.override_mpp)
    if options.override_mpp:
        raise PixelSizeError(
            f"{info.name}: --override-mpp was given without --mpp.", "Add the pixel size, for example --mpp 0.25."
        )
    if stated is None:
        return info
    try:
        cautions = check_pixel_size(stated.x_um, stated.y_um, stated.source)
    except PixelSizeError:
        return replace(info, pixel_size=None, stated_pixel_size=stated)
    return replace(info, stated_pixel_size=stated, cautions=(*info.cautions, *cautions))


def _with_users(info: SlideInfo, mpp: float, *, override: bool) -> SlideInfo:
    stated = info.pixel_size
    try:
        cautions = check_pixel_size(mpp, mpp, "--mpp")
    except PixelSizeError as error:
        raise PixelSizeError(f"{info.name}: {error.message}", error.remedy) from error
    source = f"user, overriding {stated.source}" if stated is not None and override else "user"
    chosen = PixelSize(mpp, mpp, source)
    if stated is not None and not override and not _is_for_printing(stated):
        if max(abs(mpp / size - 1) for size in (stated.x_um, stated.y_um)) > DISAGREES:
            raise PixelSizeError(
                f"{info.name}: --mpp gives {mpp:g} µm per pixel, but the file gives {stated.x_um:g} x "
                f"{stated.y_um:g} µm ({stated.source}).",
                "Omit --mpp to use the file's value, or add --override-mpp to use yours.",
            )
        chosen = stated
    return replace(info, pixel_size=chosen, stated_pixel_size=stated, cautions=(*info.cautions, *cautions))


def _is_for_printing(stated: PixelSize) -> bool:
    """Return whether the file's number says nothing about the slide."""
    return stated.source.endswith(PRINTING) and any(problem_of(um, stated.source) for um in (stated.x_um, stated.y_um))
