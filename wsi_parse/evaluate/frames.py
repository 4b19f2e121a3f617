"""Origin and size of the pixels of a file, from its own provenance; every assumption is reported."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from wsi_parse.annotations.frame import Provenance, pair_px, stated_offset
from wsi_parse.errors import UsageError

# Relative tolerance for rounding and for differences between vendors.
_SAME_SIZE = 0.02


def shift_between(pred: Provenance, truth: Provenance) -> tuple[NDArray[np.float64], list[str]]:
    """Return the shift from the frame of the prediction to the frame of the truth.

    A file of this package states the offset that was subtracted from level-0 pixels. A file that does not state it is
    taken to be in the frame of QuPath, which crops to the bounds of the slide; the other file may state these.

    Parameters
    ----------
    pred, truth : mapping
        The member ``wsi_parse`` of each file; empty if there is none.

    Returns
    -------
    float array (2,)
        To be added to x and y.
    list of str
        What was assumed.
    """
    offsets = [stated_offset(provenance) for provenance in (pred, truth)]
    notes = []
    names = [name for name, offset in zip(("prediction", "truth"), offsets, strict=True) if offset is None]
    if names:
        verb = "do" if len(names) > 1 else "does"
        notes.append(
            f"The {' and the '.join(names)} {verb} not state where the coordinates start (the frame); "
            "that of QuPath is assumed."
        )
    bounds = _bounds(pred) if _bounds(pred) is not None else _bounds(truth)
    in_qupath = next(
        (
            offset
            for offset, provenance in zip(offsets, (pred, truth), strict=True)
            if provenance.get("frame") == "qupath"
        ),
        bounds,
    )
    if in_qupath is None:
        in_qupath = np.zeros(2)
    origins = [in_qupath if offset is None else offset for offset in offsets]
    shift = origins[0] - origins[1]
    if shift.any():
        notes.append(
            f"The prediction was moved by ({shift[0]:g}, {shift[1]:g}) px, so that its coordinates start where those "
            "of the truth do."
        )
    prints = [_slide(provenance).get("fingerprint") for provenance in (pred, truth)]
    if None not in prints and prints[0] != prints[1]:
        notes.append("The files state that they were made from different slides.")
    return shift, notes


def pixel_size(mpp: float | None, provenances: list[Provenance]) -> tuple[float, float] | None:
    """Return microns per pixel (x, y): `mpp`, else that of the first file that states it; None if none does.

    Raises
    ------
    UsageError
        If `mpp` contradicts the files.
    """
    sizes = []
    for one in provenances:
        x, y = _slide(one).get("mpp_x_um"), _slide(one).get("mpp_y_um")
        if isinstance(x, int | float) and isinstance(y, int | float) and x > 0 and y > 0:
            sizes.append((float(x), float(y)))
    if mpp is None:
        return sizes[0] if sizes else None
    for size in sizes:
        if max(abs(mpp / axis - 1) for axis in size) > _SAME_SIZE:
            raise UsageError(
                f"--mpp {mpp:g} is not the pixel size that the files state: {size[0]:g} x {size[1]:g} µm per pixel.",
                "Leave --mpp out, or compare files of the same slide.",
            )
    return mpp, mpp


def _slide(provenance: Provenance) -> Provenance:
    found = provenance.get("slide")
    return found if isinstance(found, Mapping) else {}


def _bounds(provenance: Provenance) -> NDArray[np.float64] | None:
    found = _slide(provenance).get("bounds_level0_px")
    return pair_px(found[:2]) if isinstance(found, list) else None
