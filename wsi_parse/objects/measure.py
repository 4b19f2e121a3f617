"""Measurements of objects (size, shape, probability, stains), for whole arrays of objects at once."""

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.geometry import Frame
from wsi_parse.objects.pixel_sums import PixelSums, _as_float


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


def _axes(sums: PixelSums, frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the full axes in microns; each pixel adds its own second moment of 1/12."""
    count = sums.count.astype(np.float64)
    mean_x, mean_y = sums.x / count, sums.y / count
    xx = (_as_float(sums.xx) / count - mean_x**2 + 1 / 12) * frame.mpp_x**2
    yy = (_as_float(sums.yy) / count - mean_y**2 + 1 / 12) * frame.mpp_y**2
    xy = (_as_float(sums.xy) / count - mean_x * mean_y) * frame.mpp_x * frame.mpp_y
    middle, spread = (xx + yy) / 2, np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    return 4 * np.sqrt(middle + spread), 4 * np.sqrt(np.maximum(middle - spread, 0))
