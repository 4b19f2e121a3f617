"""What counts in a comparison, and how: the reader's choices."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from wsi_parse.errors import UnknownNameError, UsageError
from wsi_parse.prompts import UNSURE

Objects = Literal["all", "cells", "nuclei", "regions"]
UNCLASSIFIED = "Unclassified"


@dataclass(frozen=True)
class EvaluationOptions:
    """What counts, and how.

    Parameters
    ----------
    mpp : float or None
        Microns per pixel; None takes what the files say.
    radius : str
        How far apart centres of the same object may be: "6um" or "12px". Microns need a pixel size.
    iou : float
        Objects whose intersection over union is above it are the same.
    objects : {"all", "cells", "nuclei", "regions"} or None
        "cells" are detections and cells, "nuclei" the same by their nucleus where they have one, "regions" annotations.
        None is "all", with cells by their nucleus where one file has cells with nuclei, the other only detections.
    within : Path or None
        GeoJSON; only objects whose centroid lies in its polygons count, and areas are clipped to them.
    within_class : str or None
        The same with the annotations of this class in the truth; they are no objects themselves.
    keep_unsure : bool
        Whether "X: Unsure" is a class of its own; else it counts as X.
    """

    mpp: float | None = None
    radius: str = "6um"
    iou: float = 0.5
    objects: Objects | None = None
    within: Path | None = None
    within_class: str | None = None
    keep_unsure: bool = False

    def __post_init__(self) -> None:
        if self.objects is not None:
            objects_of(self.objects)
        if self.mpp is not None and not 0 < self.mpp < float("inf"):
            raise UsageError(f"{self.mpp:g} microns per pixel cannot be.", "Give --mpp as for example 0.25.")
        if not 0 < self.iou < 1:
            raise UsageError(f"An IoU of {self.iou:g} cannot be asked for.", "Give one above 0 and below 1.")
        if self.within is not None and self.within_class is not None:
            raise UsageError("--within and --within-class exclude each other.", "Give one of them.")
        self.radius_number()

    def radius_number(self) -> tuple[float, Literal["um", "px"]]:
        """Return the radius and its unit.

        >>> EvaluationOptions(radius="12 px").radius_number()
        (12.0, 'px')
        """
        words = self.radius.strip().lower().replace("µm", "um")
        unit: Literal["um", "px"] = "px" if words.endswith("px") else "um"
        try:
            number = float(words.removesuffix(unit))
        except ValueError:
            number = -1.0
        if not 0 < number < float("inf"):
            raise UsageError(f"{self.radius!r} is no radius.", "Give for example 6um or 12px.")
        return number, unit

    def class_name(self, name: str) -> str:
        """Return the class that an object of a class counts for.

        >>> EvaluationOptions().class_name("Tumor: Unsure"), EvaluationOptions().class_name("")
        ('Tumor', 'Unclassified')
        """
        return (name if self.keep_unsure else name.removesuffix(UNSURE)) or UNCLASSIFIED


def objects_of(word: str) -> Objects:
    """Return a word as the kind of objects it names; an error tells the known ones."""
    if word not in get_args(Objects):
        raise UnknownNameError.of("kind of objects", word, get_args(Objects))
    return cast("Objects", word)
