"""Classes in QuPath: which names it counts, how it writes them, and in which order objects of them must come.

The first colour that a running QuPath sees for a class stays. "X: Unsure" makes X, too, and gives it a colour of
QuPath's choice if no object of X came before.
"""

#: QuPath knows these from its start, with their colours.
KNOWN_COLOURS = {
    "Tumor": (200, 0, 0),
    "Stroma": (150, 200, 150),
    "Immune cells": (160, 90, 160),
    "Necrosis": (50, 50, 50),
    "Other": (255, 200, 0),
    "Region*": (0, 0, 180),
    "Ignore*": (180, 180, 180),
}
# More classes than any file has that people work with.
_MAX_CLASSES = 10_000


def is_counted(name: str) -> bool:
    """Return whether QuPath counts objects of a class; a name that ends in an asterisk stands for no class.

    >>> is_counted("Tumor"), is_counted("Region*"), is_counted("Tissue macrophages"), is_counted("")
    (True, False, True, True)
    """
    return not name.endswith("*")


class ClassOrder:
    """Looks at the classes of objects in their order.

    Attributes
    ----------
    found_later : set of str
        Classes of which an object came only after one of a class that is derived from it.

    >>> classes = ClassOrder()
    >>> [classes.missing_before(name) for name in ("A: Unsure", "A", "A: Unsure", "Tumor: Unsure")]
    [['A'], [], [], []]
    >>> classes.found_later
    {'A'}
    """

    def __init__(self) -> None:
        self._seen = set(KNOWN_COLOURS)
        self._missing: set[str] = set()
        self.found_later: set[str] = set()

    def missing_before(self, name: str) -> list[str]:
        """Take the class of the next object; return the classes that it is derived from and that were not seen yet."""
        name = repaired_name(name)
        if name in self._seen or len(self._seen) > _MAX_CLASSES:
            return []
        self._seen.add(name)
        if name in self._missing:
            self.found_later.add(name)
        missing = [base for base in bases_of(name) if base not in self._seen and base not in self._missing]
        self._missing.update(missing)
        return missing


def repaired_name(name: str) -> str:
    r"""Return the name of a class in the form in which QuPath writes it; empty if nothing is left of it.

    >>> repaired_name("A::B\nC: "), repaired_name(" : ")
    ('A: B C', '')
    """
    parts = (" ".join(part.split()) for part in name.split(":"))
    return ": ".join(part for part in parts if part)


def bases_of(name: str) -> list[str]:
    """Return the classes that a class is derived from, the first one first.

    >>> bases_of("Tumor: Positive: Unsure"), bases_of("Tumor")
    (['Tumor', 'Tumor: Positive'], [])
    """
    parts = name.split(": ")
    return [": ".join(parts[:count]) for count in range(1, len(parts))]
