"""Stages: a run that has begun, from the tissue to the outputs in its folder."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsi_parse.cautions import Caution, nothing_found, roi_without_tissue, unreadable_tiles
from wsi_parse.compute.cluster import Cluster
from wsi_parse.compute.memory import release
from wsi_parse.compute.worker import forget
from wsi_parse.exporters.parquet_source import ParquetSource
from wsi_parse.geometry import Box
from wsi_parse.models.contract import State
from wsi_parse.models.scale_pass import NEVER_SURE, ScalePass
from wsi_parse.objects.batch import ObjectSource
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.objects.probability_map import ProbabilityMap
from wsi_parse.predict.unreadable import inside
from wsi_parse.progress import Clock, Progress, stage_named
from wsi_parse.report.citations import of_spec
from wsi_parse.report.page import REPORT_NAME, ModelNotes, Report
from wsi_parse.run.collect import ChunkSource
from wsi_parse.run.layout import device_of, lay_out
from wsi_parse.run.manifest import RunManifest, sha256_of
from wsi_parse.run.nuclear_size import pixel_size_cautions, pixel_size_facts, unsure_cautions
from wsi_parse.run.outputs import export_context, write_outputs
from wsi_parse.run.prediction import damaged_tiles, predict_and_extract
from wsi_parse.run.prepared import PreparedRun
from wsi_parse.run.provenance import pass_provenance
from wsi_parse.run.publish import publish
from wsi_parse.run.sureness import passes_on_slide, raised_note, training_cautions
from wsi_parse.run.work import size_bytes, staging
from wsi_parse.tissue.mask import TissueMask

# On less tissue it is no surprise if nothing is found.
_MIN_TISSUE_MM2 = 0.02


@dataclass(frozen=True)
class Stages:
    """A run that has begun, in a folder that no other process works in.

    Parameters
    ----------
    prepared : PreparedRun
    folder : Path
    manifest : RunManifest
        Receives what every stage found out.
    clock : Clock
    progress : Progress
    """

    prepared: PreparedRun
    folder: Path
    manifest: RunManifest
    clock: Clock
    progress: Progress

    def run(self, cluster: Cluster, objects: Path | None = None, *, is_own: bool = False) -> int:
        """Do what is left.

        Parameters
        ----------
        cluster : Cluster
            Not started unless something must be computed.
        objects : Path, optional
            objects.parquet of an earlier run with the same objects: nothing is predicted or outlined then.
        is_own : bool
            Whether nobody else needs the cluster: it is closed before outputs are written.

        Returns
        -------
        int
            Peak memory of processes that are not children of this one, in bytes.
        """
        self.progress.start("tissue", 1)
        with self.clock.stage("tissue"), stage_named(self.prepared.slide.name, "tissue"):
            tissue = self.prepared.tissue()
            facts = self.manifest.pixel_size_from_nuclei or pixel_size_facts(self.prepared.slide, tissue)
        self.progress.advance("tissue")
        self.manifest.pixel_size_from_nuclei = facts
        self.manifest.tissue_mm2 = round(tissue.area_mm2, 4)
        self.manifest.search_mm2 = round(tissue.search_mm2, 4)
        self._caution(*tissue.cautions, *pixel_size_cautions(self.prepared.slide, facts))
        if tissue.mask.any() and not tissue.search_mm2:
            self._caution(roi_without_tissue())
        if objects is None:
            # Overviews of a large slide took it.
            release()
            return self._compute(tissue, cluster, is_own=is_own)
        tissue = self._leave_out(tissue, [Box(*box) for box in self.manifest.unreadable.get("tiles_level0_px", ())])
        self.manifest.reused = [{"stage": "objects", "file": objects.name}]
        prepared, state = self.prepared, self.manifest.model.get("state", {})
        on_slide = passes_on_slide(prepared.scale_passes, state, self._codes, prepared.settings.objects)
        self._question(state, on_slide)
        self._write(ParquetSource(objects, ClassTable.of(self.prepared.prompts)), tissue)
        return 0

    def _compute(self, tissue: TissueMask, cluster: Cluster, *, is_own: bool) -> int:
        manifest = self.manifest
        self.progress.start("prepare", 1)
        with self.clock.stage("prepare"), stage_named(self.prepared.slide.name, "layout"):
            plan = lay_out(self.prepared, tissue, self.folder, cluster, self.progress.note, self._codes)
        self.progress.advance("prepare")
        self.progress.device(device_of(plan.state))
        manifest.passes = [pass_provenance(item) for item in plan.passes]
        manifest.model["state"] = dict(plan.state)
        self._question(plan.state, [item.scale_pass for item in plan.passes])
        try:
            remote_bytes = predict_and_extract(plan, cluster, manifest, self.clock, self.progress)
        finally:
            forget(str(plan.path))
            if is_own:
                cluster.close()
            else:
                cluster.forget(plan.path)
        tissue = self._leave_out(tissue, damaged_tiles(plan))
        manifest.maps_mb = round(size_bytes(plan.maps) / 1e6, 2)
        self._write(ChunkSource(plan), tissue, [ProbabilityMap.of(context) for context in plan.pass_contexts])
        return remote_bytes

    def _write(self, source: ObjectSource, tissue: TissueMask, maps: Sequence[ProbabilityMap] = ()) -> None:
        """Write all outputs aside, and move them into the folder when all are whole."""
        slide, export, manifest = self.prepared.slide, self.prepared.settings.export, self.manifest
        context = export_context(manifest, export, source.classes, self.prepared.path, tuple(maps))
        with staging(self.folder, manifest.digests.outputs) as staged:
            written = write_outputs(
                source,
                slide,
                tissue,
                context,
                export,
                staged,
                self.clock,
                self.progress,
                in_region=self.prepared.roi is not None,
            )
            for note in written.notes:
                self.progress.note(note)
            written.record(manifest, tissue)
            self._caution(*written.areas.cautions(), *unsure_cautions(written.counts, written.unsure, self._never_sure))
            if not any(written.counts.values()) and tissue.area_mm2 >= _MIN_TISSUE_MM2:
                self._caution(nothing_found(tuple(written.counts), tissue.area_mm2))
            if written.report is not None:
                self._report(written.report, staged / REPORT_NAME)
            publish(staged, self.folder, manifest, manifest.outputs, self._note)

    @property
    def _codes(self) -> set[str]:
        """Codes of the cautions so far."""
        return {caution.code for caution in self.manifest.caution_list()}

    @property
    def _never_sure(self) -> set[str]:
        """Prompts whose class is never sure."""
        return {name for name, line in self._lines.items() if line == NEVER_SURE}

    @property
    def _lines(self) -> dict[str, float]:
        """Probability from which on the class of each prompt is sure, or :data:`NEVER_SURE`."""
        lines = [line for item in self.manifest.passes for line in item.get("sure_from", {}).items()]
        return {name: NEVER_SURE if line is None else line for name, line in lines}

    def _question(self, state: State, on_slide: Sequence[ScalePass]) -> None:
        """Caution by what the model found out about the slide, and say which classes are less sure on it."""
        prepared = self.prepared
        self._caution(*prepared.request.model.cautions_of(state))
        self._caution(*training_cautions(prepared.scale_passes, state, prepared.spec.name))
        if note := raised_note(prepared.scale_passes, on_slide):
            self._note(note)

    def _report(self, report: Report, path: Path) -> None:
        """Write the page of the run, which shows what the manifest says by now."""
        manifest, model = self.manifest, self.prepared.request.model
        notes = ModelNotes(model.card(), of_spec(model.spec), self._lines)
        with self.clock.stage("report"), stage_named(self.prepared.slide.name, "report"):
            report.finish(path, manifest.model_dump(mode="json"), self.clock.seconds, notes)
        manifest.outputs[path.name] = str(sha256_of(path))

    def _note(self, text: str) -> None:
        self.manifest.notes.append(text)
        self.progress.note(text)

    def _leave_out(self, tissue: TissueMask, tiles: Iterable[Box]) -> TissueMask:
        """Take what could not be read out of the areas, and say how much it is."""
        damaged = sorted({*inside(tiles, tissue.region), *inside(tissue.unreadable, tissue.region)})
        if not damaged:
            return tissue
        of = self.prepared.slide.info.levels[0].tile_count
        boxes = [(box.x, box.y, box.width, box.height) for box in damaged]
        self.manifest.unreadable = {"tiles": len(damaged), "of": of, "tiles_level0_px": boxes}
        self._caution(unreadable_tiles(len(damaged), of))
        left = tissue.without(damaged)
        self.manifest.tissue_mm2 = round(left.area_mm2, 4)
        return left

    def _caution(self, *cautions: Caution) -> None:
        for caution in cautions:
            if self.manifest.add_caution(caution):
                self.progress.caution(caution)
