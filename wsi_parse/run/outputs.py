"""What a run writes: objects in every format, tissue, pictures; each output is written atomically."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import shapely

from wsi_parse.compute.memory import release
from wsi_parse.exporters.areas import REGION, TISSUE, write_areas
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.opened import OpenedExporter
from wsi_parse.objects.batch import ObjectSource
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.objects.probability_map import ProbabilityMap
from wsi_parse.objects.tissue_outline import tissue_outline
from wsi_parse.pictures.overlay import Overlay
from wsi_parse.progress import Clock, Progress, stage_named
from wsi_parse.qupath.geometry import fit_for_qupath
from wsi_parse.report.page import Report
from wsi_parse.run.field_outputs import FieldOutputs
from wsi_parse.run.manifest import RunManifest, sha256_of
from wsi_parse.run.manifest_facts import FormatFacts
from wsi_parse.run.nuclear_size import NuclearAreas
from wsi_parse.run.provenance import provenance
from wsi_parse.settings import ExportSettings
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask

TISSUE_NAME, REGION_NAME, OVERLAY_NAME = "tissue.geojson", "region.geojson", "overlay.png"


@dataclass(frozen=True)
class Written:
    """What was written, and what is known of it.

    Parameters
    ----------
    paths : tuple of Path
    counts : dict of prompt name to number of objects
    unsure : dict of prompt name to number of objects whose class is unsure
        Prompts without any are left out.
    areas : NuclearAreas
        Of the prompts of cells.
    formats : dict of format to FormatFacts
        What the exporters say of their files.
    notes : tuple of str
        What the user should know of the files.
    report : Report or None
        The page of the run, which is written when the manifest says all of this.
    """

    paths: tuple[Path, ...]
    counts: dict[str, int]
    unsure: dict[str, int]
    areas: NuclearAreas
    formats: dict[str, FormatFacts]
    notes: tuple[str, ...]
    report: Report | None = None

    def record(self, manifest: RunManifest, tissue: TissueMask) -> None:
        """Note it in a manifest, with the hash of each output."""
        manifest.counts, manifest.unsure, manifest.formats = self.counts, self.unsure, self.formats
        if tissue.area_mm2:
            manifest.per_mm2 = {name: round(count / tissue.area_mm2, 2) for name, count in self.counts.items()}
        manifest.nuclear_area_um2 = self.areas.medians()
        manifest.notes += self.notes
        manifest.outputs = {path.name: str(sha256_of(path)) for path in self.paths}


def write_outputs(
    source: ObjectSource,
    slide: Slide,
    tissue: TissueMask,
    context: ExportContext,
    settings: ExportSettings,
    folder: Path,
    clock: Clock,
    progress: Progress,
    *,
    in_region: bool = False,
) -> Written:
    """Write every output of one pass over the objects.

    Parameters
    ----------
    source : ObjectSource
        The chunks of a run, or the objects.parquet of a finished one.
    slide : Slide
        For the pictures.
    tissue : TissueMask
    context : ExportContext
        For the formats; with maps, if one of them needs maps.
    settings : ExportSettings
        Which formats, the size of the overlay, and what else was asked for.
    folder : Path
        Where the outputs go; nothing is written elsewhere.
    clock : Clock
    progress : Progress
    in_region : bool
        The user gave a region of interest: its outline is written, too.
    """
    counts, areas = np.zeros(len(source.classes.rows), np.int64), NuclearAreas(source.classes)
    steps_left = source.steps
    progress.start("export", steps_left)
    with clock.stage("export"), stage_named(slide.name, "export"), ExitStack() as stack:
        exporters = [stack.enter_context(OpenedExporter(name, folder, context, settings)) for name in settings.formats]
        pictures = []
        if settings.overlay_px:
            path, model = folder / OVERLAY_NAME, str(context.provenance.get("model", {}).get("name", ""))
            pictures.append(Overlay(path, slide, tissue, source, settings.overlay_px, model=model))
        report = Report(slide, tissue, source) if settings.report else None
        fields = None
        if settings.heat_map or settings.least_certain:
            # The page fills its lattice with the same objects.
            lattice = report.lattice if report is not None else None
            fields = FieldOutputs(slide, tissue, source.classes, settings, lattice)
        subscribers: list[OpenedExporter | Overlay | Report | FieldOutputs] = [*exporters, *pictures]
        subscribers += [] if report is None else [report]
        subscribers += [] if fields is None else [fields]
        for batch in source.batches():
            counts += np.bincount(batch.class_index, minlength=len(counts))
            areas.write(batch)
            for subscriber in subscribers:
                subscriber.write(batch)
            progress.advance("export", min(1, steps_left))
            steps_left = max(0, steps_left - 1)
        # Chunks without objects yield no batch.
        progress.advance("export", steps_left)
    release()
    progress.start("pictures", 1)
    with clock.stage("pictures"), stage_named(slide.name, "pictures"):
        outlines = [folder / TISSUE_NAME]
        write_areas(outlines[0], tissue_outline(tissue), TISSUE, context)
        if in_region:
            outlines.append(folder / REGION_NAME)
            write_areas(outlines[1], [region_polygons(tissue, slide)], REGION, context)
        # A tissue of many rings leaves much behind.
        release()
        for picture in pictures:
            picture.finish()
        of_fields = fields.finish(folder, context) if fields is not None else ()
    progress.advance("pictures")
    files = [path for exporter in exporters for path in exporter.written]
    return Written(
        (*files, *outlines, *(picture.path for picture in pictures), *of_fields),
        *source.classes.by_prompt(counts),
        areas,
        {exporter.name: cast(FormatFacts, exporter.facts()) for exporter in exporters},
        tuple(note for exporter in exporters for note in exporter.notes()),
        report,
    )


def export_context(
    manifest: RunManifest,
    settings: ExportSettings,
    classes: ClassTable,
    slide_path: Path | None,
    maps: tuple[ProbabilityMap, ...] = (),
) -> ExportContext:
    """Say what the formats need to know of a run."""
    return ExportContext(
        classes,
        manifest.offset_level0,
        provenance(manifest),
        max_part_bytes=round(settings.max_part_mb * 1e6),
        max_part_objects=settings.max_part_objects,
        maps=maps,
        source=slide_path,
    )


def region_polygons(tissue: TissueMask, slide: Slide) -> Any:  # noqa: ANN401 - an object array of shapely polygons
    """Return the region on the slide, without what could not be read, in level-0 pixels, valid for QuPath."""
    parts = shapely.get_parts(shapely.intersection(tissue.region, shapely.box(0, 0, *slide.dimensions)))
    shapes = fit_for_qupath(parts[shapely.area(parts) > 0])
    return shapes[~shapely.is_missing(shapes)]
