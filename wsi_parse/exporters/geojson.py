"""GeoJSON for QuPath, streamed: whole batches are converted to text at once, and parsing it back is exact.

Arrow builds the text: a table of decimals for the quarter pixels that occur is joined to points, rings, parts and
features. There is no Python loop over objects or vertices.
"""

import gzip
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from wsi_parse.contours.rings import Rings
from wsi_parse.errors import UsageError
from wsi_parse.exporters.base import ExportContext, StreamingExporter
from wsi_parse.exporters.bases_first import BasesFirst
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ObjectClass
from wsi_parse.prompts import class_name_fault
from wsi_parse.qupath.features import GRID_STEPS_PER_PIXEL, OBJECT_TYPE, classification, grid_steps, require_valid

# Enough for a measurement (QuPath keeps seven digits), and a third shorter than all digits.
_DIGITS = 5
# Limits the text held at once; the bytes written do not depend on it.
OBJECTS_AT_ONCE = 5_000
_RINGS_AT_ONCE = 1 << 14
# Two and a half times as fast as the default 6; files are 7 % larger.
_GZIP_LEVEL = 4
# A smaller file stays in memory until its end.
_MAX_HELD_BYTES = 1 << 22
_FRACTIONS = pa.array(["", ".25", ".5", ".75"])


