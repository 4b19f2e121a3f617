"""What a run writes: objects in every format, tissue, pictures; each output is written atomically."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import numpy as np
import shapely

from wsi_parse.compute.memory import release
from wsi_parse.compute.plan import RunPlan
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.opened import OpenedExporter
from wsi_parse.exporters.tissue import write_tissue
from wsi_parse.files import MANIFEST_NAME, remove
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.probability_map import ProbabilityMap
from wsi_parse.objects.regions import polygons_of_mask
from wsi_parse.objects.simplify import to_level0
from wsi_parse.pictures.overlay import draw_overlay
from wsi_parse.progress import Clock, Progress, stage_named
from wsi_parse.qupath.geometry import fit_for_qupath
from wsi_parse.run.collect import collect
from wsi_parse.run.manifest import RunManifest, sha256_of
from wsi_parse.run.manifest_facts import FormatFacts
from wsi_parse.run.prepared import PreparedRun
from wsi_parse.run.provenance import provenance
from wsi_parse.tissue.mask import TissueMask


def write_outputs(
    plan: RunPlan, prepared: PreparedRun, folder: Path, manifest: RunManifest, clock: Clock, progress: Progress
) -> None:
    """Write every output, and note counts and hashes in the manifest."""
    settings = prepared.settings.export
    context = ExportContext(
        plan.classes,
        manifest.offset_level0,
        provenance(manifest),
        max_part_bytes=round(settings.max_part_mb * 1e6),
        max_part_objects=settings.max_part_objects,
        maps=tuple(ProbabilityMap.of(context) for context in plan.pass_contexts),
        source=prepared.path,
    )
    counts = np.zeros(len(plan.classes.rows), np.int64)
    outputs: list[Path] = []
    exporters: list[OpenedExporter] = []

    def batches() -> Iterator[ObjectBatch]:
        return collect(plan)

    chunks_left = sum(len(item.chunks.chunks(item.selection)) for item in plan.passes)
    progress.start("export", chunks_left)
    with clock.stage("export"), stage_named(prepared.slide.name, "export"), ExitStack() as stack:
        exporters.extend(
            stack.enter_context(OpenedExporter(name, folder, context, settings)) for name in settings.formats
        )
        for batch in batches():
            counts += np.bincount(batch.class_index, minlength=len(counts))
            for exporter in exporters:
                exporter.write(batch)
            progress.advance("export", min(1, chunks_left))
            chunks_left = max(0, chunks_left - 1)
        # Chunks without objects yield no batch.
        progress.advance("export", chunks_left)
    for exporter in exporters:
        outputs += exporter.written
        manifest.formats[exporter.name] = cast(FormatFacts, exporter.facts())
        for note in exporter.notes():
            manifest.notes.append(note)
            progress.note(note)
    manifest.counts, manifest.unsure = plan.classes.by_prompt(counts)
    if plan.tissue.area_mm2:
        manifest.per_mm2 = {name: round(count / plan.tissue.area_mm2, 2) for name, count in manifest.counts.items()}
    release()
    with clock.stage("pictures"), stage_named(prepared.slide.name, "pictures"):
        write_tissue(folder / "tissue.geojson", tissue_polygons(plan.tissue), context)
        outputs.append(folder / "tissue.geojson")
        if settings.overlay_px:
            draw_overlay(
                plan.slide,
                plan.tissue,
                batches,
                plan.classes,
                folder / "overlay.png",
                settings.overlay_px,
            )
            outputs.append(folder / "overlay.png")
    manifest.outputs = {path.name: str(sha256_of(path)) for path in outputs}


def remove_earlier(folder: Path, manifest: RunManifest) -> list[str]:
    """Remove outputs of earlier runs that this run did not write, and nothing else.

    Returns
    -------
    list of str
        Names of outputs that were changed since they were written. They stay, because they may hold somebody's work.
    """
    changed = []
    for name, sha256 in manifest.earlier.items():
        path = folder / name
        if name in manifest.outputs or name in (MANIFEST_NAME, "..") or path.name != name:
            continue
        if (found := sha256_of(path)) == sha256:
            remove(path)
        elif found is not None:
            changed.append(name)
    manifest.earlier = {}
    return changed


def tissue_polygons(tissue: TissueMask) -> Any:  # noqa: ANN401 - an object array of shapely polygons
    """Trace the tissue (in the region of interest) in level-0 pixels, valid for QuPath."""
    shapes = to_level0(polygons_of_mask(tissue.mask), tissue.frame, 0.5)
    if tissue.region is not None:
        shapes = fit_for_qupath(shapely.intersection(shapes[~shapely.is_missing(shapes)], tissue.region))
    return shapes[~shapely.is_missing(shapes)]
