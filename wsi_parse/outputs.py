"""What a run writes: objects in every format, tissue, pictures; each output whole or not at all."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from wsi_parse.collect import collect
from wsi_parse.compute.memory import release
from wsi_parse.describe import provenance
from wsi_parse.exporters.base import ExportContext, ObjectBatch
from wsi_parse.exporters.geojson import write_tissue
from wsi_parse.exporters.overlay import draw_overlay
from wsi_parse.exporters.probability import ProbabilityMap
from wsi_parse.manifest import RunManifest, sha256_of
from wsi_parse.objects import to_level0
from wsi_parse.plan import RunPlan
from wsi_parse.preparation import Prepared
from wsi_parse.progress import Clock, Progress, stage_named
from wsi_parse.qupath import fit_for_qupath
from wsi_parse.regions import polygons_of_mask
from wsi_parse.registry import EXPORTERS
from wsi_parse.tissue import TissueMask


def write_outputs(
    plan: RunPlan, prepared: Prepared, folder: Path, manifest: RunManifest, clock: Clock, progress: Progress
) -> None:
    """Write every output, and into the manifest what they hold and their hashes."""
    settings = prepared.settings.export
    context = ExportContext(
        prepared.prompts,
        prepared.offset_level0,
        provenance(prepared, plan.state),
        tuple(ProbabilityMap.of(scene) for scene in plan.scenes),
        prepared.path,
    )
    counts = np.zeros((len(prepared.prompts), 2), np.int64)
    outputs: list[Path] = []

    def batches() -> Iterator[ObjectBatch]:
        return collect(plan, prepared.prompts)

    chunks_left = sum(len(item.chunks.chunks(item.selection)) for item in plan.passes)
    progress.start("export", chunks_left)
    with clock.stage("export"), stage_named(prepared.slide.name, "export"), ExitStack() as stack:
        exporters = []
        for name in settings.formats:
            kind = EXPORTERS.get(name)
            target = folder / (kind.file_name + (".gz" if settings.gzip and name == "geojson" else ""))
            exporters.append(stack.enter_context(kind(target, context)))
            outputs.append(target)
        for batch in batches():
            counts += np.bincount(batch.variant, minlength=counts.size).reshape(counts.shape)
            for exporter in exporters:
                exporter.write(batch)
            progress.advance("export", min(1, chunks_left))
            chunks_left = max(0, chunks_left - 1)
        # Chunks without objects give no batch.
        progress.advance("export", chunks_left)
    names = [prompt.name for prompt in prepared.prompts]
    manifest.counts = dict(zip(names, counts.sum(axis=1).tolist(), strict=True))
    manifest.unsure = {name: count for name, count in zip(names, counts[:, 1].tolist(), strict=True) if count}
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
                prepared.prompts,
                folder / "overlay.png",
                settings.overlay_px,
            )
            outputs.append(folder / "overlay.png")
    manifest.outputs = {path.name: str(sha256_of(path)) for path in outputs}


def tissue_polygons(tissue: TissueMask) -> Any:  # noqa: ANN401 - an object array of shapely polygons
    """Outline the tissue (in the region of interest) in level-0 pixels, fit for QuPath."""
    shapes = to_level0(polygons_of_mask(tissue.mask, 0.5), tissue.frame)
    if tissue.region is not None:
        shapes = fit_for_qupath(shapely.intersection(shapes[~shapely.is_missing(shapes)], tissue.region))
    return shapes[~shapely.is_missing(shapes)]
