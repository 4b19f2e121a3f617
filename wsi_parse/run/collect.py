"""From stored chunks to finished objects in lattice order, which is the order of every output."""

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.compute.plan import RunPlan
from wsi_parse.geometry import Box
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.objects.batch import ObjectBatch, in_one_column_order
from wsi_parse.objects.chunk_objects import ChunkObjects
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.objects.measure import measure
from wsi_parse.objects.pixel_sums import PixelSums
from wsi_parse.objects.regions import Pieces, RegionJoiner
from wsi_parse.objects.simplify import to_level0
from wsi_parse.qupath.geometry import fit_for_qupath
from wsi_parse.run.chunks_in_box import load_chunks_in

_CHUNKS_AHEAD = 2
# Places that are looked at one after another often lie in the same chunks.
_CHUNKS_KEPT = 9


def collect(plan: RunPlan) -> Iterator[ObjectBatch]:
    """Yield all objects of a run: pass by pass, chunk row by chunk row, cells before the regions that end in the row.

    Memory is bounded by one row of chunks and the largest unfinished region.
    """

    def passes() -> Iterator[ObjectBatch]:
        for index, item in enumerate(plan.passes):
            chunks = item.chunks.chunks(item.selection)
            paths = [plan.objects_path(index, chunk) for chunk in chunks]
            yield from _collect_pass(plan, index, chunks, _load_ahead(paths))

    # Cells and regions have the same columns in different orders.
    return in_one_column_order(passes())


class ChunkSource:
    """The objects of a run, from its stored chunks.

    Parameters
    ----------
    plan : RunPlan
        All its chunks are stored.
    """

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        self._load = lru_cache(_CHUNKS_KEPT)(ChunkObjects.load)

    @property
    def classes(self) -> ClassTable:
        """What the `class_index` of the batches means."""
        return self._plan.classes

    @property
    def steps(self) -> int:
        """Number of chunks."""
        return sum(len(item.chunks.chunks(item.selection)) for item in self._plan.passes)

    def batches(self) -> Iterator[ObjectBatch]:
        """Yield all objects; each chunk is loaded once."""
        return collect(self._plan)

    def batches_in(self, box_level0: Box) -> Iterator[ObjectBatch]:
        """Yield the objects in a box; see :func:`wsi_parse.run.chunks_in_box.load_chunks_in` for what is loaded."""
        for index in range(len(self._plan.passes)):
            found = load_chunks_in(self._plan, index, box_level0, self._load)
            yield from _collect_pass(self._plan, index, list(found), iter(found.values()))


def _collect_pass(
    plan: RunPlan, index: int, chunks: Sequence[tuple[int, int]], stored: Iterator[ChunkObjects]
) -> Iterator[ObjectBatch]:
    """Yield the objects of some chunks (row, column) of a scale pass, which come in lattice order."""
    item, parameters = plan.passes[index], plan.pass_contexts[index].parameters
    row_of_class = _RecipeClasses(item.scale_pass, plan.classes)
    joiners = {
        number: RegionJoiner(parameters.min_region_area_px, parameters.min_hole_area_px)
        for number, recipe in enumerate(item.scale_pass.recipes)
        if recipe.prompt.kind == "region"
    }
    rows: dict[int, list[int]] = {}
    for row, column in chunks:
        rows.setdefault(row, []).append(column)
    for row in range(item.chunks.shape[0] + 1):
        pieces: dict[int, dict[int, Pieces]] = {number: {} for number in joiners}
        for column in rows.get(row, []):
            found = next(stored)
            for number, part in found.pieces.items():
                pieces[number][column] = part
            if len(found.cells):
                classes = row_of_class.of_cells(found)
                # The id of a cell comes from its nucleus, so that the expansion does not change it.
                shapes = found.cells if found.nuclei is None else found.nuclei
                ids = content_ids(shapes, classes, plan.classes)
                yield ObjectBatch(found.cells, classes, ids, _single(found.measurements), found.nuclei)
        for number, joiner in joiners.items():
            ended = joiner.add_row(pieces[number])
            if ended is not None and len(ended[0]):
                batch = _regions(plan, index, *ended, row_of_class.sure[number])
                if len(batch):
                    yield batch


class _RecipeClasses:
    """Leads from the recipes of a scale pass to the rows of the class table: the only place that knows both."""

    def __init__(self, scale_pass: ScalePass, table: ClassTable) -> None:
        names = [recipe.prompt.name for recipe in scale_pass.recipes]
        limits = [recipe.min_class_probability for recipe in scale_pass.recipes]
        self.sure = np.array([table.index(name) for name in names], np.int16)
        self._unsure = np.array([table.index(name, unsure=True) for name in names], np.int16)
        self._limits = np.array([np.nan if limit is None else limit for limit in limits])

    def of_cells(self, found: ChunkObjects) -> NDArray[np.int16]:
        """Return the row of each cell; without a vote over classes nothing is unsure."""
        probability = found.measurements.get("class_probability")
        if probability is None:
            return self.sure[found.recipe]
        unsure = probability < self._limits[found.recipe]
        return np.where(unsure, self._unsure[found.recipe], self.sure[found.recipe])


def _single(measurements: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float32]]:
    return {name: values.astype(np.float32) for name, values in measurements.items()}


def _load_ahead(paths: list[Path]) -> Iterator[ChunkObjects]:
    """Load chunks one after another, and the next ones while the caller processes the current one."""
    with ThreadPoolExecutor(1) as pool:
        loading = deque(pool.submit(ChunkObjects.load, path) for path in paths[:_CHUNKS_AHEAD])
        for number in range(len(paths)):
            found = loading.popleft().result()
            if number + _CHUNKS_AHEAD < len(paths):
                loading.append(pool.submit(ChunkObjects.load, paths[number + _CHUNKS_AHEAD]))
            yield found


def _regions(
    plan: RunPlan, index: int, polygons: NDArray[np.object_], sums: PixelSums, class_index: np.int16
) -> ObjectBatch:
    frame, parameters = plan.passes[index].chunks.frame, plan.pass_contexts[index].parameters
    shapes = to_level0(polygons, frame, parameters.simplify_px)
    if plan.roi is not None:
        solid = np.array([shape is not None for shape in shapes], bool)
        shapes[solid] = fit_for_qupath(shapely.intersection(shapes[solid], plan.roi))
    solid = np.array([shape is not None for shape in shapes], bool)
    # Without the grid that snapping leaves on a shape: shapely would round its centroid to that grid.
    shapes = shapely.set_precision(shapes[solid], 0.0, mode="pointwise")
    classes = np.full(len(shapes), class_index, np.int16)
    measurements = measure(shapes, sums.take(solid), frame, stains=parameters.stains)
    return ObjectBatch(shapes, classes, content_ids(shapes, classes, plan.classes), _single(measurements))


def content_ids(
    shapes: NDArray[np.object_], class_index: NDArray[np.int16], classes: ClassTable
) -> NDArray[np.object_]:
    """Make UUIDs (version 8, RFC 9562) from outline and prompt, so that the same object keeps its id."""
    names = [row.prompt.name.encode()[:64] for row in classes.rows]
    ids = [
        _uuid(hashlib.blake2b(shape, digest_size=16, key=names[index]).hexdigest())
        for shape, index in zip(shapely.to_wkb(shapes), class_index.tolist(), strict=True)
    ]
    return np.array(ids, object)


def _uuid(digest: str) -> str:
    # Version 8 in the 13th digit, variant in the two highest bits of the 17th.
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:]}"
