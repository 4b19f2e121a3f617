"""Which fields of a slide are worth a look: the densest, the least certain, and some at random."""

import numpy as np
from numpy.typing import NDArray

from wsi_parse.report.lattice import FieldLattice

FIELDS = 10
# The mean of fewer objects says little.
_MIN_OBJECTS = 5
# A random field lies on tissue by at least this part.
_MIN_TISSUE = 0.5
_Corner = tuple[int, int]


def densest(lattice: FieldLattice, objects: NDArray[np.int64]) -> list[_Corner]:
    """Choose the fields with the most objects, the first one first.

    Parameters
    ----------
    lattice : FieldLattice
    objects : int array (rows, columns)
        Objects in each step.

    Returns
    -------
    list of (int, int)
        Row and column of the corner of each, in steps. They do not overlap.
    """
    return _best(lattice.sums(objects).astype(float), lattice.field_steps, above=0.0)


def least_certain(lattice: FieldLattice, most: int = FIELDS) -> list[_Corner]:
    """Choose fields with several objects in which their mean probability is lowest; `most` is their largest number."""
    _, certainty = lattice.certainty
    count, total = lattice.sums(certainty.count), lattice.sums(certainty.total)
    needed = min(_MIN_OBJECTS, int(count.max(initial=0)))
    doubt = np.where(count >= max(1, needed), -total / np.maximum(count, 1), -np.inf)
    return _best(doubt, lattice.field_steps, above=-np.inf, most=most)


def at_random(lattice: FieldLattice, seed: int) -> list[_Corner]:
    """Choose fields on tissue, without regard to what was found; the same ones for the same seed."""
    side = lattice.field_steps
    tissue = lattice.sums(lattice.tissue_um2)[::side, ::side]
    enough = np.argwhere(tissue >= _MIN_TISSUE * min((side * lattice.step_um) ** 2, tissue.max(initial=0)))
    if not tissue.any():
        return []
    chosen = np.random.Generator(np.random.PCG64(seed)).permutation(len(enough))[:FIELDS]
    return [(row, column) for row, column in (enough[np.sort(chosen)] * side).tolist()]


def _best(score: NDArray[np.float64], side: int, *, above: float, most: int = FIELDS) -> list[_Corner]:
    """Take the highest scores one after another, without those whose fields overlap one that was taken."""
    score = score.copy()
    found: list[_Corner] = []
    while len(found) < most and score.size:
        row, column = np.unravel_index(int(np.argmax(score)), score.shape)
        if not score[row, column] > above:
            break
        found.append((int(row), int(column)))
        score[max(0, row - side + 1) : row + side, max(0, column - side + 1) : column + side] = -np.inf
    return found
