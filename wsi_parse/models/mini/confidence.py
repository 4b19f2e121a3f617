"""Confidence: from which probability on each class of some weights is sure, and what of a slide they learnt from.

It stands in confidence.json beside the weights. Its lines were chosen on tissue that was neither trained nor reported
on; a class without a line is never sure.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wsi_parse.errors import WeightsError
from wsi_parse.files import file_sha256
from wsi_parse.gates import check_input
from wsi_parse.models.mini.facts import CLASS_OF, CLASSES, EMBEDDED, MIN_CLASS_PROBABILITY
from wsi_parse.models.scale_pass import NEVER_SURE, LearntRange

CONFIDENCE_NAME = "confidence.json"
_MAX_BYTES = 1 << 20
Line = Annotated[float, Field(ge=0, le=1)] | None
Lines = dict[str, Line]
BREAST = "breast"
# What people write in place of the names in confidence.json.
_SYNONYMS = {
    "breasts": BREAST,
    "mamma": BREAST,
    "mammary": BREAST,
    "mammary gland": BREAST,
    "colorectal": "colon",
    "gastric": "stomach",
    "hepatic": "liver",
    "renal": "kidney",
}
# Members of the state of the model, and their names in a caution.
_LEARNT = {
    "strength": "the strength of the stain",
    "white": "the optical density of white",
    "sharpness": "the sharpness",
    "nuclear_area_um2": "the area of dark spots in µm²",
}


class Confidence(BaseModel):
    """How sure the classes of some weights are; the form of confidence.json."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True)

    weights_sha256: str = ""
    """Hash of the weights that were calibrated; empty: none were."""
    lines: Lines
    """Class to the lowest mean probability over a nucleus at which it is sure; null: it is never sure."""
    reached: dict[str, tuple[float, float, float]] = {}
    """Class to the share of its sure nuclei that were right on tissue kept apart, and the 95 % interval of that."""
    organs: dict[str, Lines] = {}
    """Organ to lines that replace those above, for the classes that it names."""
    reached_in_organs: dict[str, dict[str, tuple[float, float, float]]] = {}
    """As `reached`, at the lines of an organ."""
    learnt: dict[str, tuple[float, float]] = {}
    """Range of each number of :func:`wsi_parse.models.mini.appearance.appearance_of` in the training tiles."""

    @model_validator(mode="after")
    def _names_every_class(self) -> Self:
        for where, lines in {"lines": self.lines, **self.organs}.items():
            if unknown := lines.keys() - set(CLASSES):
                raise ValueError(f"{where} names no classes: {', '.join(sorted(unknown))}")
        if missing := set(CLASS_OF.values()) - self.lines.keys():
            raise ValueError(f"lines has none for {', '.join(sorted(missing))}")
        return self

    @property
    def is_calibrated(self) -> bool:
        """Whether it was measured how often sure classes are right."""
        return bool(self.reached)

    def line(self, class_name: str, organ: str | None) -> float:
        """Return the line of a class in an organ, or in any tissue; :data:`NEVER_SURE` where it is never sure."""
        line = (self.lines | self.lines_of(organ))[class_name]
        return NEVER_SURE if line is None else line

    def lines_of(self, organ: str | None) -> Lines:
        """Return the lines that an organ has of its own; empty if there are none."""
        wanted = organ_name(organ or "")
        return next((lines for name, lines in self.organs.items() if organ_name(name) == wanted), {})

    def reached_of(self, organ: str | None) -> dict[str, tuple[float, float, float]]:
        """Return how often sure classes were right, at the lines that hold in an organ, or in any tissue."""
        own = {name: reached for name, reached in self.reached.items() if name not in self.lines_of(organ)}
        wanted = organ_name(organ or "")
        return own | next((one for name, one in self.reached_in_organs.items() if organ_name(name) == wanted), {})

    def ranges(self) -> tuple[LearntRange, ...]:
        """Return what a slide must look like for the lines to hold."""
        return tuple(
            LearntRange(name, words, *self.learnt[name]) for name, words in _LEARNT.items() if name in self.learnt
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read confidence.json.

        Raises
        ------
        WeightsError
            The file is damaged, or something else.
        """
        check_input(path, "a file of confidence", error=WeightsError, max_bytes=_MAX_BYTES)
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            raise WeightsError(
                f"Cannot read {path.name} beside the weights: {error}",
                "Let the calibration write it again, or remove it: then no line is calibrated.",
            ) from error


#: Of weights without a confidence.json.
UNCALIBRATED = Confidence(lines=dict.fromkeys(CLASSES, MIN_CLASS_PROBABILITY))


@cache
def embedded_confidence() -> Confidence:
    """Read the confidence of the embedded weights."""
    return Confidence.load(EMBEDDED.with_name(CONFIDENCE_NAME))


def confidence_of(weights: Path | None) -> Confidence:
    """Return the confidence of a file of weights, None: of the embedded ones; uncalibrated if no file belongs to them.

    Raises
    ------
    WeightsError
        The file beside the weights is damaged.
    """
    if weights is None:
        return embedded_confidence()
    path = weights.with_name(CONFIDENCE_NAME)
    if not (path.is_file() and weights.is_file()):
        return UNCALIBRATED
    found = Confidence.load(path)
    return found if found.weights_sha256 == file_sha256(weights) else UNCALIBRATED


def organ_name(organ: str) -> str:
    """Resolve the spelling of an organ and its synonyms.

    >>> organ_name("Mammary  gland")
    'breast'
    """
    words = " ".join(organ.lower().replace("_", " ").split())
    return _SYNONYMS.get(words, words)


def sure_words(lines: Mapping[str, float]) -> str:
    """Say in half a sentence when each of some classes is sure.

    >>> sure_words({"neoplastic": 0.7, "epithelial": NEVER_SURE})
    'neoplastic is sure from a probability of 0.7 on, epithelial never'
    >>> sure_words({"neoplastic": 0.9, "epithelial": NEVER_SURE, "inflammatory": NEVER_SURE, "connective": 0.8})
    'a class is sure from its probability on (neoplastic 0.9, connective 0.8), epithelial and inflammatory never'
    """
    sure = {name: line for name, line in lines.items() if line < NEVER_SURE}
    never = [name for name in lines if name not in sure]
    if not sure:
        return "no class of this run is ever sure" if len(never) > 1 else f"{never[0]} is never sure"
    if len(set(sure.values())) == 1:
        who = next(iter(sure)) if len(sure) == 1 and never else "a class"
        words = f"{who} is sure from a probability of {next(iter(sure.values())):g} on"
    else:
        words = (
            f"a class is sure from its probability on ({', '.join(f'{name} {line:g}' for name, line in sure.items())})"
        )
    if not never:
        return words
    *first, last = never
    return f"{words}, {' and '.join([', '.join(first), last] if first else [last])} never"
