"""segment_slide: one slide and words in, polygons and a manifest out; resumes what was interrupted."""

import json
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import shapely

from wsi_parse import __version__
from wsi_parse.collect import collect
from wsi_parse.compute.cluster import local_client
from wsi_parse.compute.graph import open_work, run_graph
from wsi_parse.compute.memory import MemorySampler, release
from wsi_parse.compute.worker import Done, forget, load_model
from wsi_parse.describe import describe_model, describe_pass, describe_prompts, describe_slide, provenance
from wsi_parse.errors import StageError, StoreError, UsageError, WsiParseError
from wsi_parse.exporters.base import ExportContext, ObjectBatch
from wsi_parse.exporters.geojson import write_tissue
from wsi_parse.exporters.overlay import draw_overlay
from wsi_parse.manifest import RunManifest, sha256_of, versions
from wsi_parse.objects import to_level0
from wsi_parse.plan import RunPlan
from wsi_parse.preparation import Prepared, prepare
from wsi_parse.qupath import fit_for_qupath
from wsi_parse.regions import polygons_of_mask
from wsi_parse.registry import EXPORTERS
from wsi_parse.settings import RunSettings
from wsi_parse.tissue import TissueMask

# Stored predictions shrink about so much (measured on cell-like maps); used to say early that a disk is too full.
_SHRINK = 8


class Progress(Protocol):
    """Who wants to know how a run goes."""

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of `total` steps."""

    def advance(self, stage: str, steps: int = 1) -> None:
        """Go on by some steps."""

    def note(self, text: str) -> None:
        """Say something once."""


class Silent:
    """Tells nobody."""

    def start(self, stage: str, total: int) -> None:
        """Ignore."""

    def advance(self, stage: str, steps: int = 1) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""


@dataclass
class _Clock:
    """Seconds of each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def segment_slide(path: Path, folder: Path, settings: RunSettings, progress: Progress | None = None) -> RunManifest:
    """Do one slide.

    Parameters
    ----------
    path : Path
        The slide; nothing is written beside it.
    folder : Path
        Where the outputs go; made where absent.
    settings : RunSettings
    progress : Progress, optional

    Returns
    -------
    RunManifest
        Also in `folder`/run.json. A finished run with the same settings is not done again.

    Raises
    ------
    WsiParseError
        What went wrong and what to do; what is done so far is kept for the next run.
    """
    progress = progress or Silent()
    prepared = prepare(path, settings)
    with prepared.slide:
        earlier = RunManifest.load(folder)
        _check_folder(folder, earlier, prepared)
        if earlier is not None and earlier.is_finished(folder, prepared.digest):
            progress.note("Already done with these settings; outputs verified.")
            return earlier
        manifest = _manifest(prepared)
        if earlier is not None and earlier.state == "done" and earlier.digest != prepared.digest:
            progress.note("This folder holds results of other settings: they are replaced when this run is done.")
        for note in prepared.notes:
            progress.note(note)
        with _named(prepared, "opening the output folder"):
            folder.mkdir(parents=True, exist_ok=True)
            manifest.save(folder)
        clock, sampler = _Clock(), MemorySampler()
        try:
            with sampler, clock.stage("total"), _named(prepared, "the run"):
                _run(prepared, folder, manifest, clock, progress)
        except BaseException as error:
            manifest.state = "failed"
            manifest.error = _without_folders(str(error) or type(error).__name__, path, folder)
            with suppress(OSError):
                manifest.save(folder)
            raise
        manifest.state = "done"
        manifest.seconds = {name: round(value, 3) for name, value in clock.seconds.items()}
        manifest.peak_memory_mb = round(sampler.peak_bytes / 1e6, 1)
        manifest.ended_utc = datetime.now(UTC).isoformat(timespec="seconds")
        manifest.save(folder)
    shutil.rmtree(folder / WORK, ignore_errors=True)
    return manifest


def _check_folder(folder: Path, earlier: RunManifest | None, prepared: Prepared) -> None:
    """Refuse to write one slide's results over another's."""
    if earlier is not None and earlier.slide.get("fingerprint") != prepared.slide.info.fingerprint:
        raise UsageError(
            f"{folder} holds results of another slide, {earlier.slide.get('name')}.",
            "Choose another --out, or remove that folder.",
        )


def _without_folders(text: str, *paths: Path) -> str:
    """Take the folders out of a message: paths may hold names of patients."""
    for path in paths:
        text = text.replace(f"{path.absolute().parent}/", "").replace(f"{path.parent}/", "")
    return text


WORK = ".work"


def _run(prepared: Prepared, folder: Path, manifest: RunManifest, clock: _Clock, progress: Progress) -> None:
    progress.start("tissue", 1)
    with clock.stage("tissue"):
        tissue = prepared.tissue()
    progress.advance("tissue")
    with clock.stage("prepare"):
        plan = lay_out(prepared, tissue, folder)
    manifest.tissue_mm2 = round(tissue.area_mm2, 4)
    manifest.passes = [describe_pass(item) for item in plan.passes]
    manifest.model["state"] = dict(plan.state)
    try:
        _compute(plan, prepared, clock, progress)
        manifest.existence = _existence(plan)
        release()
        _export(plan, prepared, folder, manifest, clock, progress)
    finally:
        forget(str(plan.path))


