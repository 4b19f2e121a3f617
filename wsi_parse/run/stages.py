"""Stages: a run that has begun, from the tissue to the outputs in its folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsi_parse.cautions import Caution, nothing_found, roi_without_tissue
from wsi_parse.compute.cluster import Cluster
from wsi_parse.compute.memory import release
from wsi_parse.compute.worker import forget
from wsi_parse.exporters.parquet_source import ParquetSource
from wsi_parse.objects.batch import ObjectSource
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.objects.probability_map import ProbabilityMap
from wsi_parse.progress import Clock, Progress, stage_named
from wsi_parse.run.collect import ChunkSource
from wsi_parse.run.layout import device_of, lay_out
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.outputs import export_context, write_outputs
from wsi_parse.run.prediction import predict_and_extract
from wsi_parse.run.prepared import PreparedRun
from wsi_parse.run.provenance import pass_provenance
from wsi_parse.run.publish import publish
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

    def run(self, cluster: Cluster, objects: Path | None = None) -> int:
        """Do what is left.

        Parameters
        ----------
        cluster : Cluster
            Not started unless something must be computed.
        objects : Path, optional
            objects.parquet of an earlier run with the same objects: nothing is predicted or outlined then.

        Returns
        -------
        int
            Peak memory of processes that are not children of this one, in bytes.
        """
        self.progress.start("tissue", 1)
        with self.clock.stage("tissue"), stage_named(self.prepared.slide.name, "tissue"):
            tissue = self.prepared.tissue()
        self.progress.advance("tissue")
        self.manifest.tissue_mm2 = round(tissue.area_mm2, 4)
        self._caution(*tissue.cautions)
        if tissue.mask.any() and not tissue.area_mm2:
            self._caution(roi_without_tissue())
        if objects is None:
            return self._compute(tissue, cluster)
        self.manifest.reused = [{"stage": "objects", "file": objects.name}]
        self._caution(*self.prepared.request.model.cautions_of(self.manifest.model.get("state", {})))
        self._write(ParquetSource(objects, ClassTable.of(self.prepared.prompts)), tissue)
        return 0

    def _compute(self, tissue: TissueMask, cluster: Cluster) -> int:
        manifest = self.manifest
        self.progress.start("prepare", 1)
        with self.clock.stage("prepare"), stage_named(self.prepared.slide.name, "layout"):
            plan = lay_out(self.prepared, tissue, self.folder, cluster, self.progress.note)
        self.progress.advance("prepare")
        self.progress.device(device_of(plan.state))
        manifest.passes = [pass_provenance(item) for item in plan.passes]
        manifest.model["state"] = dict(plan.state)
        self._caution(*self.prepared.request.model.cautions_of(plan.state))
        try:
            remote_bytes = predict_and_extract(plan, cluster, manifest, self.clock, self.progress)
            manifest.maps_mb = round(size_bytes(plan.maps) / 1e6, 2)
            release()
            self._write(ChunkSource(plan), tissue, [ProbabilityMap.of(context) for context in plan.pass_contexts])
        finally:
            forget(str(plan.path))
            cluster.forget(plan.path)
        return remote_bytes

    def _write(self, source: ObjectSource, tissue: TissueMask, maps: Sequence[ProbabilityMap] = ()) -> None:
        """Write all outputs aside, and move them into the folder when all are whole."""
        slide, export, manifest = self.prepared.slide, self.prepared.settings.export, self.manifest
        context = export_context(manifest, export, source.classes, self.prepared.path, tuple(maps))
        with staging(self.folder, manifest.digests.outputs) as staged:
            written = write_outputs(source, slide, tissue, context, export, staged, self.clock, self.progress)
            for note in written.notes:
                self.progress.note(note)
            written.record(manifest, tissue)
            if not any(written.counts.values()) and tissue.area_mm2 >= _MIN_TISSUE_MM2:
                self._caution(nothing_found(tuple(written.counts), tissue.area_mm2))
            publish(staged, self.folder, manifest, manifest.outputs, self._note)

    def _note(self, text: str) -> None:
        self.manifest.notes.append(text)
        self.progress.note(text)

    def _caution(self, *cautions: Caution) -> None:
        for caution in cautions:
            if self.manifest.add_caution(caution):
                self.progress.caution(caution)
