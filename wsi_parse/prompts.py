"""Prompt, and the pathology targets known by name: synonyms, kind, class name and colour in QuPath."""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["cell", "region"]
Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Target:
    """Something that a model may be asked for.

    Parameters
    ----------
    name : str
        The canonical words, plural.
    kind : {"cell", "region"}
        Cells are split apart and counted; regions keep their holes.
    class_name : str
        QuPath's class.
    colour : tuple of int
        RGB, 0..255.
    synonyms : tuple of str
        Other words for the same, normalised.
    """

    name: str
    kind: Kind
    class_name: str
    colour: Rgb
    synonyms: tuple[str, ...] = ()


TARGETS: tuple[Target, ...] = (
    Target("nuclei", "cell", "Nucleus", (60, 90, 220), ("nucleus", "cell", "cells", "cell nuclei", "all nuclei")),
    Target(
        "neoplastic cells",
        "cell",
        "Tumor",
        (200, 0, 0),
        (
            "neoplastic cell",
            "tumor cells",
            "tumour cells",
            "tumor",
            "tumour",
            "cancer cells",
            "malignant cells",
        ),
    ),
    Target(
        "epithelial cells",
        "cell",
        "Epithelial",
        (230, 130, 40),
        ("epithelial cell", "epithelium", "healthy epithelial cells"),
    ),
    Target(
        "inflammatory cells",
        "cell",
        "Immune cells",
        (160, 90, 160),
        ("inflammatory cell", "immune cells", "lymphocytes", "lymphocyte", "leukocytes", "inflammation"),
    ),
    Target(
        "connective tissue cells",
        "cell",
        "Stroma",
        (150, 200, 150),
        ("connective tissue cell", "connective cells", "stromal cells", "stroma cells", "fibroblasts"),
    ),
    Target(
        "glandular structure",
        "region",
        "Gland",
        (0, 150, 180),
        ("glandular structures", "glands", "gland"),
    ),
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the user asks for.

    Parameters
    ----------
    text : str
        The user's words, white space folded.
    name : str
        The canonical words; equals `text` where no target is known.
    kind : {"cell", "region"}
    class_name : str
        QuPath's class.
    colour : tuple of int
        RGB, 0..255.
    known : bool
        Whether the words name a target of :data:`TARGETS`.
    site : str or None
        The organ, where the words name it: "glands in colon pathology".
    """

    text: str
    name: str
    kind: Kind
    class_name: str
    colour: Rgb
    known: bool
    site: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Prompt":
        """Resolve words to a prompt: synonyms and plural forms meet in one name.

        >>> Prompt.parse("Lymphocytes").name
        'inflammatory cells'
        >>> Prompt.parse("tumour cells in Breast pathology").site
        'breast'
        >>> Prompt.parse("blue dots").known
        False
        """
        words = normalise(text)
        placed = _IN_PATHOLOGY.fullmatch(words)
        bare, site = (placed[1], placed[2]) if placed else (words, None)
        for target in TARGETS:
            if bare == target.name or bare in target.synonyms:
                return cls(text.strip(), target.name, target.kind, target.class_name, target.colour, True, site)
        kind: Kind = "cell" if _CELLS.search(bare) else "region"
        return cls(text.strip(), words, kind, words.capitalize(), _UNKNOWN_COLOUR, False, site)


_UNKNOWN_COLOUR: Rgb = (255, 200, 0)
_IN_PATHOLOGY = re.compile(r"(.+) in (.+) pathology")
_CELLS = re.compile(r"\b(?:cells?|nuclei|nucleus|\w+cytes?|\w+blasts?)$")


def normalise(text: str) -> str:
    """Lower case, white space folded.

    >>> normalise("  Neoplastic   Cells ")
    'neoplastic cells'
    """
    return re.sub(r"\s+", " ", text).strip().lower()