def lay_out(prepared: Prepared, tissue: TissueMask, folder: Path) -> RunPlan:
    """Cut the slide up, let the model look at it, and write the plan for the workers.

    What an earlier run with the same settings left in `folder` is found again; what others left is removed.
    """
    settings = prepared.settings
    model = load_model(settings.model.name, settings.model, prepared.weights)
    state = model.prepare(prepared.slide, tissue)
    # Tiles a block decide how the store is laid out, and nothing else; the state may tell of the device.
    seen = zlib.crc32(json.dumps(dict(state), sort_keys=True).encode())
    work = folder.absolute() / WORK / f"{prepared.digest}-{settings.tiles.block}-{seen:08x}"
    for other in (folder / WORK).glob("*"):
        if other.name != work.name:
            shutil.rmtree(other, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    passes = prepared.passes(tissue)
    plan = RunPlan(
        prepared.slide, settings.model.name, prepared.weights, settings, state, tissue, prepared.roi, passes, work
    )
    plan.save()
    return plan


def _compute(plan: RunPlan, prepared: Prepared, clock: _Clock, progress: Progress) -> None:
    blocks, chunks = open_work(plan)
    everything = sum(len(item.selection.blocks()) for item in plan.passes)
    if sum(map(len, blocks)) < everything and any(blocks) | any(chunks):
        progress.note(f"Going on: {everything - sum(map(len, blocks))} of {everything} blocks are done.")
    tiles = sum(
        len(item.selection.of_block(block)) for item, todo in zip(plan.passes, blocks, strict=True) for block in todo
    )
    _check_space(plan, tiles)
    progress.start("predict", tiles)
    progress.start("outline", sum(map(len, chunks)))
    if not (any(blocks) or any(chunks)):
        return

    def report(done: Done) -> None:
        progress.advance(done.stage, done.count if done.stage == "predict" else 1)
        name = f"{done.stage} (all workers)"
        clock.seconds[name] = clock.seconds.get(name, 0.0) + done.ended - done.started

    model = load_model(plan.model_name, plan.settings.model, plan.weights)
    with (
        clock.stage("predict and outline"),
        local_client(prepared.settings.compute, at_once=model.at_once) as client,
    ):
        run_graph(client, plan, blocks, chunks, report)


def _existence(plan: RunPlan) -> dict[str, dict[str, Any]]:
    """What the model noted of all tiles, summarised a prompt."""
    model = load_model(plan.model_name, plan.settings.model, plan.weights)
    found: dict[str, dict[str, Any]] = {}
    for item, scene in zip(plan.passes, plan.scenes, strict=True):
        found |= model.summarise(scene.store.notes(item.selection.blocks()), item.job)
    return found


def _check_space(plan: RunPlan, tiles: int) -> None:
    per_tile = max(sum((item.job.tile_px // stride) ** 2 for stride in item.strides.values()) for item in plan.passes)
    needed, free = tiles * per_tile // _SHRINK, shutil.disk_usage(plan.work).free
    if needed > free:
        raise StoreError(
            f"{tiles} tiles need about {needed / 1e9:.1f} GB for a while, and {free / 1e9:.1f} GB are free.",
            "Free some space, choose another --out, or a smaller --roi.",
        )


def _export(
    plan: RunPlan, prepared: Prepared, folder: Path, manifest: RunManifest, clock: _Clock, progress: Progress
) -> None:
    settings = prepared.settings.export
    context = ExportContext(prepared.prompts, prepared.offset_level0, provenance(prepared, plan.state))
    counts = np.zeros((len(prepared.prompts), 2), np.int64)
    outputs: list[Path] = []

    def batches() -> Iterator[ObjectBatch]:
        return collect(plan, prepared.prompts)

    chunks_left = sum(len(item.chunks.chunks(item.selection)) for item in plan.passes)
    progress.start("export", chunks_left)
    with clock.stage("export"), _named(prepared, "export"), ExitStack() as stack:
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
    with clock.stage("pictures"), _named(prepared, "pictures"):
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


@contextmanager
def _named(prepared: Prepared, stage: str) -> Iterator[None]:
    """Turn a full disk or a lost folder into an error that names slide and stage."""
    try:
        yield
    except WsiParseError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise StageError(
            f"{prepared.slide.name}: {stage} failed: {reason}",
            "Mend that and run again: what is done is kept.",
        ) from error


def tissue_polygons(tissue: TissueMask) -> Any:  # noqa: ANN401 - an object array of shapely polygons
    """Outline the tissue (in the region of interest) in level-0 pixels, fit for QuPath."""
    shapes = to_level0(polygons_of_mask(tissue.mask, 0.5), tissue.frame)
    if tissue.region is not None:
        shapes = fit_for_qupath(shapely.intersection(shapes[~shapely.is_missing(shapes)], tissue.region))
    return shapes[~shapely.is_missing(shapes)]


def _manifest(prepared: Prepared) -> RunManifest:
    settings = prepared.settings.model_dump(mode="json")
    if prepared.settings.slide.roi is not None:
        settings["slide"]["roi"] = prepared.settings.slide.roi.name
    if prepared.settings.model.weights is not None:
        settings["model"]["weights"] = prepared.settings.model.weights.name
    return RunManifest(
        wsi_parse=__version__,
        state="running",
        digest=prepared.digest,
        slide=describe_slide(prepared.slide),
        settings=settings,
        model=describe_model(prepared.spec, prepared.weights),
        prompts=describe_prompts(prepared.prompts),
        notes=list(prepared.notes),
        versions=versions(),
    )
