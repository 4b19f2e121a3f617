"""Measurements of objects (size, shape, probability, stains), for whole arrays of objects at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from skimage.color import rgb2hed

from wsi_parse.geometry import Frame


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


def measure(
    polygons_level0: NDArray[np.object_], sums: PixelSums, frame: Frame, *, stains: bool
) -> dict[str, NDArray[np.float64]]:
    """Measure finished objects.

    Parameters
    ----------
    polygons_level0 : object array (N,)
        In level-0 pixels, as they are written.
    sums : PixelSums
        Of the same N objects.
    frame : Frame
        The object lattice.
    stains : bool
        Whether stain densities were summed.

    Returns
    -------
    dict of column name to float array (N,)
        Area and perimeter of the polygon; circularity 4 pi area / perimeter**2; solidity = area / area of the
        convex hull; axes of the ellipse with the same second moments; means and maxima over the pixels.
    """
    to_um = np.array([frame.mpp_x / frame.scale_x, frame.mpp_y / frame.scale_y])
    shapes = shapely.set_coordinates(polygons_level0.copy(), shapely.get_coordinates(polygons_level0) * to_um)
    area, perimeter = shapely.area(shapes), shapely.length(shapes)
    hull = shapely.area(shapely.convex_hull(shapes))
    major, minor = _axes(sums, frame)
    columns = {
        "area_um2": area,
        "perimeter_um": perimeter,
        "circularity": np.minimum(1.0, 4 * np.pi * area / perimeter**2),
        "solidity": area / hull,
        "major_axis_um": major,
        "minor_axis_um": minor,
        "probability_mean": sums.probability / sums.count / 255,
        "probability_max": sums.highest / 255,
    }
    if stains:
        columns["haematoxylin_mean_od"] = sums.haematoxylin / sums.count / 1000
        columns["eosin_mean_od"] = sums.eosin / sums.count / 1000
    return columns


def measure_cells(
    nuclei_level0: NDArray[np.object_],
    cells_level0: NDArray[np.object_],
    nuclei: PixelSums,
    cells: PixelSums,
    frame: Frame,
    *,
    stains: bool,
) -> dict[str, NDArray[np.float64]]:
    """Measure cells and their nuclei like :func:`measure`; each column name begins with the part.

    The cytoplasm is the cell without its nucleus; its densities are NaN where it has no pixel. Probabilities are
    those of the nucleus.
    """
    parts = {
        "nucleus": measure(nuclei_level0, nuclei, frame, stains=stains),
        "cell": measure(cells_level0, cells, frame, stains=stains),
    }
    probability = {name: parts["nucleus"].pop(name) for name in ("probability_mean", "probability_max")}
    for name in probability:
        del parts["cell"][name]
    columns = {f"{part}_{name}": values for part, found in parts.items() for name, values in found.items()}
    columns["cytoplasm_area_um2"] = np.maximum(columns["cell_area_um2"] - columns["nucleus_area_um2"], 0.0)
    columns["nucleus_cell_area_ratio"] = columns["nucleus_area_um2"] / columns["cell_area_um2"]
    if stains:
        count = np.where(cells.count > nuclei.count, cells.count - nuclei.count, np.nan)
        for name in ("haematoxylin", "eosin"):
            total = getattr(cells, name) - getattr(nuclei, name)
            columns[f"cytoplasm_{name}_mean_od"] = total / count / 1000
    return columns | probability


def joined(parts: Sequence[tuple[int, Mapping[str, NDArray[np.float64]]]]) -> dict[str, NDArray[np.float64]]:
    """Concatenate the columns of several (number of objects, columns); a column that one part lacks is NaN there."""
    names = dict.fromkeys(name for _, columns in parts for name in columns)
    return {
        name: np.concatenate([columns.get(name, np.full(count, np.nan)) for count, columns in parts]) for name in names
    }


def _axes(sums: PixelSums, frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the full axes in microns; each pixel adds its own second moment of 1/12."""
    count = sums.count.astype(np.float64)
    mean_x, mean_y = sums.x / count, sums.y / count
    xx = (_as_float(sums.xx) / count - mean_x**2 + 1 / 12) * frame.mpp_x**2
    yy = (_as_float(sums.yy) / count - mean_y**2 + 1 / 12) * frame.mpp_y**2
    xy = (_as_float(sums.xy) / count - mean_x * mean_y) * frame.mpp_x * frame.mpp_y
    middle, spread = (xx + yy) / 2, np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    return 4 * np.sqrt(middle + spread), 4 * np.sqrt(np.maximum(middle - spread, 0))


def stain_densities(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the haematoxylin and eosin densities of an RGB image, in thousandths, as (2, rows, columns).

    Colour deconvolution with the vectors of Ruifrok and Johnston (2001), in base-10 optical density as in QuPath.
    """
    # rgb2hed returns densities of unit stain vectors in natural logarithms of 1e-6, hence its own scale.
    hed = rgb2hed(image.astype(np.float32) / 255)
    scale = -np.log(1e-6) / np.log(10)
    return np.rint(hed[..., :2] * scale * 1000).astype(np.int64).transpose(2, 0, 1)
