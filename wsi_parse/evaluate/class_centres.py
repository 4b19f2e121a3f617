"""Centres of the objects in a GeoJSON file that we wrote, by their class in QuPath."""

import json
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray


def class_centres_um(path: Path, mpp: float) -> dict[str, NDArray[np.float64]]:
    """Return the centres of each class.

    Parameters
    ----------
    path : Path
        GeoJSON in level-0 pixels.
    mpp : float
        Microns per level-0 pixel.

    Returns
    -------
    dict of class to float array (N, 2)
        (x, y) in microns; an unsure object counts for its class.
    """
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    shapes = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])
    centres = shapely.get_coordinates(shapely.centroid(shapes)) * mpp
    names = np.array([feature["properties"]["classification"]["name"].partition(":")[0] for feature in features])
    return {str(name): centres[names == name] for name in np.unique(names)}
