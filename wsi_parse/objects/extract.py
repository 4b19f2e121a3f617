"""extract_objects: channels become objects, chunk by chunk; cells are finished, regions are cut into pieces."""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.contours.tracing import polygons_of, trace
from wsi_parse.geometry import Box
from wsi_parse.models.scale_pass import Recipe
from wsi_parse.objects.chunk_objects import ChunkObjects, FoundCells
from wsi_parse.objects.class_vote import class_vote
from wsi_parse.objects.expand import expand_labels
from wsi_parse.objects.measure import measure, measure_cells
from wsi_parse.objects.pass_context import PassContext
from wsi_parse.objects.pixel_sums import PixelSums
from wsi_parse.objects.regions import Pieces, cut_pieces
from wsi_parse.objects.simplify import shared_to_level0, to_level0
from wsi_parse.objects.split import label_cells
from wsi_parse.objects.stain_densities import stain_densities
from wsi_parse.objects.threshold import threshold_mask
from wsi_parse.qupath.geometry import fit_for_qupath


def extract_objects(context: PassContext, chunk: tuple[int, int]) -> ChunkObjects:
    """Blend, split, trace and measure one chunk.

    Parameters
    ----------
    context : PassContext
    chunk : (row, column)

    Returns
    -------
    ChunkObjects
        Whole cells whose seed lies in the chunk; regions that are cut at its border.

    Raises
    ------
    StoreError
        Stored predictions are damaged.
    """
    groups: dict[tuple[str | tuple[str, ...], str | None], list[int]] = {}
    pieces: dict[int, Pieces] = {}
    for index, recipe in enumerate(context.scale_pass.recipes):
        if recipe.prompt.kind == "region":
            pieces[index] = _regions(context, chunk, recipe)
        else:
            groups.setdefault((recipe.competing or recipe.probability, recipe.distance), []).append(index)
    return ChunkObjects.of(_cells(context, chunk, list(groups.values())), pieces)


def _stains(context: PassContext, box: Box) -> NDArray[np.int64] | None:
    if not context.parameters.stains:
        return None
    # Where the slide cannot be read there is no object; a damaged tile beside one costs nothing.
    return stain_densities(context.slide.read_readable(box, context.chunks.frame).pixels)


def _regions(context: PassContext, chunk: tuple[int, int], recipe: Recipe) -> Pieces:
    core = context.chunks.core(chunk)
    window = core.expanded(1)
    if context.maps.is_empty(recipe.probability, window):
        return Pieces.nothing(core)
    values, covered = context.channel(recipe.probability, window)
    inside = threshold_mask(values, covered, context.parameters.threshold_255)
    stains = _stains(context, window) if inside.any() else None
    return cut_pieces(
        values,
        inside,
        covered,
        window,
        core,
        context.parameters.threshold_255,
        context.parameters.min_region_area_px,
        stains,
    )


def _cells(context: PassContext, chunk: tuple[int, int], groups: Sequence[Sequence[int]]) -> list[FoundCells]:
    """Find the cells of all recipes; the recipes of a group share their probability channels."""
    window = context.chunks.window(chunk)
    # The threshold is above 0, so that a map of zeros has no cells, and leaves room for those of others.
    filled = [group for group in groups if not context.is_empty(context.scale_pass.recipes[group[0]], window)]
    maps = []
    for members in filled:
        values, covered = context.cell_probability(context.scale_pass.recipes[members[0]], window)
        maps.append((values, covered, threshold_mask(values, covered, context.parameters.threshold_255)))
    masks = [inside for _, _, inside in maps]
    found = []
    for index, members in enumerate(filled):
        competing = tuple(masks[:index]), tuple(masks[index + 1 :])
        cells = _cells_of_group(context, chunk, members, maps[index], competing)
        if cells is not None:
            found.append(cells)
    return found


_Masks = tuple[NDArray[np.bool_], ...]