class GeoJsonExporter(StreamingExporter):
    """A FeatureCollection, one feature per line; compressed if the path ends in ``.gz``.

    Parameters
    ----------
    path : Path
    context : ExportContext
    locked : bool
        Whether objects are locked against editing in QuPath.
    gzipped : bool, optional
        Whether to compress; None decides by the path.

    Notes
    -----
    Coordinates are level-0 pixels minus the context's offset. The member ``wsi_parse`` holds the provenance.
    Nuclei are detections, cells that have a nucleus are cells, regions annotations. Measurements have 5 significant
    digits; values that are not finite are left out. Objects come in their order, but the first one of a class moves to
    the front if one of a class derived from it ("X: Unsure") came before.

    Raises
    ------
    UsageError
        QuPath takes no class of a name in the context.
    """

    file_name: ClassVar[str] = "annotations.geojson"

    def __init__(
        self, path: Path, context: ExportContext, *, locked: bool = False, gzipped: bool | None = None
    ) -> None:
        super().__init__(path, context)
        self._gzipped = path.suffix == ".gz" if gzipped is None else gzipped
        rows = context.classes.rows
        for row in rows:
            if fault := class_name_fault(row.name):
                raise UsageError(
                    f"QuPath takes no class of the name {row.name!r}, because it {fault}.",
                    "Choose another name with export.classes.",
                )
        self._tails = pa.array([_tail(row, OBJECT_TYPE[row.kind], locked) for row in rows], pa.string())
        self._tails_of_cells = pa.array([_tail(row, "cell", locked) for row in rows], pa.string())
        #: Uncompressed bytes written so far.
        self.size = 0
        self._empty = True
        self._order = BasesFirst([row.name for row in rows])
        # The text of the features that come first, and of the others.
        self._first: list[tuple[str, pa.Buffer]] = []
        self._others: IO[bytes]
        self._temporary: Path

    @property
    def missing_classes(self) -> Sequence[str]:
        """Classes from which objects are derived but which have no object, so that QuPath may choose their colours."""
        return self._order.missing()

    def _open(self, temporary: Path, stack: ExitStack) -> None:
        self._temporary = temporary
        # What comes first is known only at the end.
        held = tempfile.SpooledTemporaryFile(_MAX_HELD_BYTES, "w+b", dir=str(temporary.parent))  # noqa: SIM115 - by the stack
        self._others = stack.enter_context(held)
        self.size = len(self._head)

    @property
    def _head(self) -> bytes:
        provenance = json.dumps(self.provenance, separators=(",", ":"), allow_nan=False)
        return f'{{"type":"FeatureCollection","wsi_parse":{provenance},"features":['.encode()

    def write(self, batch: ObjectBatch) -> None:
        """Add a batch of objects."""
        for part in batch.parts(OBJECTS_AT_ONCE):
            self.add(self.features(part), part.class_index)

    def write_polygon(self, rings: Rings, name: str, class_index: int) -> None:
        """Add one polygon of many rings, some rings at a time. Other than in :meth:`write`, nothing is checked.

        Parameters
        ----------
        rings : Rings
            The outer ring, then the holes, in level-0 pixels, valid and on QuPath's grid.
        name : str
            Its id, a UUID.
        class_index : int
            Of a class from which no other one is derived.
        """
        head = f'{{"type":"Feature","id":"{name}","geometry":{{"type":"Polygon","coordinates":[[['.encode()
        self._others.write(b",\n")
        self.size += 2 - self._empty
        self._empty = False
        for part in rings.parts(_RINGS_AT_ONCE):
            texts = _lists(_ring_text(part, self.context.offset_level0), [0, len(part)])
            text = pc.binary_join(texts, _BETWEEN_RINGS)[0].as_buffer()
            self._others.write(head)
            self._others.write(text)
            self.size += len(head) + text.size
            head = _BETWEEN_RINGS.encode()
        end = f"]]]{self._tails[class_index].as_py()}}}}}}}".encode()
        self._others.write(end)
        self.size += len(end)

    def features(self, batch: ObjectBatch) -> pa.StringArray:
        """Convert each object of a batch to the text of a feature."""
        require_valid(batch.geometry, batch.ids)
        offset, tails = self.context.offset_level0, self._tails
        shapes = geometry_text(batch.geometry, offset)
        if batch.nuclei is not None:
            require_valid(batch.nuclei, batch.ids)
            nuclei, tails = geometry_text(batch.nuclei, offset), self._tails_of_cells
            shapes = pc.binary_join_element_wise(shapes, nuclei, '},"nucleusGeometry":{"type":')
        return pc.binary_join_element_wise(
            '{"type":"Feature","id":"',
            pa.array(batch.ids, pa.string()),
            '","geometry":{"type":',
            shapes,
            tails.take(pa.array(batch.class_index)),
            measurements_text(batch.measurements, len(batch)),
            "}}}",
            "",
        )

    def add(self, features: pa.StringArray, class_index: NDArray[np.int16]) -> None:
        """Add features, at least one, and the rows of their classes."""
        # Each is preceded by a newline, and all but the first by a comma.
        self.size += int(pc.sum(pc.binary_length(features)).as_py()) + 2 * len(features) - self._empty
        self._empty = False
        if moved := self._order.moved(class_index):
            self._first += [(name, features[number].as_buffer()) for number, name in moved.items()]
            features = features.filter(pa.array(~np.isin(np.arange(len(features)), list(moved))))
        if len(features):
            self._others.write(b",\n")
            self._others.write(pc.binary_join(_lists(features, [0, len(features)]), ",\n")[0].as_buffer())

    def _finish(self) -> None:
        self._others.seek(0)
        with ExitStack() as stack:
            file: IO[bytes] = stack.enter_context(self._temporary.open("wb"))
            if self._gzipped:
                # Without name and time, so that the same objects give the same bytes.
                file = stack.enter_context(gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0))  # type: ignore[arg-type]
            file.write(self._head)
            # A class comes before those derived from it.
            for number, (_, text) in enumerate(sorted(self._first, key=lambda item: item[0].count(":"))):
                file.write(b",\n" if number else b"\n")
                file.write(text)
            if not self._first:
                # Without the comma.
                self._others.seek(1)
            shutil.copyfileobj(self._others, file, _COPIED_BYTES)
            file.write(_END)
        self.size += len(_END)


_END = b"\n]}\n"
_BETWEEN_RINGS = "]],[["
_COPIED_BYTES = 1 << 20


