"""Which fields of a slide are worth a look: the densest, the least certain, and some at random."""

import numpy as np
from numpy.typing import NDArray

from wsi_parse.report.lattice import FieldLattice

FIELDS = 10
# The mean of fewer objects says little.
_MIN_OBJECTS = 5
# A random field lies on tissue, in the region of interest, by at least this part; any other field by a smaller one.
_MIN_TISSUE, _LEAST_TISSUE = 0.5, 0.25
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
    many = np.where(_on_tissue(lattice, _LEAST_TISSUE), lattice.sums(objects).astype(float), -np.inf)
    return _best(many, lattice.field_steps, above=0.0)


def least_certain(lattice: FieldLattice, most: int = FIELDS) -> list[_Corner]:
    """Choose fields with several objects in which their mean probability is lowest; `most` is their largest number."""
    _, certainty = lattice.certainty
    count, total = lattice.sums(certainty.count), lattice.sums(certainty.total)
    needed = min(_MIN_OBJECTS, int(count.max(initial=0)))
    known = (count >= max(1, needed)) & _on_tissue(lattice, _LEAST_TISSUE)
    doubt = np.where(known, -total / np.maximum(count, 1), -np.inf)
    return _best(doubt, lattice.field_steps, above=-np.inf, most=most)


def at_random(lattice: FieldLattice, seed: int) -> list[_Corner]:
    """Choose fields on tissue, without regard to what was found; the same ones for the same seed."""
    side = lattice.field_steps
    if not lattice.tissue_um2.any():
        return []
    enough = np.argwhere(_on_tissue(lattice, _MIN_TISSUE)[::side, ::side])
    chosen = np.random.Generator(np.random.PCG64(seed)).permutation(len(enough))[:FIELDS]
    return [(row, column) for row, column in (enough[np.sort(chosen)] * side).tolist()]


def _on_tissue(lattice: FieldLattice, part: float) -> NDArray[np.bool_]:
    """Return which fields lie on tissue by a part of what a field, or the one with most of it, can have."""
    tissue = lattice.sums(lattice.tissue_um2)
    found: NDArray[np.bool_] = tissue >= part * min((lattice.field_steps * lattice.step_um) ** 2, tissue.max(initial=0))
    return found


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
