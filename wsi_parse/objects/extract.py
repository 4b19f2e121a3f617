"""Channels become objects, a chunk at a time: cells split and finished, regions cut into pieces to be joined."""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.geometry import Box
from wsi_parse.models.scale_pass import Recipe
from wsi_parse.objects.chunk_objects import ChunkObjects, FoundCells
from wsi_parse.objects.contours import polygons_of, trace
from wsi_parse.objects.expand import expand_labels
from wsi_parse.objects.measure import PixelSums, measure, measure_cells, stain_densities
from wsi_parse.objects.pass_context import PassContext
from wsi_parse.objects.regions import Pieces, cut_pieces
from wsi_parse.objects.simplify import shared_to_level0, to_level0
from wsi_parse.objects.split import label_cells
from wsi_parse.qupath.geometry import fit_for_qupath


def extract_objects(context: PassContext, chunk: tuple[int, int]) -> ChunkObjects:
    """Blend, split, outline and measure one chunk.

    Parameters
    ----------
    context : PassContext
    chunk : (row, column)

    Returns
    -------
    ChunkObjects
        Cells whose seed the chunk owns, whole; regions cut at its border.
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
    return stain_densities(context.slide.read(box, context.chunks.frame)) if context.parameters.stains else None


def _regions(context: PassContext, chunk: tuple[int, int], recipe: Recipe) -> Pieces:
    core = context.chunks.core(chunk)
    window = core.expanded(1)
    values, covered = context.channel(recipe.probability, window)
    inside = covered & (values >= context.parameters.level)
    stains = _stains(context, window) if inside.any() else None
    return cut_pieces(
        values, inside, covered, window, core, context.parameters.level, context.parameters.min_region_area_px, stains
    )


def _cells(context: PassContext, chunk: tuple[int, int], groups: Sequence[Sequence[int]]) -> list[FoundCells]:
    """Outline the cells of all recipes; those of a group share their probability channels."""
    window = context.chunks.window(chunk)
    masks = []
    for members in groups:
        values, covered = context.outlined(context.scale_pass.recipes[members[0]], window)
        masks.append((values, covered, covered & (values >= context.parameters.level)))
    found = []
    for place, members in enumerate(groups):
        others = [mask[2] for mask in masks]
        competing = tuple(others[:place]), tuple(others[place + 1 :])
        part = _of_group(context, chunk, members, masks[place], competing)
        if part is not None:
            found.append(part)
    return found


_Masks = tuple[NDArray[np.bool_], ...]


def _of_group(
    context: PassContext,
    chunk: tuple[int, int],
    members: Sequence[int],
    seen: tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]],
    competing: tuple[_Masks, _Masks],
) -> FoundCells | None:
    parameters, recipes, frame = context.parameters, context.scale_pass.recipes, context.chunks.frame
    core, window = context.chunks.core(chunk), context.chunks.window(chunk)
    values, covered, inside = seen
    if not inside.any():
        return None
    distance_name = recipes[members[0]].distance
    distance = context.channel(distance_name, window)[0] if distance_name else None
    labels, seeds = label_cells(values, inside, distance, window, core, parameters.cell)
    pixels = np.flatnonzero(inside)
    seed = labels.ravel()[pixels]
    size = np.bincount(seed, minlength=len(seeds) + 1)[1:]
    answer, votes = _vote(context, window, pixels, seed, size, members)
    keep = _wanted(context, seeds) & (size >= parameters.min_cell_area_px) & (answer >= 0)
    number = np.zeros(len(seeds) + 1, np.int32)
    number[1:][keep] = np.arange(1, keep.sum() + 1)
    labels.ravel()[pixels] = number[seed]
    if not keep.any():
        return None
    stains = _stains(context, window)
    sums = PixelSums.of(labels, int(keep.sum()), (window.x, window.y), values, stains)
    lines = trace(labels, window, window.expanded(-1), values, inside, covered, parameters.level)
    polygons, found = polygons_of(lines, keep_holes=False)
    shapes = to_level0(polygons, frame, parameters.simplify_px)
    # What is small has fewer pixels inside its outline than above the threshold.
    solid = shapely.area(shapes) >= parameters.min_cell_area_px * frame.scale_x * frame.scale_y
    kept = found[solid] - 1
    nuclei = shapes[solid]
    told = {name: column[keep][kept] for name, column in votes.items()}
    which = answer[keep][kept].astype(np.int16)
    if not parameters.grow_px:
        return FoundCells(nuclei, which, measure(nuclei, sums.take(kept), frame, stains=parameters.stains) | told)
    bodies = expand_labels(labels, inside, covered, parameters.grow_px, competing)
    cells, nuclei, measurements = _bodies(context, window, bodies, nuclei, sums, kept, values, stains)
    return FoundCells(cells, which, measurements | told, nuclei)


def _bodies(
    context: PassContext,
    window: Box,
    labels: NDArray[np.int32],
    nuclei: NDArray[np.object_],
    sums: PixelSums,
    kept: NDArray[np.int64],
    values: NDArray[np.uint8],
    stains: NDArray[np.int64] | None,
) -> tuple[NDArray[np.object_], NDArray[np.object_], dict[str, NDArray[np.float64]]]:
    """Outline and measure the cells around nuclei; returns cells, nuclei and measurements."""
    frame = context.chunks.frame
    polygons, found = polygons_of(trace(labels, window, window.expanded(-1)), keep_holes=True)
    cells = shared_to_level0(polygons[np.searchsorted(found, kept + 1)], frame)
    # A thinned nucleus may bulge where its cell has no room: what is its neighbour's stays its neighbour's.
    bulging = np.flatnonzero(~shapely.covers(cells, nuclei))
    within = fit_for_qupath(shapely.intersection(cells[bulging], nuclei[bulging]))
    left = ~shapely.is_missing(within)
    nuclei = nuclei.copy()
    nuclei[bulging[left]] = within[left]
    whole = PixelSums.of(labels, len(sums.count), (window.x, window.y), values, stains).take(kept)
    return cells, nuclei, measure_cells(nuclei, cells, sums.take(kept), whole, frame, stains=context.parameters.stains)


def _wanted(context: PassContext, seeds: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which seeds lie on tissue, and in the region of interest."""
    points_level0 = context.chunks.frame.to_level0(seeds + 0.5)
    wanted = context.tissue.contains(points_level0, context.parameters.tissue_margin_um)
    if context.roi is not None:
        wanted &= shapely.contains_xy(context.roi, points_level0[:, 0], points_level0[:, 1])
    return wanted