def _cells_of_group(
    context: PassContext,
    chunk: tuple[int, int],
    members: Sequence[int],
    maps: tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]],
    competing: tuple[_Masks, _Masks],
) -> FoundCells | None:
    """Find the cells of the recipes `members`; `maps` are their probability, where it is known, and their mask."""
    parameters, recipes, frame = context.parameters, context.scale_pass.recipes, context.chunks.frame
    core, window = context.chunks.core(chunk), context.chunks.window(chunk)
    values, covered, inside = maps
    if not inside.any():
        return None
    distance_name = recipes[members[0]].distance
    distance = context.channel(distance_name, window)[0] if distance_name else None
    labels, seeds = label_cells(values, inside, distance, window, core, parameters.split)
    pixels = np.flatnonzero(inside)
    seed = labels.ravel()[pixels]
    size = np.bincount(seed, minlength=len(seeds) + 1)[1:]
    recipe_of_cell, votes = class_vote(context, window, pixels, seed, size, members)
    keep = _lie_on_tissue(context, seeds) & (size >= parameters.min_cell_area_px) & (recipe_of_cell >= 0)
    number = np.zeros(len(seeds) + 1, np.int32)
    number[1:][keep] = np.arange(1, keep.sum() + 1)
    labels.ravel()[pixels] = number[seed]
    if not keep.any():
        return None
    stains = _stains(context, window)
    sums = PixelSums.of(labels, int(keep.sum()), (window.x, window.y), values, stains)
    lines = trace(labels, window, window.expanded(-1), values, inside, covered, parameters.threshold_255)
    polygons, found = polygons_of(lines, keep_holes=False)
    shapes = to_level0(polygons, frame, parameters.simplify_px)
    # The polygon of a small object can be smaller than its pixels above the threshold.
    large = shapely.area(shapes) >= parameters.min_cell_area_px * frame.scale_x * frame.scale_y
    kept = found[large] - 1
    nuclei = shapes[large]
    class_columns = {name: column[keep][kept] for name, column in votes.items()}
    recipe = recipe_of_cell[keep][kept].astype(np.int16)
    if not parameters.expansion_px:
        measurements = measure(nuclei, sums.take(kept), frame, stains=parameters.stains)
        return FoundCells(nuclei, recipe, measurements | class_columns)
    cell_labels = expand_labels(labels, inside, covered, parameters.expansion_px, competing)
    cells, nuclei, measurements = _whole_cells(context, window, cell_labels, nuclei, sums, kept, values, stains)
    return FoundCells(cells, recipe, measurements | class_columns, nuclei)


def _whole_cells(
    context: PassContext,
    window: Box,
    labels: NDArray[np.int32],
    nuclei: NDArray[np.object_],
    sums: PixelSums,
    kept: NDArray[np.int64],
    values: NDArray[np.uint8],
    stains: NDArray[np.int64] | None,
) -> tuple[NDArray[np.object_], NDArray[np.object_], dict[str, NDArray[np.float64]]]:
    """Trace and measure the cells around nuclei; returns cells, nuclei and measurements."""
    frame = context.chunks.frame
    polygons, found = polygons_of(trace(labels, window, window.expanded(-1)), keep_holes=True)
    cells = shared_to_level0(polygons[np.searchsorted(found, kept + 1)], frame)
    # A simplified nucleus may bulge out of its cell: the part that lies in the neighbouring cell is cut off.
    bulging = np.flatnonzero(~shapely.covers(cells, nuclei))
    within = fit_for_qupath(shapely.intersection(cells[bulging], nuclei[bulging]))
    left = ~shapely.is_missing(within)
    nuclei = nuclei.copy()
    nuclei[bulging[left]] = within[left]
    whole = PixelSums.of(labels, len(sums.count), (window.x, window.y), values, stains).take(kept)
    return cells, nuclei, measure_cells(nuclei, cells, sums.take(kept), whole, frame, stains=context.parameters.stains)


def _lie_on_tissue(context: PassContext, seeds: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which seeds lie on tissue, and in the region of interest if there is one."""
    points_level0 = context.chunks.frame.to_level0(seeds + 0.5)
    inside = context.tissue.contains(points_level0, context.parameters.tissue_margin_um)
    if context.roi is not None:
        inside &= shapely.contains_xy(context.roi, points_level0[:, 0], points_level0[:, 1])
    return inside
