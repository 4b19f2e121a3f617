"""StoreBuilder: the buffers of a layer are built once, batch by batch, and sorted by cells of the slide."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.errors import StoreError
from wsi_parse.viewer.buffer import ObjectBuffer
from wsi_parse.viewer.layout import BINS, CELL_PX, LARGE_PX, bins_of
from wsi_parse.viewer.rings import Rings, ragged, starts_of
from wsi_parse.viewer.store import LARGE_NAME, META_NAME

# Objects that are sorted and written at once.
_AT_ONCE = 50_000
# No slide is as wide.
_FARTHEST_PX = 1e9
# Values of the table of cells by classes and bins that are held at once.
_MOST_COUNTS = 4_000_000
# Values of a measurement from which its quantiles are taken: every value of as many objects, else evenly chosen ones.
_SAMPLE = 1_000_000


class StoreBuilder:
    """Takes the objects of a layer in the order of their rows, and writes its buffers. A context manager.

    What is held in memory is some 50 bytes an object; outlines and measurements wait in files.

    Parameters
    ----------
    folder : Path
        Empty; the files go there.
    classes : int
        Number of classes.
    measurements : sequence of str
        What each object is measured by.
    probability : str or None
        The measurement that the bins are of; None: all objects are in the last bin.
    """

    def __init__(self, folder: Path, classes: int, measurements: Sequence[str], probability: str | None) -> None:
        self._folder, self._classes = folder, classes
        self._names, self._probability = list(measurements), probability
        self._parts: dict[str, list[NDArray[Any]]] = {}
        self._stack = ExitStack()
        self._points: BinaryIO = self._stack.enter_context((folder / "points.raw").open("wb"))
        self._values: BinaryIO = self._stack.enter_context((folder / "values.raw").open("wb"))

    def __enter__(self) -> "StoreBuilder":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(
        self,
        shapes: NDArray[Any],
        class_index: NDArray[np.integer],
        measurements: dict[str, NDArray[np.float32]],
        centroid: NDArray[np.float64],
    ) -> None:
        """Add objects.

        Parameters
        ----------
        shapes : object array (N,)
            Polygons and MultiPolygons in level-0 pixels.
        class_index : int array (N,)
        measurements : dict of str to float array (N,)
            NaN: none.
        centroid : float array (N, 2)
            In level-0 pixels; an object belongs to the cell that it lies in.
        """
        if not len(shapes):
            return
        if not (np.abs(centroid) < _FARTHEST_PX).all():
            raise StoreError("Objects lie beyond any slide, or nowhere: the table of objects is damaged.")
        cell = np.floor(centroid / CELL_PX).astype(np.int32)
        bounds = shapely.bounds(shapes)
        large = ((bounds[:, 2:] - bounds[:, :2]) > LARGE_PX).any(axis=1)
        rings = Rings.of(shapes)
        origin = np.where(large[:, None], 0, cell.astype(np.int64) * CELL_PX)
        self._points.write((rings.points - origin[rings.object_of_point]).astype("<f4").tobytes())
        none = np.full(len(shapes), np.nan, np.float32)
        columns = [measurements.get(name, none) for name in self._names]
        self._values.write(np.stack([none, *columns], axis=1)[:, 1:].astype("<f4").tobytes())
        kept = {
            "class_index": class_index.astype(np.uint8),
            "probability": measurements.get(self._probability or "", none).astype(np.float32),
            "centroid": centroid,
            "cell": cell,
            "large": large,
            "rings": rings.of_object.astype(np.int32),
            "ring_points": rings.of_ring.astype(np.int32),
            "hole": rings.hole.astype(np.uint8),
        }
        for name, values in kept.items():
            self._parts.setdefault(name, []).append(values)

    def finish(self, facts: dict[str, object]) -> None:
        """Sort everything by cells and write it; `facts` go into the description of the store."""
        self._stack.close()
        column = {name: self._column(name, empty) for name, empty in _EMPTY.items()}
        self._parts = {}
        cell, large = column["cell"], column["large"]
        # Row after row of cells; in a cell its large objects come last, else in the order of the file.
        order = np.lexsort((large, cell[:, 0], cell[:, 1]))
        self._save("row", order.astype(np.uint32))
        for name in ("class_index", "probability", "centroid"):
            self._save(name, column[name][order])
        kind = column["class_index"].astype(np.uint16) * BINS + bins_of(column["probability"])
        self._save("kind", kind[order])
        self._write_cells(cell[order], large[order], kind[order])
        self._write_rings(column, order)
        ranges = self._write_values(order)
        objects = np.bincount(column["class_index"], minlength=self._classes).tolist()
        about = {
            "objects": objects,
            "large": int(large.sum()),
            "measurements": ranges,
            "probability": self._probability,
        }
        for name in ("points.raw", "values.raw"):
            (self._folder / name).unlink()
        # What a person puts beside them is not ours to be removed.
        about["files"] = sorted(path.name for path in self._folder.iterdir())
        (self._folder / META_NAME).write_text(json.dumps(facts | about), encoding="utf-8")

    def _column(self, name: str, empty: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([empty, *self._parts.get(name, [])])

    def _save(self, name: str, values: NDArray[Any]) -> None:
        np.save(self._folder / f"{name}.npy", values)

    def _create(self, name: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        if not all(shape):
            return np.zeros(shape, dtype)
        return np.lib.format.open_memmap(self._folder / f"{name}.npy", "w+", dtype, shape)

    def _raw(self, name: str, width: int) -> NDArray[np.float32]:
        path = self._folder / f"{name}.raw"
        if not path.stat().st_size:
            return np.zeros((0, width), np.float32)
        return np.memmap(path, "<f4", "r").reshape(-1, width)

    def _write_cells(self, cell: NDArray[np.int32], large: NDArray[np.bool_], kind: NDArray[np.uint16]) -> None:
        """Write which objects each cell has, and how many of each class and bin all cells before it have."""
        is_first = np.ones(len(cell), bool)
        is_first[1:] = (cell[1:] != cell[:-1]).any(axis=1)
        first = np.flatnonzero(is_first)
        start = np.append(first, len(cell))
        self._save("cell", cell[first])
        self._save("cell_start", start)
        self._save("cell_small", np.diff(start) - (np.add.reduceat(large, first, dtype=np.int64) if len(first) else 0))
        wide = self._classes * BINS
        sums = self._create("cell_sums", "<u4", (len(first) + 1, wide))
        before = np.zeros(wide, np.int64)
        step = max(1, _MOST_COUNTS // max(1, wide))
        number = np.cumsum(is_first) - 1
        for begin in range(0, len(first), step):
            end = min(begin + step, len(first))
            objects = slice(start[begin], start[end])
            index = (number[objects] - begin) * wide + kind[objects]
            counts = np.bincount(index, minlength=(end - begin) * wide).reshape(-1, wide)
            sums[begin + 1 : end + 1] = before + np.cumsum(counts, axis=0)
            before += counts.sum(axis=0)
        self._close("cell_sums", sums)

    def _write_rings(self, column: dict[str, NDArray[Any]], order: NDArray[np.int64]) -> None:
        """Write the outlines in the order of the cells; those of large objects go into a buffer of their own."""
        raw, large = self._raw("points", 2), column["large"]
        ring_start = starts_of(column["rings"])
        point_start = starts_of(column["ring_points"])
        large_order = order[large[order]]
        self._save("large", np.flatnonzero(large[order]).astype(np.uint32))
        (self._folder / LARGE_NAME).write_bytes(_buffer(large_order, column, ring_start, point_start, raw).to_bytes())
        of_object = np.where(large, 0, column["rings"])[order]
        self._save("ring_start", starts_of(of_object))
        rings = int(of_object.sum())
        lengths, holes = (
            self._create(name, dtype, (rings,)) for name, dtype in (("ring_points", "<u4"), ("hole", "u1"))
        )
        points_of = np.where(np.repeat(large, column["rings"]), 0, column["ring_points"]).sum(dtype=np.int64)
        points = self._create("points", "<f4", (int(points_of), 2))
        ring_at = point_at = 0
        for begin in range(0, len(order), _AT_ONCE):
            objects = order[begin : begin + _AT_ONCE]
            chosen = ragged(ring_start, objects[~large[objects]])
            found = raw[ragged(point_start, chosen)]
            lengths[ring_at : ring_at + len(chosen)] = column["ring_points"][chosen]
            holes[ring_at : ring_at + len(chosen)] = column["hole"][chosen]
            points[point_at : point_at + len(found)] = found
            ring_at, point_at = ring_at + len(chosen), point_at + len(found)
        self._save("point_start", starts_of(np.asarray(lengths)))
        for name, values in (("hole", holes), ("points", points)):
            self._close(name, values)
        del lengths
        (self._folder / "ring_points.npy").unlink(missing_ok=True)

    def _write_values(self, order: NDArray[np.int64]) -> list[dict[str, Any]]:
        """Write the measurements in the order of the cells, and return the range of each."""
        raw = self._raw("values", len(self._names)) if self._names else np.zeros((len(order), 0), np.float32)
        ranges: list[dict[str, Any]] = []
        values = self._create("values", "<f4", (len(self._names), len(order)))
        for begin in range(0, len(order), _AT_ONCE):
            values[:, begin : begin + _AT_ONCE] = raw[order[begin : begin + _AT_ONCE]].T
        for number, name in enumerate(self._names):
            ranges.append({"name": name} | _range_of(np.asarray(values[number])))
        self._close("values", values)
        return ranges

    def _close(self, name: str, values: NDArray[Any]) -> None:
        """Write an array to the disk; an empty one cannot be mapped."""
        if isinstance(values, np.memmap):
            values.flush()
        else:
            self._save(name, values)


_EMPTY: dict[str, NDArray[Any]] = {
    "class_index": np.zeros(0, np.uint8),
    "probability": np.zeros(0, np.float32),
    "centroid": np.zeros((0, 2)),
    "cell": np.zeros((0, 2), np.int32),
    "large": np.zeros(0, bool),
    "rings": np.zeros(0, np.int32),
    "ring_points": np.zeros(0, np.int32),
    "hole": np.zeros(0, np.uint8),
}


def _buffer(
    chosen: NDArray[np.int64],
    column: dict[str, NDArray[Any]],
    ring_start: NDArray[np.int64],
    point_start: NDArray[np.int64],
    raw: NDArray[np.float32],
) -> ObjectBuffer:
    """Make the buffer of the large objects, whose origin is that of the slide."""
    rings = ragged(ring_start, chosen)
    return ObjectBuffer(
        (0.0, 0.0),
        chosen,
        starts_of(column["rings"][chosen]),
        starts_of(column["ring_points"][rings]),
        raw[ragged(point_start, rings)],
        column["probability"][chosen],
        column["centroid"][chosen].astype(np.float32),
        column["class_index"][chosen],
        column["hole"][rings],
    )


def _range_of(values: NDArray[np.float32]) -> dict[str, float | None]:
    """Return the smallest and largest value, and the percentiles 2 and 98 of a bounded number of them."""
    known = values[np.isfinite(values)]
    if not len(known):
        return dict.fromkeys(("min", "max", "p02", "p98"))
    low, high = np.percentile(known[:: max(1, len(known) // _SAMPLE)], (2, 98)).tolist()
    return {"min": float(known.min()), "max": float(known.max()), "p02": low, "p98": high}
