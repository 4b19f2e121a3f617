"""A user's own tiles: images, and beside each the nuclei as corrected in and exported from QuPath."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image
from skimage.draw import polygon

from workflows.train_mini.tiles import UNKNOWN, Tile
from wsi_parse.annotations.read import feature_of, flat_features
from wsi_parse.annotations.stream import Features
from wsi_parse.errors import UsageError
from wsi_parse.models.mini.facts import CLASS_OF, CLASSES
from wsi_parse.prompts import TARGETS

_IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
#: QuPath's class -> class; any other class is "other", none (or "Nucleus") is unknown.
QUPATH_CLASSES = {target.class_name: CLASS_OF[target.name] for target in TARGETS if target.name in CLASS_OF}


def read_corrected(name: str, folder: Path) -> Iterator[Tile]:
    """Read `<image>` and `<image without suffix>.geojson(.gz)`, in pixels of the image.

    Images in a subfolder are one group (a patient); others are a group each. All nuclei of an image must be
    marked: what is not is learnt as background.
    """
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in _IMAGES):
        annotations = next(
            (p for p in (path.with_suffix(".geojson"), path.with_suffix(".geojson.gz")) if p.exists()), None
        )
        if annotations is None:
            raise SystemExit(f"{path.name} has no {path.stem}.geojson beside it: export its objects from QuPath.")
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        nuclei, classes = _drawn(_features(annotations), pixels.shape[:2])
        group = path.stem if path.parent == folder else path.parent.name
        yield Tile(name, group, path.stem, 0, pixels, nuclei, classes)


def class_of(properties: dict[str, Any]) -> int:
    """Class of a feature by its QuPath class; UNKNOWN where there is none, or it is unsure.

    >>> CLASSES[class_of({"classification": {"name": "Immune cells", "color": [0, 0, 0]}})]
    'inflammatory'
    >>> class_of({"classification": {"names": ["Tumor", "Unsure"]}}) == class_of({}) == UNKNOWN
    True
    """
    told = properties.get("classification") or {}
    names = told.get("names") or str(told.get("name") or "").split(": ")
    if names[0] in {"", "Nucleus"} or "Unsure" in names[1:]:
        return UNKNOWN
    return CLASSES.index(QUPATH_CLASSES.get(names[0], "other"))


def _features(path: Path) -> list[dict[str, Any]]:
    try:
        texts = enumerate(Features(path), 1)
        return [feature for number, text in texts for feature in flat_features(feature_of(text, number, path))]
    except UsageError as error:
        raise SystemExit(str(error)) from error


def _drawn(
    features: list[dict[str, Any]], shape: tuple[int, ...]
) -> tuple[NDArray[np.int32], NDArray[np.uint8] | None]:
    """Number the nuclei in a raster; a pixel belongs to the outline its middle lies in."""
    nuclei = np.zeros(shape, np.int32)
    classes = [UNKNOWN]
    for feature in features:
        outline = shapely.from_geojson(json.dumps(feature.get("nucleusGeometry") or feature["geometry"]))
        for part in shapely.get_parts(outline):
            if part.geom_type != "Polygon":
                continue
            x, y = shapely.get_coordinates(part.exterior).T
            rows, columns = polygon(y - 0.5, x - 0.5, shape)
            nuclei[rows, columns] = len(classes)
            classes.append(class_of(feature.get("properties", {})))
    known = np.array(classes, np.uint8)
    return nuclei, known if (known != UNKNOWN).any() else None
