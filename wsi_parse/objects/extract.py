"""Channels become objects, a chunk at a time: cells split and finished, regions cut into pieces to be joined."""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.geometry import Box
from wsi_parse.models.contract import Recipe
from wsi_parse.objects.chunk_objects import ChunkObjects, FoundCells
from wsi_parse.objects.contours import polygons_of, trace
from wsi_parse.objects.expand import grown
from wsi_parse.objects.measure import PixelSums, measure, measure_cells, stain_densities
from wsi_parse.objects.pass_context import Scene
from wsi_parse.objects.regions import Pieces, cut_pieces
from wsi_parse.objects.simplify import shared_to_level0, to_level0
from wsi_parse.objects.split import label_cells
from wsi_parse.qupath.geometry import fit_for_qupath


def outline_chunk(scene: Scene, chunk: tuple[int, int]) -> ChunkObjects:
    """Blend, split, outline and measure one chunk.

    Parameters
    ----------
    scene : Scene
    chunk : (row, column)

    Returns
    -------
    ChunkObjects
        Cells whose seed the chunk owns, whole; regions cut at its border.
    """
    groups: dict[tuple[str | tuple[str, ...], str | None], list[int]] = {}
    pieces: dict[int, Pieces] = {}
    for index, recipe in enumerate(scene.job.recipes):
        if recipe.prompt.kind == "region":
            pieces[index] = _regions(scene, chunk, recipe)
        else:
            groups.setdefault((recipe.rivals or recipe.probability, recipe.distance), []).append(index)
    return ChunkObjects.of(_cells(scene, chunk, list(groups.values())), pieces)


def _stains(scene: Scene, box: Box) -> NDArray[np.int64] | None:
    return stain_densities(scene.slide.read(box, scene.chunks.frame)) if scene.rules.stains else None


def _regions(scene: Scene, chunk: tuple[int, int], recipe: Recipe) -> Pieces:
    core = scene.chunks.core(chunk)
    window = core.expanded(1)
    values, covered = scene.channel(recipe.probability, window)
    inside = covered & (values >= scene.rules.level)
    stains = _stains(scene, window) if inside.any() else None
    return cut_pieces(values, inside, covered, window, core, scene.rules.level, scene.rules.smallest_region_px, stains)


def _cells(scene: Scene, chunk: tuple[int, int], groups: Sequence[Sequence[int]]) -> list[FoundCells]:
    """Outline the cells of all recipes; those of a group share their probability channels."""
    window = scene.chunks.window(chunk)
    masks = []
    for members in groups:
        values, covered = scene.outlined(scene.job.recipes[members[0]], window)
        masks.append((values, covered, covered & (values >= scene.rules.level)))
    found = []
    for place, members in enumerate(groups):
        others = [mask[2] for mask in masks]
        rivals = tuple(others[:place]), tuple(others[place + 1 :])
        part = _of_group(scene, chunk, members, masks[place], rivals)
        if part is not None:
            found.append(part)
    return found


_Masks = tuple[NDArray[np.bool_], ...]


