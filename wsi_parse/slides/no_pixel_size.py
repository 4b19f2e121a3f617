"""The error for a slide without a pixel size: what the file says instead, and what is wrong with its description."""

from wsi_parse.cautions import DAMAGED_DESCRIPTION
from wsi_parse.errors import PixelSizeError
from wsi_parse.slides.base import SlideInfo

_FIND_IT = (
    "Find it with `wsi-parse preview`, which estimates it and shows nuclei beside rulers; then give it with --mpp (in "
    "Python: SlideOptions(mpp=...))."
)


def no_pixel_size(info: SlideInfo) -> PixelSizeError:
    """Build the error for a slide whose pixel size neither the file nor the user gave.

    Where the description in the file is damaged, that is said first: a pixel size from the user would not mend it.
    """
    stated = info.stated_pixel_size
    but = "" if stated is None else f": the file says {stated.x_um:.4g} x {stated.y_um:.4g} µm ({stated.source}), "
    but += "which no slide has" if but else ""
    said, remedy = f"{info.name} has no pixel size (µm per pixel){but}.", _FIND_IT
    damage = next((caution for caution in info.cautions if caution.code == DAMAGED_DESCRIPTION), None)
    if damage is not None:
        said, remedy = (
            f"{said} {damage.text}",
            f"{damage.remedy} Only if you cannot: {_FIND_IT[0].lower()}{_FIND_IT[1:]}",
        )
    return PixelSizeError(said, remedy)
