"""Label maps for `benchmarks.peer_outlines`, and how wsi-parse outlines them and writes GeoJSON."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.objects_floor import predicted
from benchmarks.outline_ways import INFO, LabelMaps
from wsi_parse.compute.plan import RunPlan
from wsi_parse.contours.tracing import polygons_of, trace
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.geojson import GeoJsonExporter
from wsi_parse.geometry import Box
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.extract import extract_objects
from wsi_parse.objects.pass_context import PassContext
from wsi_parse.objects.simplify import to_level0
from wsi_parse.objects.split import label_cells
from wsi_parse.objects.threshold import threshold_mask
from wsi_parse.run.collect import collect, content_ids


@dataclass(frozen=True)
class Pixels:
    """What the pixels of the labels say.

    Parameters
    ----------
    centre_level0 : float array (N, 2)
    area_level0 : float array (N,)
        In level-0 pixels.
    """

    centre_level0: NDArray[np.float64]
    area_level0: NDArray[np.float64]


def save_maps(slide: Path, folder: Path, model: str) -> Pixels:
    """Predict a slide, split touching nuclei, and save the label map of each chunk in a folder.

    A nucleus is in the map of the chunk of its seed only, and whole there.
    """
    context = _context(predicted(slide, folder, model))
    frame = context.chunks.frame
    centres, sizes = [], []
    for number, chunk in enumerate(context.chunks.chunks(context.selection)):
        labels, values, covered = _split(context, chunk)
        if not labels.any():
            continue
        # As small as can be, with a pixel around, because a peer looks at the whole map for each label.
        rows, columns = ndimage.find_objects((labels > 0).astype(np.uint8))[0]
        around = np.s_[rows.start - 1 : rows.stop + 1, columns.start - 1 : columns.stop + 1]
        window = context.chunks.window(chunk)
        np.savez(
            folder / f"{number:06}.npz",
            corner=[window.x + columns.start - 1, window.y + rows.start - 1],
            labels=labels[around],
            values=values[around],
            covered=covered[around],
        )
        size = np.bincount(labels.ravel())[1:]
        middle = ndimage.center_of_mass(labels > 0, labels, np.arange(1, len(size) + 1))
        centres.append(frame.to_level0(np.array(middle)[:, ::-1] + (window.x + 0.5, window.y + 0.5)))
        sizes.append(size)
    told = {"slide": str(slide), "model": model, "scale_x": frame.scale_x, "scale_y": frame.scale_y}
    (folder / INFO).write_text(json.dumps(told))
    area_level0 = np.concatenate(sizes) * np.float64(frame.scale_x * frame.scale_y)
    return Pixels(np.concatenate(centres), area_level0)


class PlannedMaps(LabelMaps):
    """Label maps with the plan of the run that they are of, whose slide is open."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.plan = predicted(Path(self.info["slide"]), folder, self.info["model"])


def _context(plan: RunPlan) -> PassContext:
    (context,) = plan.pass_contexts
    return context


def _split(
    context: PassContext, chunk: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.bool_]]:
    """Return labels, probability, and where it is known, in the window of a chunk; as a run splits nuclei."""
    (recipe,) = context.scale_pass.recipes
    core, window, parameters = context.chunks.core(chunk), context.chunks.window(chunk), context.parameters
    values, covered = context.cell_probability(recipe, window)
    inside = threshold_mask(values, covered, parameters.threshold_255)
    distance = context.channel(recipe.distance, window)[0] if recipe.distance else None
    labels, seeds = label_cells(values, inside, distance, window, core, parameters.split)
    size = np.bincount(labels.ravel(), minlength=len(seeds) + 1)[1:]
    large = size >= parameters.min_cell_area_px
    number = np.zeros(len(seeds) + 1, np.int32)
    number[1:][large] = np.arange(1, large.sum() + 1)
    return number[labels], values, covered


def write_outlines(maps: PlannedMaps, path: Path) -> None:
    """Outline label maps and write the polygons with ids, without measurements."""
    plan = maps.plan
    context = _context(plan)
    threshold_255 = context.parameters.threshold_255
    with GeoJsonExporter(path, ExportContext(plan.classes, (0, 0), {})) as exporter:
        for one in maps:
            values, covered = maps.load(one.path, "values"), maps.load(one.path, "covered")
            window = Box(one.x, one.y, one.labels.shape[1], one.labels.shape[0])
            inside = threshold_mask(values, covered, threshold_255)
            lines = trace(one.labels, window, window.expanded(-1), values, inside, covered, threshold_255)
            polygons, _ = polygons_of(lines, keep_holes=False)
            shapes = to_level0(polygons, context.chunks.frame, context.parameters.simplify_px)
            shapes = shapes[~shapely.is_missing(shapes)]
            classes = np.zeros(len(shapes), np.int16)
            exporter.write(ObjectBatch(shapes, classes, content_ids(shapes, classes, plan.classes), {}))


def write_objects(maps: PlannedMaps, path: Path) -> None:
    """Blend, split, outline, measure and write, from what the model predicted."""
    plan = maps.plan
    context = _context(plan)
    for chunk in context.chunks.chunks(context.selection):
        extract_objects(context, chunk).save(plan.objects_path(0, chunk))
    with GeoJsonExporter(path, ExportContext(plan.classes, (0, 0), {})) as exporter:
        for batch in collect(plan):
            exporter.write(batch)
