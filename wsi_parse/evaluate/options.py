"""EvaluationOptions: what counts in a comparison, and how."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from wsi_parse.errors import UnknownNameError, UsageError
from wsi_parse.gates import pixel_size_problem
from wsi_parse.prompts import UNSURE

Objects = Literal["all", "cells", "nuclei", "regions"]
UNCLASSIFIED = "Unclassified"
# Several times the largest cells.
_MAX_RADIUS = {"um": 500.0, "px": 5_000.0}


@dataclass(frozen=True)
class EvaluationOptions:
    """The user's choices: what counts, and how.

    Parameters
    ----------
    mpp : float or None
        Microns per pixel; None takes the pixel size of the files.
    radius : str
        The largest distance of the centres of the same object: "6um" or "12px". Microns need a pixel size.
    iou : float
        Objects match if their intersection over union is above this.
    objects : {"all", "cells", "nuclei", "regions"} or None
        "cells" are detections and cells, "nuclei" the same by their nucleus where they have one, "regions" annotations.
        None is "all", with cells by their nucleus if one file has cells with nuclei, and the other only detections.
    roi : Path or None
        GeoJSON; only objects whose centroid lies in its polygons count, and areas are clipped to them.
    roi_class : str or None
        The same with the annotations of this class in the truth; they are no objects themselves.
    keep_unsure : bool
        Whether "X: Unsure" is a separate class; else it counts as X.
    """

    mpp: float | None = None
    radius: str = "6um"
    iou: float = 0.5
    objects: Objects | None = None
    roi: Path | None = None
    roi_class: str | None = None
    keep_unsure: bool = False

    def __post_init__(self) -> None:
        if self.objects is not None:
            objects_of(self.objects)
        if self.mpp is not None and (problem := pixel_size_problem(self.mpp)):
            raise UsageError(
                f"{self.mpp:g} µm per pixel is not a valid pixel size: {problem}.", "Give for example --mpp 0.25."
            )
        if not 0 < self.iou < 1:
            raise UsageError(f"{self.iou:g} is not a valid IoU.", "Give a number above 0 and below 1.")
        if self.roi is not None and self.roi_class is not None:
            raise UsageError("--roi and --roi-class cannot be used together.", "Give one of them.")
        self.radius_number()

    def radius_number(self) -> tuple[float, Literal["um", "px"]]:
        """Return the radius and its unit.

        >>> EvaluationOptions(radius="12 px").radius_number()
        (12.0, 'px')
        """
        text = self.radius.strip().lower().replace("µm", "um")
        unit: Literal["um", "px"] = "px" if text.endswith("px") else "um"
        try:
            number = float(text.removesuffix(unit))
        except ValueError:
            number = -1.0
        if not 0 < number < float("inf"):
            raise UsageError(f"{self.radius!r} is not a valid radius.", "Give for example 6um or 12px.")
        if number > _MAX_RADIUS[unit]:
            raise UsageError(
                f"A radius of {self.radius} is too large: the centres of one object are at most {_MAX_RADIUS[unit]:g} "
                f"{'µm' if unit == 'um' else unit} apart.",
                "Give for example 6um or 12px.",
            )
        return number, unit

    def class_name(self, name: str) -> str:
        """Return the class that an object of a class counts for.

        >>> EvaluationOptions().class_name("Tumor: Unsure"), EvaluationOptions().class_name("")
        ('Tumor', 'Unclassified')
        """
        return (name if self.keep_unsure else name.removesuffix(UNSURE)) or UNCLASSIFIED


def objects_of(name: str) -> Objects:
    """Check the name of a kind of objects; the error lists the known ones."""
    if name not in get_args(Objects):
        raise UnknownNameError.of("kind of objects", name, get_args(Objects))
    return cast("Objects", name)
