"""From stored chunks to finished objects in lattice order, which is the order of every output."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.compute.plan import PassPlan, RunPlan
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.chunk_objects import ChunkObjects
from wsi_parse.objects.measure import measure
from wsi_parse.objects.parameters import ObjectParameters
from wsi_parse.objects.pixel_sums import PixelSums
from wsi_parse.objects.regions import Pieces, RegionJoiner
from wsi_parse.objects.simplify import to_level0
from wsi_parse.prompts import Prompt
from wsi_parse.qupath.geometry import fit_for_qupath

_CHUNKS_AHEAD = 2


def collect(plan: RunPlan, prompts: tuple[Prompt, ...]) -> Iterator[ObjectBatch]:
    """Yield all objects of a run: pass by pass, chunk row by chunk row, cells before the regions that end in the row.

    Memory is bounded by one row of chunks and the largest unfinished region.
    """
    # By name, which no two prompts of a run share: a model may hand on a prompt that it has changed otherwise.
    numbers = {prompt.name: number for number, prompt in enumerate(prompts)}
    for index, item in enumerate(plan.passes):
        order = [numbers[recipe.prompt.name] for recipe in item.scale_pass.recipes]
        yield from _collect_pass(plan, index, item, np.array(order, np.int16), prompts)


def _collect_pass(
    plan: RunPlan, index: int, item: PassPlan, order: NDArray[np.int16], prompts: tuple[Prompt, ...]
) -> Iterator[ObjectBatch]:
    parameters = plan.pass_contexts[index].parameters
    limits = np.array(
        [np.nan if r.min_class_probability is None else r.min_class_probability for r in item.scale_pass.recipes]
    )
    joiners = {
        number: RegionJoiner(parameters.min_region_area_px, parameters.min_hole_area_px)
        for number, recipe in enumerate(item.scale_pass.recipes)
        if recipe.prompt.kind == "region"
    }
    rows: dict[int, list[int]] = {}
    for row, column in item.chunks.chunks(item.selection):
        rows.setdefault(row, []).append(column)
    chunks = [(row, column) for row in sorted(rows) for column in rows[row]]
    stored = _load_ahead(lambda chunk: ChunkObjects.load(plan.objects_path(index, chunk)), chunks)
    for row in range(item.chunks.shape[0] + 1):
        pieces: dict[int, dict[int, Pieces]] = {number: {} for number in joiners}
        for column in rows.get(row, []):
            found = next(stored)
            for number, part in found.pieces.items():
                pieces[number][column] = part
            if len(found.cells):
                prompt = order[found.recipe]
                # The id of a cell comes from its nucleus, so that the expansion does not change it.
                shapes = found.cells if found.nuclei is None else found.nuclei
                ids, probability = content_ids(shapes, prompt, prompts), found.measurements.get("class_probability")
                # Without a vote over classes nothing is unsure.
                limit = limits[found.recipe]
                unsure = None if probability is None or np.isnan(limit).all() else probability < limit
                yield ObjectBatch(found.cells, prompt, ids, found.measurements, unsure, found.nuclei)
        for number, joiner in joiners.items():
            ended = joiner.add_row(pieces[number])
            if ended is not None and len(ended[0]):
                batch = _regions(plan, item, *ended, order[number], prompts, parameters)
                if len(batch):
                    yield batch


def _load_ahead(
    load: Callable[[tuple[int, int]], ChunkObjects], chunks: list[tuple[int, int]]
) -> Iterator[ChunkObjects]:
    """Load chunks one after another, and the next ones while the caller processes the current one."""
    with ThreadPoolExecutor(1) as pool:
        loading = deque(pool.submit(load, chunk) for chunk in chunks[:_CHUNKS_AHEAD])
        for number in range(len(chunks)):
            found = loading.popleft().result()
            if number + _CHUNKS_AHEAD < len(chunks):
                loading.append(pool.submit(load, chunks[number + _CHUNKS_AHEAD]))
            yield found


def _regions(
    plan: RunPlan,
    item: PassPlan,
    polygons: NDArray[np.object_],
    sums: PixelSums,
    prompt: np.int16,
    prompts: tuple[Prompt, ...],
    parameters: ObjectParameters,
) -> ObjectBatch:
    shapes = to_level0(polygons, item.chunks.frame, parameters.simplify_px)
    if plan.roi is not None:
        solid = np.array([shape is not None for shape in shapes], bool)
        shapes[solid] = fit_for_qupath(shapely.intersection(shapes[solid], plan.roi))
    solid = np.array([shape is not None for shape in shapes], bool)
    shapes = shapes[solid]
    which = np.full(len(shapes), prompt, np.int16)
    measurements = measure(shapes, sums.take(solid), item.chunks.frame, stains=parameters.stains)
    return ObjectBatch(shapes, which, content_ids(shapes, which, prompts), measurements)


def content_ids(
    shapes: NDArray[np.object_], prompt: NDArray[np.int16], prompts: tuple[Prompt, ...]
) -> NDArray[np.object_]:
    """Make UUIDs (version 8, RFC 9562) from outline and prompt, so that the same object keeps its id."""
    names = [prompt.name.encode() for prompt in prompts]
    ids = [
        _uuid(hashlib.blake2b(shape, digest_size=16, key=names[which][:64]).hexdigest())
        for shape, which in zip(shapely.to_wkb(shapes), prompt.tolist(), strict=True)
    ]
    return np.array(ids, object)


def _uuid(digest: str) -> str:
    # Version 8 in the 13th digit, variant in the two highest bits of the 17th.
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:]}"
