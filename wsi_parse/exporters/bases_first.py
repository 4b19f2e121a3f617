"""BasesFirst: which objects of a GeoJSON file come first, so that QuPath takes the colours of the run.

The first colour that a running QuPath sees for a class stays, and "X: Unsure" makes X with an invented one.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wsi_parse.qupath.classes import KNOWN_COLOURS, bases_of, repaired_name


class BasesFirst:
    """Finds, in the objects of one file, the first object of each class that a derived class came before.

    Parameters
    ----------
    names : sequence of str
        The name of each row of the class table.
    """

    def __init__(self, names: Sequence[str]) -> None:
        names = [repaired_name(name) for name in names]
        self._names = np.array(names, object)
        bases = dict.fromkeys(base for name in names for base in bases_of(name))
        # For each class that others are derived from: which rows are the class, and which are derived from it.
        self._rows = {
            base: (np.isin(names, [base]), np.array([base in bases_of(name) for name in names])) for base in bases
        }
        self._open = {base for base, (same, _) in self._rows.items() if same.any()}
        self._waiting: set[str] = set()
        self._seen: set[int] = set()

    def moved(self, class_index: NDArray[np.int16]) -> dict[int, str]:
        """Take the next objects.

        Parameters
        ----------
        class_index : int array (N,)
            Rows of the class table.

        Returns
        -------
        dict of int to str
            Numbers of the objects that belong before all others, and their class.
        """
        self._seen.update(np.unique(class_index).tolist())
        found = {}
        for base in sorted(self._open):
            same, derived = (np.flatnonzero(rows[class_index])[:1] for rows in self._rows[base])
            if len(same):
                self._open.remove(base)
                if base in self._waiting or (len(derived) and derived[0] < same[0]):
                    found[int(same[0])] = base
            elif len(derived):
                self._waiting.add(base)
        return found

    def missing(self) -> list[str]:
        """Return the classes from which objects are derived, but which have no object, and no colour in QuPath."""
        seen = {self._names[row] for row in self._seen}
        return sorted({base for name in seen for base in bases_of(name)} - seen - KNOWN_COLOURS.keys())
