"""A user's own tiles: images, each with the nuclei that were corrected in and exported from QuPath."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image
from skimage.draw import polygon

from workflows.train_mini.tiles import UNKNOWN, Tile
from wsi_parse.annotations import read_annotations
from wsi_parse.errors import UsageError
from wsi_parse.exporters.areas import TISSUE
from wsi_parse.models.mini.facts import CLASS_OF, CLASSES
from wsi_parse.prompts import TARGETS
from wsi_parse.qupath.classes import is_counted

_IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
_MODES = {"RGB", "RGBA", "L", "P"}
#: Class of each QuPath class; any other QuPath class is "other", none (or "Nucleus") is unknown.
QUPATH_CLASSES = {target.class_name: CLASS_OF[target.name] for target in TARGETS if target.name in CLASS_OF}


def read_corrected(name: str, folder: Path) -> Iterator[Tile]:
    """Read `<image>` and `<image without suffix>.geojson(.gz)`, in pixels of the image.

    Images in one folder are one group (a patient); other images are a group each. All nuclei of an image must be
    marked, because the rest is learnt as background. No nuclei are the tissue that a run wrote, and objects of classes
    that QuPath does not count, such as Region* and Ignore*.
    """
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in _IMAGES):
        annotations = next(
            (p for p in (path.with_suffix(".geojson"), path.with_suffix(".geojson.gz")) if p.exists()), None
        )
        if annotations is None:
            raise SystemExit(f"{path.name} has no {path.stem}.geojson beside it. Export its objects from QuPath.")
        with Image.open(path) as image:
            if image.mode not in _MODES:
                raise SystemExit(
                    f"{path.name} is not a picture with 8-bit colours or greys ({image.mode}). Convert it."
                )
            pixels = np.asarray(image.convert("RGB"))
        nuclei, classes = _drawn(annotations, pixels.shape[:2])
        first, *below = path.relative_to(folder).parts
        group = first if below else path.stem
        yield Tile(name, group, path.stem, 0, pixels, nuclei, classes)


def class_of(name: str) -> int:
    """Return the class of a nucleus by its QuPath class; UNKNOWN if there is none, or it is unsure.

    >>> CLASSES[class_of("Immune cells")]
    'inflammatory'
    >>> class_of("Tumor: Unsure") == class_of("") == UNKNOWN
    True
    """
    first, *more = name.split(": ")
    if first in {"", "Nucleus"} or "Unsure" in more:
        return UNKNOWN
    return CLASSES.index(QUPATH_CLASSES.get(first, "other"))


def _drawn(path: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.int32], NDArray[np.uint8] | None]:
    """Rasterise the nuclei of a file as numbers; a pixel belongs to the outline that its middle lies in."""
    try:
        annotations = read_annotations(path)
    except UsageError as error:
        raise SystemExit(str(error)) from error
    outlines = annotations.geometry
    if annotations.nucleus is not None:
        outlines = np.where(shapely.is_missing(annotations.nucleus), outlines, annotations.nucleus)
    nuclei, classes = np.zeros(shape, np.int32), [UNKNOWN]
    for outline, name, kind in zip(outlines, annotations.class_name, annotations.object_type, strict=True):
        if not is_counted(name) or (name == TISSUE.class_name and kind == "annotation"):
            continue
        for part in shapely.get_parts(outline):
            x, y = shapely.get_coordinates(part.exterior).T
            rows, columns = polygon(y - 0.5, x - 0.5, shape)
            nuclei[rows, columns] = len(classes)
            classes.append(class_of(name))
    if len(classes) > 1 and not nuclei.any():
        raise SystemExit(
            f"{path.name}: no outline lies in its picture. Export in pixels of the picture, not of a slide."
        )
    known = np.array(classes, np.uint8)
    return nuclei, known if (known != UNKNOWN).any() else None