def _vote(
    context: PassContext,
    window: Box,
    pixels: NDArray[np.int64],
    seed: NDArray[np.int32],
    size: NDArray[np.int64],
    members: Sequence[int],
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Decide which recipe each cell answers, -1 for none.

    All pixels of a cell vote with all class channels. A cell whose winning class was asked for is that prompt's
    object; any other goes to the prompt that takes all cells, if there is one. None answers two prompts.
    `seed` numbers the cell (from 1) of each of the window's `pixels`, `size` counts the pixels of each.
    """
    recipes, count = context.scale_pass.recipes, len(size)
    takes_all = [index for index in members if not recipes[index].classes]
    answer = np.full(count, takes_all[0] if takes_all else -1)
    names = next((recipes[index].classes for index in members if recipes[index].classes), ())
    if not names or not count:
        return answer, {}
    of_all = (context.channel(name, window)[0].ravel()[pixels] for name in names)
    votes = np.stack([np.bincount(seed, said, count + 1)[1:] for said in of_all])
    size = np.maximum(size, 1)
    winner = np.argmax(votes, axis=0)
    for index in members:
        if recipes[index].class_channel is not None:
            answer[winner == names.index(str(recipes[index].class_channel))] = index
    mean = np.sort(votes, axis=0)[::-1] / size / 255
    told = {"class_probability": mean[0]}
    if len(names) > 1:
        told["runner_up_probability"] = mean[1]
    if recipes[members[0]].competing:
        # Each rival answers a prompt of its own: its share tells who the runner-up was.
        told |= {
            f"probability_{name.replace(' ', '_')}": vote / size / 255 for name, vote in zip(names, votes, strict=True)
        }
    return answer, told
