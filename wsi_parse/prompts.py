"""Prompts, and the known pathology targets with their synonyms, kinds, and class names and colours in QuPath."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from wsi_parse.errors import did_you_mean

Kind = Literal["cell", "region"]
Rgb = tuple[int, int, int]
#: Added to the class name of objects whose class is unsure; in QuPath this makes a derived class.
UNSURE = ": Unsure"


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of object that a model can be asked for.

    Parameters
    ----------
    name : str
        The canonical name, in the plural and in lower case.
    kind : {"cell", "region"}
        Cells are split and counted; regions keep their holes.
    class_name : str
        Name of the class in QuPath.
    colour : tuple of int
        Colour of the class, RGB, 0..255.
    synonyms : tuple of str
        Other names of the same target, normalised.
    narrower : tuple of str
        Names of something that the target includes among others: who asks for it gets more.
    """

    name: str
    kind: Kind
    class_name: str
    colour: Rgb
    synonyms: tuple[str, ...] = ()
    narrower: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """All words that are understood as this target."""
        return (self.name, *self.synonyms, *self.narrower)


TARGETS: tuple[Target, ...] = (
    Target("nuclei", "cell", "Nucleus", (60, 90, 220), ("nucleus", "cell", "cells", "cell nuclei", "all nuclei")),
    Target(
        "neoplastic cells",
        "cell",
        "Tumor",
        (200, 0, 0),
        ("neoplastic cell", "tumor cells", "tumour cells", "tumor", "tumour"),
        ("cancer cells", "malignant cells", "cancer", "carcinoma cells"),
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
        ("inflammatory cell", "immune cells", "leukocytes", "leucocytes", "inflammation"),
        ("lymphocytes",),
    ),
    Target(
        "connective tissue cells",
        "cell",
        "Stroma",
        (150, 200, 150),
        ("connective tissue cell", "connective cells", "stromal cells", "stroma cells"),
        ("fibroblasts", "stroma"),
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
    """A request of the user.

    Parameters
    ----------
    text : str
        The user's words, without white space at both ends.
    name : str
        The canonical name of the target; the normalised words if they name no known target.
    kind : {"cell", "region"}
    class_name : str
        Name of the class in QuPath.
    colour : tuple of int
        Colour of the class, RGB, 0..255.
    known : bool
        Whether the words name a target of :data:`TARGETS`, or of the model.
    site : str or None
        The organ, if the words name one: "glands in colon pathology".
    """

    text: str
    name: str
    kind: Kind
    class_name: str
    colour: Rgb
    known: bool
    site: str | None = None

    @classmethod
    def parse(cls, text: str, vocabulary: Sequence[Target] = ()) -> "Prompt":
        """Turn words into a prompt; synonyms, singular and plural forms have the same name.

        Parameters
        ----------
        text : str
        vocabulary : sequence of Target
            Targets of a model, beside :data:`TARGETS`; where both know a word, the model's meaning counts.

        Examples
        --------
        >>> Prompt.parse("Lymphocytes").name
        'inflammatory cells'
        >>> Prompt.parse("tumour cells in Breast pathology").site
        'breast'
        >>> Prompt.parse("blue dots").known
        False
        >>> Prompt.parse("Blue Dot", (Target("blue dots", "cell", "Dot", (0, 0, 255)),)).class_name
        'Dot'
        """
        by_words = _BY_WORDS | _by_words(vocabulary)
        words = normalise(text)
        bare, site = _without_site(words, by_words)
        target = by_words.get(singular(bare))
        if target is not None:
            return cls(text.strip(), target.name, target.kind, target.class_name, target.colour, True, site)
        kind: Kind = "cell" if _CELL_WORDS.search(bare) else "region"
        return cls(text.strip(), words, kind, safe_class_name(words), _UNKNOWN_COLOUR, False, site)


def class_name_fault(name: str) -> str | None:
    """Return why QuPath refuses a class of this name; None if it takes the name.

    A colon separates the name of a class from that of a class derived from it.

    >>> class_name_fault("Tumor: Positive"), class_name_fault(" "), class_name_fault("A::B")
    (None, 'is blank', 'has an empty part beside a colon')
    """
    if _is_blank(name):
        return "is blank"
    if "\n" in name:
        return "has a line break"
    return "has an empty part beside a colon" if any(map(_is_blank, name.split(":"))) else None


def class_setting_fault(name: str) -> str | None:
    r"""Return why a class of the settings cannot have this name; None if it can.

    >>> class_setting_fault("Tumor"), class_setting_fault("Tumor\u202e")
    (None, 'has a character that cannot be seen (U+202E)')
    """
    unseen = next((one for one in name if one != "\n" and not one.isprintable()), None)
    reason = class_name_fault(name)
    if reason is None and unseen is not None:
        reason = f"has a character that cannot be seen (U+{ord(unseen):04X})"
    return reason


def safe_class_name(words: str) -> str:
    """Make the name of a class of any words: no derived class, none that QuPath refuses or never counts.

    >>> safe_class_name("blue dots"), safe_class_name(": ki67::high*"), safe_class_name("::")
    ('Blue dots', 'Ki67 - high', 'Object')
    """
    seen = "".join(one if one.isprintable() else " " for one in unicodedata.normalize("NFC", words))
    parts = [" ".join(part.split()) for part in seen.split(":")]
    # QuPath counts no class whose name ends in an asterisk.
    name = " - ".join(part for part in parts if part).rstrip("* ")
    return name.capitalize() or "Object"


# White space as Java understands it: without the spaces that do not break a line.
_JAVA_SPACES = re.compile(r"[\t-\r\x1c-\x20\u1680\u2000-\u2006\u2008-\u200a\u2028\u2029\u205f\u3000]*")


def _is_blank(text: str) -> bool:
    return _JAVA_SPACES.fullmatch(text) is not None


_UNKNOWN_COLOUR: Rgb = (255, 200, 0)
_AT_SITE = re.compile(r"(.+?) in (.+?)(?: pathology)?")
_CELL_WORDS = re.compile(r"\b(?:cells?|nuclei|nucleus|mitos[ie]s|mitotic figures?|\w+(?:cyte|blast|phage|phil)s?)$")


def _without_site(words: str, by_words: Mapping[str, Target]) -> tuple[str, str | None]:
    """Split the words of a known target from the organ that they name."""
    match = _AT_SITE.fullmatch(words)
    return (match[1], match[2]) if match and singular(match[1]) in by_words else (words, None)


def is_narrower(text: str, vocabulary: Sequence[Target] = ()) -> bool:
    """Whether words name only a part of the target that they are understood as.

    >>> is_narrower("Lymphocytes"), is_narrower("immune cells")
    (True, False)
    """
    by_words = _BY_WORDS | _by_words(vocabulary)
    bare, _ = _without_site(normalise(text), by_words)
    target = by_words.get(singular(bare))
    return target is not None and singular(bare) in map(singular, target.narrower)


def suggest_prompt(text: str, vocabulary: Sequence[Target] = ()) -> str:
    """Ask whether a known prompt was meant by words that are none; empty if no prompt is close.

    >>> suggest_prompt("lymphocites")
    "Did you mean 'lymphocytes'?"
    """
    if Prompt.parse(text, vocabulary).known:
        return ""
    return did_you_mean(normalise(text), [words for target in (*TARGETS, *vocabulary) for words in target.words])


def normalise(text: str) -> str:
    """Return words in lower case, with single spaces and without punctuation at the end.

    >>> normalise("  Neoplastic   Cells. ")
    'neoplastic cells'
    """
    words = re.sub(r"\s+", " ", text).strip().lower()
    return words.rstrip(".!?").rstrip() or words


def singular(words: str) -> str:
    """Return words in the singular and in American spelling, in which synonyms are compared.

    >>> singular("tumours"), singular("all nuclei"), singular("lymphocytes"), singular("connective tissue cells")
    ('tumor', 'all nucleus', 'lymphocyte', 'connective tissue cell')
    """
    return " ".join(_singular(word) for word in words.split())


def _singular(word: str) -> str:
    word = word.replace("tumour", "tumor")
    if word.endswith("nuclei"):
        return word.removesuffix("i") + "us"
    return word.removesuffix("s") if word.endswith("s") and not word.endswith(("us", "ss", "is")) else word


def _by_words(targets: Sequence[Target]) -> dict[str, Target]:
    return {singular(normalise(words)): target for target in targets for words in target.words}


_BY_WORDS = _by_words(TARGETS)
