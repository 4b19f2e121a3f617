"""Where a file counts its pixels from, and how large they are: as it says itself, nothing guessed in silence."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from wsi_parse.annotations.frame import Provenance, pair_px, stated_offset
from wsi_parse.errors import UsageError

# Relative: what rounding and vendors differ by.
_SAME_SIZE = 0.02


def shift_between(pred: Provenance, truth: Provenance) -> tuple[NDArray[np.float64], list[str]]:
    """Return what brings points of the prediction into the frame of the truth.

    A file of this package says what was subtracted of its level-0 pixels. One that does not say is taken to be in the
    frame of QuPath, which crops to the slide's bounds; these the other file may know.

    Parameters
    ----------
    pred, truth : mapping
        The files' own members ``wsi_parse``; empty where there is none.

    Returns
    -------
    float array (2,)
        To be added to x and y.
    list of str
        What was taken for granted.
    """
    said = [stated_offset(told) for told in (pred, truth)]
    notes = []
    names = [name for name, offset in zip(("prediction", "truth"), said, strict=True) if offset is None]
    if names:
        verb = "do" if len(names) > 1 else "does"
        notes.append(f"Frame: {' and '.join(names)} {verb} not say; taken as QuPath's.")
    bounds = _bounds(pred) if _bounds(pred) is not None else _bounds(truth)
    in_qupath = next(
        (offset for offset, told in zip(said, (pred, truth), strict=True) if told.get("frame") == "qupath"), bounds
    )
    if in_qupath is None:
        in_qupath = np.zeros(2)
    origins = [in_qupath if offset is None else offset for offset in said]
    shift = origins[0] - origins[1]
    if shift.any():
        notes.append(f"Frame: the prediction was moved by ({shift[0]:g}, {shift[1]:g}) px into that of the truth.")
    prints = [_slide(told).get("fingerprint") for told in (pred, truth)]
    if None not in prints and prints[0] != prints[1]:
        notes.append("The files say that they were made of different slides.")
    return shift, notes


def pixel_size(mpp: float | None, told: list[Provenance]) -> tuple[float, float] | None:
    """Return microns per pixel (x, y): as given, else as the first file says that knows; None where none does.

    Raises
    ------
    UsageError
        Where what is given is not what the files say.
    """
    sizes = []
    for one in told:
        x, y = _slide(one).get("mpp_x_um"), _slide(one).get("mpp_y_um")
        if isinstance(x, int | float) and isinstance(y, int | float) and x > 0 and y > 0:
            sizes.append((float(x), float(y)))
    if mpp is None:
        return sizes[0] if sizes else None
    for size in sizes:
        if max(abs(mpp / side - 1) for side in size) > _SAME_SIZE:
            raise UsageError(
                f"--mpp {mpp:g} is not what the files say: {size[0]:g} x {size[1]:g} microns per pixel.",
                "Leave it out, or compare files of the same slide.",
            )
    return mpp, mpp


def _slide(told: Provenance) -> Provenance:
    found = told.get("slide")
    return found if isinstance(found, Mapping) else {}


def _bounds(told: Provenance) -> NDArray[np.float64] | None:
    found = _slide(told).get("bounds_level0_px")
    return pair_px(found[:2]) if isinstance(found, list) else None
