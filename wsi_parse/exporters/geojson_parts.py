"""GeoJSON in parts that QuPath can open: one file if it is small, else strips of the slide with an index.

Objects come in lattice order, row by row of chunks, so that a part is a strip and each object is in one part.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from wsi_parse.exporters.base import ExportContext, Exporter
from wsi_parse.exporters.geojson import OBJECTS_AT_ONCE, GeoJsonExporter
from wsi_parse.files import file_sha256, write_text
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.settings import ExportSettings

INDEX_NAME = "annotations_index.json"
# QuPath needs 12 to 16 times the uncompressed size.
_HEAP_PER_BYTE = 14
# QuPath uses half of the memory of the machine: with 8 GB, the user must ask for a larger heap.
_LARGE_HEAP_BYTES = 4e9
_SET_HEAP = "Set it in QuPath under Edit > Preferences > General."


@dataclass(frozen=True)
class Part:
    """What the index holds of a part.

    Parameters
    ----------
    file : str
    objects : int
    bytes : int
        Uncompressed; the memory that QuPath needs depends on it.
    bounds_px : (float, float, float, float) or None
        Left, top, right, bottom in the frame of the file; None if the part is empty.
    sha256 : str
    """

    file: str
    objects: int = 0
    bytes: int = 0
    bounds_px: tuple[float, ...] | None = None
    sha256: str = ""


class GeoJsonParts(Exporter):
    """Files of :class:`GeoJsonExporter`, none larger than the context allows. A context manager, as exporters are.

    Parameters
    ----------
    path : Path
        Of the file, if one is enough; parts are named ``_01``, ``_02``, … before its endings, beside an index. Files of
        an earlier run with any of these names are removed when the new ones are complete.
    context : ExportContext
    """

    file_name: ClassVar[str] = GeoJsonExporter.file_name

    def __init__(self, path: Path, context: ExportContext) -> None:
        self.path = path
        self.context = context
        self._written: Sequence[Path] = ()
        self._parts: list[Part] = []
        # For each class without an object, from which others are derived: the numbers of the parts.
        self._missing: dict[str, list[int]] = {}
        self._exporter: GeoJsonExporter

    @classmethod
    def path_in(cls, folder: Path, settings: ExportSettings) -> Path:
        """Return the path to write in the folder of a run; compressed annotations have another ending."""
        return folder / (cls.file_name + (".gz" if settings.gzip else ""))

    @property
    def written(self) -> Sequence[Path]:
        """The file, or all parts and their index."""
        return self._written

    @property
    def sizes(self) -> list[int]:
        """Uncompressed bytes of each part."""
        return [part.bytes for part in self._parts]

    @property
    def heap_bytes(self) -> int:
        """Memory that QuPath needs to open the largest part."""
        return _HEAP_PER_BYTE * max(self.sizes, default=0)

    def notes(self) -> Sequence[str]:
        """Say how much memory QuPath needs to open the annotations, if it is much, and which colours it may choose."""
        return (*self._notes_on_memory(), *self._notes_on_colours())

    def _notes_on_memory(self) -> Sequence[str]:
        if self.heap_bytes <= _LARGE_HEAP_BYTES:
            return ()
        parts, heap = len(self.sizes), f"{self.heap_bytes / 1e9:.1f} GB of memory"
        if parts == 1:
            return (f"QuPath needs about {heap} to open {self.path.name}. {_SET_HEAP}",)
        return (f"The annotations are in {parts} parts. QuPath needs about {heap} to open each of them. {_SET_HEAP}",)

    def _notes_on_colours(self) -> Sequence[str]:
        return [
            f"{self._parts[numbers[0]].file} has objects of a class that is derived from {name}, but none of {name} "
            f"itself, so QuPath may choose the colour of {name}. Set it in QuPath, or use import_wsi_parse.groovy."
            for name, numbers in self._missing.items()
        ]

    def facts(self) -> Mapping[str, Any]:
        """Return the memory that QuPath needs, and what to do with the files."""
        parts = len(self.sizes)
        how = (
            "drag it onto the slide in QuPath"
            if parts == 1
            else f"the first of {parts} parts, listed in {INDEX_NAME}: drag each onto the slide in QuPath"
        )
        return {"how_to_open": how, "qupath_heap_gb": round(self.heap_bytes / 1e9, 2)}

    def __enter__(self) -> Self:
        self._begin()
        return self

    def write(self, batch: ObjectBatch) -> None:
        """Add a batch of objects; the ends of parts do not depend on the batches."""
        for piece in batch.parts(OBJECTS_AT_ONCE):
            features = self._exporter.features(piece)
            # Of two zeros, the least may be either: none keeps a sign.
            corners = shapely.bounds(piece.geometry) - np.tile(self.context.offset_level0, 2) + 0.0
            # Features are separated by a comma and a newline.
            ends = np.cumsum(pc.binary_length(features).to_numpy() + 2)
            start = 0
            while start < len(piece):
                part = self._parts[-1]
                # The first feature of a file has no comma before it; whether it came in this batch must not count.
                size = self._exporter.size + bool(part.objects)
                room = self.context.max_part_bytes - size + (int(ends[start - 1]) if start else 0)
                stop = min(
                    int(np.searchsorted(ends, room, "right")), start + self.context.max_part_objects - part.objects
                )
                # A part holds at least one object, however large.
                stop = max(stop, start + 1) if not part.objects else stop
                if stop > start:
                    self._exporter.add(features.slice(start, stop - start), piece.class_index[start:stop])
                    self._parts[-1] = _extended(part, corners[start:stop])
                if stop < len(piece):
                    self._end()
                    self._begin()
                start = stop

    def _begin(self) -> None:
        self._parts.append(Part(self._numbered(len(self._parts) + 1)))
        # Under a hidden name, because the number of parts is only known at the end.
        hidden = self._hidden(self._parts[-1])
        self._exporter = GeoJsonExporter(hidden, self.context, gzipped=self.path.suffix == ".gz")
        self._exporter.__enter__()

    def _end(self) -> None:
        self._exporter.__exit__(None, None, None)
        self._parts[-1] = replace(self._parts[-1], bytes=self._exporter.size)
        for name in self._exporter.missing_classes:
            self._missing.setdefault(name, []).append(len(self._parts) - 1)

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        try:
            if error_type is None:
                self._end()
                self._finish()
            else:
                self._exporter.__exit__(error_type, error, traceback)
        finally:
            for part in self._parts:
                self._hidden(part).unlink(missing_ok=True)

    def _finish(self) -> None:
        if len(self._parts) == 1:
            self._parts = [replace(self._parts[0], file=self.path.name)]
            self._hidden(Part(self._numbered(1))).replace(self.path)
            self._written = [self.path]
        else:
            self._parts = [replace(part, sha256=str(file_sha256(self._hidden(part)))) for part in self._parts]
            for part in self._parts:
                self._hidden(part).replace(self.path.with_name(part.file))
            index = self.path.with_name(INDEX_NAME)
            content = {**self._exporter.provenance, "parts": [asdict(part) for part in self._parts]}
            write_text(index, json.dumps(content, indent=1, allow_nan=False) + "\n")
            self._written = [*(self.path.with_name(part.file) for part in self._parts), index]
        stem = re.escape(self.path.name.partition(".")[0])
        ours = re.compile(rf"{stem}(_\d{{2,}})?\.geojson(\.gz)?|{re.escape(INDEX_NAME)}")
        for other in self.path.parent.iterdir():
            if ours.fullmatch(other.name) and other not in self._written:
                other.unlink()

    def _numbered(self, number: int) -> str:
        stem, dot, endings = self.path.name.partition(".")
        return f"{stem}_{number:02d}{dot}{endings}"

    def _hidden(self, part: Part) -> Path:
        # Files with such names are removed by the next run if a process was killed.
        return self.path.with_name(f".{part.file}.part")


def _extended(part: Part, corners: NDArray[np.float64]) -> Part:
    """Return the part with more objects, which have these bounds (N, 4)."""
    if part.bounds_px:
        corners = np.vstack([corners, part.bounds_px])
    low, high = corners[:, :2].min(axis=0).tolist(), corners[:, 2:].max(axis=0).tolist()
    count = len(corners) - bool(part.bounds_px)
    return replace(part, objects=part.objects + count, bounds_px=(*low, *high))
