"""Layer: objects to be shown over a slide; that of a run is read from its objects.parquet."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wsi_parse.errors import UsageError
from wsi_parse.exporters.parquet_source import ParquetSource
from wsi_parse.files import file_sha256
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.run.export import classes_of
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.result import OBJECTS
from wsi_parse.viewer.build import StoreBuilder
from wsi_parse.viewer.details import Details, RowDetails
from wsi_parse.viewer.layout import BINS, CELL_PX, MAX_CLASSES, STORE_VERSION, LayerClass
from wsi_parse.viewer.shelf import Shelf
from wsi_parse.viewer.store import Store

#: The measurement that the threshold of the viewer is about.
PROBABILITY = "class_probability"


@dataclass(frozen=True)
class Layer:
    """Objects over a slide.

    Parameters
    ----------
    name : str
    classes : tuple of LayerClass
    store : Store
    details : Details
    digest : str
        Of all that the layer is made of.
    """

    name: str
    classes: tuple[LayerClass, ...]
    store: Store
    details: Details
    digest: str

    def to_dict(self, index: int) -> dict[str, Any]:
        """Return it for view.json."""
        objects = self.store.objects
        return {
            "index": index,
            "name": self.name,
            "objects": sum(objects),
            "cell_px": CELL_PX,
            "large": self.store.facts["large"],
            "bins": BINS,
            "classes": [one.to_dict(number, objects[number]) for number, one in enumerate(self.classes)],
            "probability": self.store.facts["probability"],
            "measurements": self.store.facts["measurements"],
        }


def layer_of_run(folder: Path, manifest: RunManifest, shelf: Shelf) -> Layer:
    """Open the layer of a finished run; its buffers are built if they are not there.

    Raises
    ------
    UsageError
        The run has no objects.parquet.
    StoreError
        It is damaged.
    """
    path = folder / OBJECTS
    if not path.is_file():
        raise UsageError(
            f"The run in {folder} has no {OBJECTS}, from which objects are shown.",
            "Run the slide again with --format parquet, and with the formats that you need.",
        )
    return layer_of_table(path, classes_of(manifest), shelf)


def layer_of_table(path: Path, table: ClassTable, shelf: Shelf) -> Layer:
    """Open the layer of a table of objects, as runs write it; its buffers are built if they are not there.

    Raises
    ------
    StoreError
        The table is damaged.
    """
    classes = tuple(LayerClass(row.name, row.prompt.text, row.unsure, row.colour, row.kind) for row in table.rows)
    check_classes(len(classes), path.name)
    digest = digest_of(file_sha256(path), [row.prompt.name for row in table.rows])
    store = shelf.store("result", digest, lambda place: _build(path, table, place, digest))
    return Layer("result", classes, store, RowDetails(path), digest)


def _build(path: Path, table: ClassTable, place: Path, digest: str) -> None:
    source = ParquetSource(path, table)
    centroid = centroids_of(path)
    names = source.measurements
    builder = StoreBuilder(place, len(table.rows), names, PROBABILITY if PROBABILITY in names else None)
    row = 0
    for batch in source.batches():
        end = row + len(batch)
        builder.add(batch.geometry, batch.class_index, batch.measurements, centroid[row:end])
        row = end
    builder.finish({"digest": digest})


def centroids_of(path: Path) -> NDArray[np.float64]:
    """Read the centroids of all objects, float array (N, 2), as they stand in the file."""
    table = pq.read_table(path, columns=["centroid_x_level0", "centroid_y_level0"])
    return np.stack([column.to_numpy() for column in table.columns], axis=1).reshape(-1, 2)


def check_classes(count: int, name: str) -> None:
    """Refuse more classes than one byte can number."""
    if count > MAX_CLASSES:
        raise UsageError(
            f"{name} has {count:,} classes, and the viewer shows at most {MAX_CLASSES}.",
            "Check whether something else, such as an id, was written as the class.",
        )


def digest_of(*parts: object) -> str:
    """Hash what a layer is made of; another version of the buffers has other hashes."""
    return hashlib.sha256(json.dumps([STORE_VERSION, *parts]).encode()).hexdigest()