def geometry_text(geometry: NDArray[np.object_], offset_level0: tuple[int, int]) -> pa.StringArray:
    """Convert polygons to the text inside a GeoJSON geometry, from the type on.

    Parameters
    ----------
    geometry : object array (N,)
        Polygons and MultiPolygons in level-0 pixels, on QuPath's grid.
    offset_level0 : (int, int)
        Subtracted.
    """
    kind, points, offsets = shapely.to_ragged_array(geometry, include_z=False)
    several = shapely.get_num_geometries(geometry) > 1
    parts = pc.binary_join(_lists(_ring_text(Rings(points, offsets[0]), offset_level0), offsets[1]), _BETWEEN_RINGS)
    if kind == shapely.GeometryType.MULTIPOLYGON:
        parts = pc.binary_join(_lists(parts, offsets[2]), "]]],[[[")
    which = pa.array(several.astype(np.int8))
    head = pa.array(['"Polygon","coordinates":[[[', '"MultiPolygon","coordinates":[[[['])
    return pc.binary_join_element_wise(head.take(which), parts, pa.array(["]]]", "]]]]"]).take(which), "")


def _ring_text(rings: Rings, offset_level0: tuple[int, int]) -> pa.StringArray:
    """Convert each ring to the text of its points, with the brackets between them."""
    steps = grid_steps(rings.points, offset_level0)
    xy = pc.binary_join_element_wise(_decimals(steps[:, 0]), _decimals(steps[:, 1]), ",")
    return pc.binary_join(_lists(xy, rings.offsets), "],[")


def measurements_text(measurements: Mapping[str, NDArray[np.floating]], count: int) -> pa.StringArray:
    """Convert measurements to text, ``"name":number`` for each object, without values that are not finite."""
    columns = [
        # Null if the number is missing; a row without any number is empty, not null.
        pc.binary_join_element_wise(f",{json.dumps(name)}:", _rounded(values), "").fill_null("")
        for name, values in measurements.items()
    ]
    if not columns:
        return pa.array([""] * count, pa.string())
    return pc.binary_replace_slice(pc.binary_join_element_wise(*columns, ""), 0, 1, "")


def _tail(row: ObjectClass, object_type: str, locked: bool) -> str:
    properties: dict[str, Any] = {"objectType": object_type, "classification": classification(row.name, row.colour)}
    if locked:
        properties["isLocked"] = True
    text = json.dumps({**properties, "measurements": {}}, separators=(",", ":"))
    return f'}},"properties":{text.removesuffix("}}")}'


def _decimals(steps: NDArray[np.int32]) -> pa.StringArray:
    """Convert quarter pixels to decimals of pixels, by a table if the numbers lie close together."""
    lowest, highest = int(steps.min()) // GRID_STEPS_PER_PIXEL, int(steps.max())
    if lowest < 0 or highest - lowest * GRID_STEPS_PER_PIXEL > len(steps):
        return pa.array(steps / GRID_STEPS_PER_PIXEL).cast(pa.string())
    wholes = pa.array(np.arange(lowest, highest // GRID_STEPS_PER_PIXEL + 1)).cast(pa.string())
    number = np.arange(len(wholes) * GRID_STEPS_PER_PIXEL)
    table = pc.binary_join_element_wise(
        wholes.take(pa.array(number // GRID_STEPS_PER_PIXEL)),
        _FRACTIONS.take(pa.array(number % GRID_STEPS_PER_PIXEL)),
        "",
    )
    return table.take(pa.array(steps - lowest * GRID_STEPS_PER_PIXEL))


def _rounded(values: NDArray[np.floating]) -> pa.StringArray:
    values = values.astype(np.float64)
    finite = np.isfinite(values)
    safe = np.where(finite & (values != 0), values, 1.0)
    # Dividing by a power of ten gives the double nearest to the decimal, and so its shortest text.
    power = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(np.abs(safe))))
    rounded = np.where(values == 0, 0.0, np.rint(safe * power) / power)
    return pa.array(rounded, mask=~finite).cast(pa.string())


def _lists(values: pa.Array, offsets: Any) -> pa.ListArray:  # noqa: ANN401 - any integers
    return pa.ListArray.from_arrays(pa.array(np.asarray(offsets, np.int32)), values)
