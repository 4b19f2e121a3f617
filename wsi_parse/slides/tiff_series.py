"""Which of the images in a TIFF is the slide: the largest in colour, wherever in the file it stands."""

from collections.abc import Sequence
from typing import Any

import tifffile

from wsi_parse.errors import UnsupportedSlideError
from wsi_parse.slides.image_role import role_of
from wsi_parse.slides.ome import ome_images
from wsi_parse.slides.tiff_colour import check_series

# An image of at least this share of the largest one's area might have been meant.
_ALSO_LARGE = 0.25


def choose_series(name: str, tiff: tifffile.TiffFile) -> tuple[Any, tuple[str, ...]]:
    """Choose the image that is the slide.

    Parameters
    ----------
    name : str
        File name, for messages.
    tiff : TiffFile

    Returns
    -------
    series
        The series of tifffile with the most pixels of 8-bit RGB that is no label, macro or thumbnail.
    notes : tuple of str
        A sentence if there was a choice.

    Raises
    ------
    UnsupportedSlideError
        A larger image is of another kind (fluorescence with a macro in colour), several have the same size, or all are
        labels, macros or thumbnails.
    """
    images = [series for series in tiff.series if series.keyframe.imagewidth and series.keyframe.imagelength]
    if not images:
        raise UnsupportedSlideError(f"{name} holds no image.", "Check that the file is a slide and is complete.")
    roles = [role_of(str(image.name), size_of(image), str(image.keyframe.description)) for image in images]
    slides = [image for image, role in zip(images, roles, strict=True) if role is None]
    if not slides:
        raise not_a_slide(name, roles[0] or "thumbnail")
    chosen = max(slides, key=_area)
    check_series(name, chosen)
    _check_planes(name, chosen, tiff)
    return chosen, _notes(images, slides, chosen)


def size_of(series: Any) -> tuple[int, int]:  # noqa: ANN401 - a series of tifffile
    """Return width and height of a series."""
    return int(series.keyframe.imagewidth), int(series.keyframe.imagelength)


def not_a_slide(name: str, role: str) -> UnsupportedSlideError:
    """Build the error for a file that holds only a label, macro or thumbnail."""
    return UnsupportedSlideError(
        f"{name} holds only the {role} of a slide, not its tissue.",
        "Give the slide itself. If this is a slide, give the file another name, without that word at its end.",
    )


def _area(series: Any) -> int:  # noqa: ANN401 - a series of tifffile
    width, height = size_of(series)
    return width * height


def _check_planes(name: str, chosen: Any, tiff: tifffile.TiffFile) -> None:  # noqa: ANN401 - a series of tifffile
    """Refuse a stack of which the file at hand holds a part: its other planes lie in other files."""
    if not tiff.ome_metadata:
        return
    planes = [image.planes for image in ome_images(tiff.ome_metadata) if image.size_px == size_of(chosen)]
    if planes and min(planes) > 1:
        raise UnsupportedSlideError(
            f"{name} belongs to a stack of {min(planes)} planes.",
            "Export one plane as 8-bit RGB, for example with QuPath.",
        )


def _notes(images: Sequence[Any], slides: Sequence[Any], chosen: Any) -> tuple[str, ...]:  # noqa: ANN401 - as above
    also = [other for other in slides if other is not chosen and _area(other) >= _ALSO_LARGE * _area(chosen)]
    if chosen is images[0] and not also:
        return ()
    width, height = size_of(chosen)
    note = f"The file holds {len(images)} images. The largest one is read: {width} x {height} px."
    if also:
        sizes = ", ".join(f"{one} x {other} px" for one, other in map(size_of, also[:5]))
        note += f" Others are large, too, and are not read: {sizes}."
    return (note,)
