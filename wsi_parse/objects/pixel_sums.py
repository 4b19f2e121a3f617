"""PixelSums: sums over the pixels of each label, from which objects are measured."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PixelSums:
    """Sums over the pixels of each label; those of two parts of one object add up.

    Parameters
    ----------
    count : int array (labels,)
    x, y : int array
        Of the pixels' indices on the object lattice.
    xx, yy, xy : int array (labels, 2)
        Sums of the products of the indices, in two parts: multiples of 2**32, and the rest. The sums of a region of
        14 mm² at 0.25 µm per pixel do not fit into 64 bits.
    probability : int array
        Sum of uint8 probabilities.
    highest : int array
        Largest uint8 probability.
    haematoxylin, eosin : int array
        Sums of optical densities in thousandths; zeros if stains are not measured.
    """

    count: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    xx: NDArray[np.int64]
    yy: NDArray[np.int64]
    xy: NDArray[np.int64]
    probability: NDArray[np.int64]
    highest: NDArray[np.int64]
    haematoxylin: NDArray[np.int64]
    eosin: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        labels: NDArray[np.integer],
        count: int,
        origin: tuple[int, int],
        values: NDArray[np.uint8],
        stains: NDArray[np.int64] | None = None,
    ) -> "PixelSums":
        """Sum over labels 1 to `count`.

        Parameters
        ----------
        labels : int array (rows, columns)
        count : int
        origin : (int, int)
            (x, y) of the array's corner on the object lattice.
        values : uint8 array (rows, columns)
            Probabilities.
        stains : int array (2, rows, columns), optional
            Haematoxylin and eosin densities in thousandths.
        """
        row, column = np.divmod(np.flatnonzero(labels != 0), labels.shape[1])
        label = labels[row, column].astype(np.int64) - 1

        def total(weights: NDArray[np.integer]) -> NDArray[np.int64]:
            # Sums of whole numbers below 2**53 are exact in float64; indices within the array keep them small.
            return np.bincount(label, weights, count).astype(np.int64)

        def split(sums: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.stack([np.zeros_like(sums), sums], axis=1)

        value = values[row, column].astype(np.int64)
        highest = np.zeros(count, np.int64)
        np.maximum.at(highest, label, value)
        haematoxylin, eosin = (
            (np.zeros_like(highest), np.zeros_like(highest))
            if stains is None
            else (total(stains[0, row, column]), total(stains[1, row, column]))
        )
        return cls(
            np.bincount(label, minlength=count),
            total(column),
            total(row),
            split(total(column * column)),
            split(total(row * row)),
            split(total(column * row)),
            total(value),
            highest,
            haematoxylin,
            eosin,
        ).moved(*origin)

    def moved(self, x: int, y: int) -> "PixelSums":
        """Return the sums of the same pixels moved by whole pixels; the labels must lie within one chunk."""
        return replace(
            self,
            x=self.x + self.count * x,
            y=self.y + self.count * y,
            xx=_carried(self.xx, 2 * x * self.x, self.count, x * x),
            yy=_carried(self.yy, 2 * y * self.y, self.count, y * y),
            xy=_carried(self.xy, x * self.y + y * self.x, self.count, x * y),
        )

    def take(self, which: NDArray[np.integer] | NDArray[np.bool_]) -> "PixelSums":
        """Return the sums of some labels."""
        return PixelSums(*(getattr(self, field.name)[which] for field in fields(self)))

    def grouped(self, group: NDArray[np.int64], groups: int) -> "PixelSums":
        """Add up the sums of labels that are parts of one object."""
        parts = {}
        for field in fields(self):
            values = getattr(self, field.name)
            result = np.zeros((groups, *values.shape[1:]), np.int64)
            adder = np.maximum if field.name == "highest" else np.add
            adder.at(result, group, values)
            parts[field.name] = result
        return PixelSums(**parts)


# Number of bits in the lower part of sums that are kept in two parts.
_PART_BITS = 32


def _carried(
    parts: NDArray[np.int64], more: NDArray[np.int64], count: NDArray[np.int64], product: int
) -> NDArray[np.int64]:
    """Add ``more + count * product`` to sums in two parts, exactly."""
    high, low = divmod(product, 1 << _PART_BITS)
    rest = parts[:, 1] + more + count * low
    return np.stack([parts[:, 0] + count * high + (rest >> _PART_BITS), rest & ((1 << _PART_BITS) - 1)], axis=1)


def _as_float(parts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return sums in two parts as the nearest floats."""
    high, low = parts[:, 0] + (parts[:, 1] >> _PART_BITS), parts[:, 1] & ((1 << _PART_BITS) - 1)
    return high.astype(np.float64) * float(1 << _PART_BITS) + low.astype(np.float64)