def _of_group(
    scene: Scene,
    chunk: tuple[int, int],
    members: Sequence[int],
    seen: tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]],
    rivals: tuple[_Masks, _Masks],
) -> FoundCells | None:
    rules, recipes, frame = scene.rules, scene.job.recipes, scene.chunks.frame
    core, window = scene.chunks.core(chunk), scene.chunks.window(chunk)
    values, covered, inside = seen
    if not inside.any():
        return None
    distance_name = recipes[members[0]].distance
    distance = scene.channel(distance_name, window)[0] if distance_name else None
    labels, seeds = label_cells(values, inside, distance, window, core, rules.cell)
    pixels = np.flatnonzero(inside)
    seed = labels.ravel()[pixels]
    size = np.bincount(seed, minlength=len(seeds) + 1)[1:]
    answer, votes = _vote(scene, window, pixels, seed, size, members)
    keep = _wanted(scene, seeds) & (size >= rules.smallest_cell_px) & (answer >= 0)
    number = np.zeros(len(seeds) + 1, np.int32)
    number[1:][keep] = np.arange(1, keep.sum() + 1)
    labels.ravel()[pixels] = number[seed]
    if not keep.any():
        return None
    stains = _stains(scene, window)
    sums = PixelSums.of(labels, int(keep.sum()), (window.x, window.y), values, stains)
    lines = trace(labels, window, window.expanded(-1), values, inside, covered, rules.level)
    polygons, found = polygons_of(lines, keep_holes=False)
    shapes = to_level0(polygons, frame, rules.simplify_px)
    # What is small has fewer pixels inside its outline than above the threshold.
    solid = shapely.area(shapes) >= rules.smallest_cell_px * frame.scale_x * frame.scale_y
    kept = found[solid] - 1
    nuclei = shapes[solid]
    told = {name: column[keep][kept] for name, column in votes.items()}
    which = answer[keep][kept].astype(np.int16)
    if not rules.grow_px:
        return FoundCells(nuclei, which, measure(nuclei, sums.take(kept), frame, stains=rules.stains) | told)
    bodies = grown(labels, inside, covered, rules.grow_px, rivals)
    cells, nuclei, measurements = _bodies(scene, window, bodies, nuclei, sums, kept, values, stains)
    return FoundCells(cells, which, measurements | told, nuclei)


def _bodies(
    scene: Scene,
    window: Box,
    labels: NDArray[np.int32],
    nuclei: NDArray[np.object_],
    sums: PixelSums,
    kept: NDArray[np.int64],
    values: NDArray[np.uint8],
    stains: NDArray[np.int64] | None,
) -> tuple[NDArray[np.object_], NDArray[np.object_], dict[str, NDArray[np.float64]]]:
    """Outline and measure the cells around nuclei; returns cells, nuclei and measurements."""
    frame = scene.chunks.frame
    polygons, found = polygons_of(trace(labels, window, window.expanded(-1)), keep_holes=True)
    cells = shared_to_level0(polygons[np.searchsorted(found, kept + 1)], frame)
    # A thinned nucleus may bulge where its cell has no room: what is its neighbour's stays its neighbour's.
    bulging = np.flatnonzero(~shapely.covers(cells, nuclei))
    within = fit_for_qupath(shapely.intersection(cells[bulging], nuclei[bulging]))
    left = ~shapely.is_missing(within)
    nuclei = nuclei.copy()
    nuclei[bulging[left]] = within[left]
    whole = PixelSums.of(labels, len(sums.count), (window.x, window.y), values, stains).take(kept)
    return cells, nuclei, measure_cells(nuclei, cells, sums.take(kept), whole, frame, stains=scene.rules.stains)


def _wanted(scene: Scene, seeds: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which seeds lie on tissue, and in the region of interest."""
    points_level0 = scene.chunks.frame.to_level0(seeds + 0.5)
    wanted = scene.tissue.contains(points_level0, scene.rules.tissue_margin_um)
    if scene.roi is not None:
        wanted &= shapely.contains_xy(scene.roi, points_level0[:, 0], points_level0[:, 1])
    return wanted


def _vote(
    scene: Scene,
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
    recipes, count = scene.job.recipes, len(size)
    takes_all = [index for index in members if not recipes[index].classes]
    answer = np.full(count, takes_all[0] if takes_all else -1)
    names = next((recipes[index].classes for index in members if recipes[index].classes), ())
    if not names or not count:
        return answer, {}
    of_all = (scene.channel(name, window)[0].ravel()[pixels] for name in names)
    votes = np.stack([np.bincount(seed, said, count + 1)[1:] for said in of_all])
    size = np.maximum(size, 1)
    winner = np.argmax(votes, axis=0)
    for index in members:
        if recipes[index].answer is not None:
            answer[winner == names.index(str(recipes[index].answer))] = index
    mean = np.sort(votes, axis=0)[::-1] / size / 255
    told = {"class_probability": mean[0]}
    if len(names) > 1:
        told["runner_up_probability"] = mean[1]
    if recipes[members[0]].rivals:
        # Each rival answers a prompt of its own: its share tells who the runner-up was.
        told |= {
            f"probability_{name.replace(' ', '_')}": vote / size / 255 for name, vote in zip(names, votes, strict=True)
        }
    return answer, told
