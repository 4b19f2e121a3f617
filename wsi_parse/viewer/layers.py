"""Layer: objects to be shown over a slide; that of a run is read from its objects.parquet."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsi_parse.errors import UsageError
from wsi_parse.run.export import classes_of
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.result import OBJECTS
from wsi_parse.viewer.build import StoreBuilder
from wsi_parse.viewer.details import Details, RowDetails
from wsi_parse.viewer.layout import BINS, CELL_PX, MAX_CLASSES, STORE_VERSION, LayerClass
from wsi_parse.viewer.object_table import ObjectTable
from wsi_parse.viewer.shelf import Shelf
from wsi_parse.viewer.store import Store

#: The measurement that the threshold of the viewer is about.
PROBABILITY = "class_probability"
# To sort so many takes a second or more.
_MANY = 100_000


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


def table_of_run(folder: Path, manifest: RunManifest) -> ObjectTable:
    """Open the objects of a finished run.

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
            f"The run {folder.name} has no {OBJECTS}, from which objects are shown.",
            "Run the slide again with --format parquet, and with the formats that you need.",
        )
    return ObjectTable(path, classes_of(manifest))


def layer_of_table(table: ObjectTable, sha256: str, shelf: Shelf) -> Layer:
    """Open the layer of a table of objects; its buffers are built if they are not there.

    Parameters
    ----------
    table : ObjectTable
    sha256 : str
        Of its file.
    shelf : Shelf

    Raises
    ------
    StoreError
        The table is damaged.
    """
    rows = table.classes.rows
    if len(rows) > MAX_CLASSES:
        raise UsageError(
            f"The run has {len(rows):,} classes, and the viewer shows at most {MAX_CLASSES}.",
            "Look for fewer prompts at a time.",
        )
    classes = tuple(LayerClass(row.name, row.prompt.text, row.unsure, row.colour, row.kind) for row in rows)
    digest = digest_of(sha256, [row.prompt.name for row in rows])

    def build(place: Path) -> None:
        if len(table) > _MANY:
            shelf.say(f"Sorting {len(table):,} objects for the viewer, once …")
        _build(table, place, digest)

    store = shelf.store("result", digest, build)
    return Layer("result", classes, store, RowDetails(table), digest)


def _build(table: ObjectTable, place: Path, digest: str) -> None:
    names = table.measurements
    probability = PROBABILITY if PROBABILITY in names else None
    with StoreBuilder(place, len(table.classes.rows), names, probability) as builder:
        for _, batch, centroid in table.placed():
            builder.add(batch.geometry, batch.class_index, batch.measurements, centroid)
        builder.finish({"digest": digest})


def digest_of(*parts: object) -> str:
    """Hash what a layer is made of; another version of the buffers has other hashes."""
    return hashlib.sha256(json.dumps([STORE_VERSION, *parts]).encode()).hexdigest()
