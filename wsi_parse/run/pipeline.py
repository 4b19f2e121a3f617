"""segment_slide: one slide and prompts in, polygons and a manifest out; an interrupted run is resumed."""

import json
import shutil
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wsi_parse._version import __version__
from wsi_parse.compute.cluster import Cluster
from wsi_parse.compute.graph import remaining_work, run_graph
from wsi_parse.compute.memory import MemorySampler, RemoteMemory, release
from wsi_parse.compute.plan import RunPlan
from wsi_parse.compute.worker import Done, forget, load_model
from wsi_parse.errors import ClaimedError, ClusterError, ModelError, StoreError, UsageError
from wsi_parse.files import remove
from wsi_parse.progress import Clock, Progress, Silent, stage_named
from wsi_parse.run.estimate import stored_bytes
from wsi_parse.run.layout import WORK, lay_out
from wsi_parse.run.locks import claim
from wsi_parse.run.manifest import RunManifest, versions
from wsi_parse.run.outputs import remove_earlier, write_outputs
from wsi_parse.run.prepared import PreparedRun, resolve_run
from wsi_parse.run.privacy import redacted_settings, without_folders
from wsi_parse.run.provenance import model_provenance, pass_provenance, prompt_provenance, slide_provenance
from wsi_parse.settings import RunSettings


def segment_slide(
    path: Path,
    folder: Path,
    settings: RunSettings,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
) -> RunManifest:
    """Process one slide.

    Parameters
    ----------
    path : Path
        The slide; nothing is written beside it.
    folder : Path
        Where the outputs go; created if it does not exist.
    settings : RunSettings
    progress : Progress, optional
    cluster : Cluster, optional
        Where tasks run, shared with other slides; if None, a cluster is started as the settings say, and closed.

    Returns
    -------
    RunManifest
        Also in `folder`/run.json. A finished run with the same settings is not repeated.

    Raises
    ------
    WsiParseError
        What went wrong and what to do about it; the work done so far is kept for the next run.
    """
    progress = progress or Silent()
    prepared = resolve_run(path, settings)
    with prepared.slide:
        done = _finished(prepared, folder, progress)
        if done is not None:
            _remove_leftover_work(folder)
            return done
        with stage_named(prepared.slide.name, "opening the output folder"):
            folder.mkdir(parents=True, exist_ok=True)
            with claim(folder):
                # Another process may have finished it between the first check and the claim.
                return _finished(prepared, folder, progress) or _begin(prepared, folder, progress, cluster)


def _remove_leftover_work(folder: Path) -> None:
    """Remove the intermediate files of a run that was killed after it had written its manifest."""
    if (folder / WORK).is_dir():
        # If another process works in the folder, the files are its own; if nothing may be removed there, they stay.
        with suppress(ClaimedError, StoreError, OSError), claim(folder):
            shutil.rmtree(folder / WORK, ignore_errors=True)


def _finished(prepared: PreparedRun, folder: Path, progress: Progress) -> RunManifest | None:
    """Return the manifest of a run that is done with the same settings, if its outputs are unchanged."""
    earlier = RunManifest.load(folder)
    _check_folder(folder, earlier, prepared)
    if earlier is not None and earlier.is_finished(folder, prepared.digest):
        progress.note("This slide is already done with these settings, and its outputs are unchanged.")
        for caution in prepared.cautions:
            progress.note(caution)
        return earlier
    return None


def _begin(prepared: PreparedRun, folder: Path, progress: Progress, cluster: Cluster | None) -> RunManifest:
    """Do what is left of a run; whatever happens, the manifest records how it ended."""
    earlier, manifest = RunManifest.load(folder), _manifest(prepared)
    if earlier is not None and earlier.state == "done":
        progress.note(
            f"This slide was done before, but {_reason_to_redo(earlier, manifest)}. "
            "Its results are replaced when this run is done."
        )
    for note in prepared.notes:
        progress.note(note)
    for left in folder.glob(".*.part"):
        # Left by a process that was killed while it wrote: we hold the claim, so nobody writes it now.
        remove(left)
    if earlier is not None:
        manifest.earlier = {**earlier.earlier, **earlier.outputs}
    manifest.save(folder)
    clock, sampler = Clock(), MemorySampler()
    try:
        with sampler, clock.stage("total"), stage_named(prepared.slide.name, "the run"), ExitStack() as stack:
            cluster = cluster or stack.enter_context(Cluster(prepared.settings.compute, folder / WORK, progress.note))
            remote_bytes = _run(prepared, folder, manifest, clock, progress, cluster)
    except BaseException as error:
        manifest.state = "failed"
        # The original message may hold addresses of workers.
        text = "The workers were lost or cannot do the work." if isinstance(error, ClusterError) else str(error)
        roi = prepared.settings.slide.roi
        manifest.error = without_folders(text or type(error).__name__, prepared.path, folder, roi)
        with suppress(OSError):
            manifest.save(folder)
        raise
    manifest.state = "done"
    manifest.seconds = {name: round(value, 3) for name, value in clock.seconds.items()}
    manifest.peak_memory_mb = round((sampler.peak_bytes + remote_bytes) / 1e6, 1)
    for name in remove_earlier(folder, manifest):
        progress.note(
            f"{name} was written by an earlier run and changed afterwards. It is kept, but is not a result of this run."
        )
    manifest.ended_utc = datetime.now(UTC).isoformat(timespec="seconds")
    manifest.save(folder)
    shutil.rmtree(folder / WORK, ignore_errors=True)
    return manifest


def _reason_to_redo(earlier: RunManifest, manifest: RunManifest) -> str:
    differences = earlier.differences(manifest)
    return f"these have changed: {', '.join(differences)}" if differences else "an output was changed or removed"


def _check_folder(folder: Path, earlier: RunManifest | None, prepared: PreparedRun) -> None:
    """Refuse to write the results of one slide over those of another."""
    # After a failure the file may have been repaired: its content differs then, but it is the same slide to its owner.
    if earlier is None or earlier.state != "done":
        return
    if earlier.slide.get("fingerprint") != prepared.slide.info.fingerprint:
        raise UsageError(
            f"{folder} holds results of another slide, {earlier.slide.get('name')}.",
            "Choose another folder with --out, or remove that folder.",
        )


def _run(
    prepared: PreparedRun, folder: Path, manifest: RunManifest, clock: Clock, progress: Progress, cluster: Cluster
) -> int:
    """Run all stages; return the peak memory of processes that are not children of this one, in bytes."""
    progress.start("tissue", 1)
    with clock.stage("tissue"), stage_named(prepared.slide.name, "tissue"):
        tissue = prepared.tissue()
    progress.advance("tissue")
    with clock.stage("prepare"), stage_named(prepared.slide.name, "layout"):
        plan = lay_out(prepared, tissue, folder, cluster)
    manifest.tissue_mm2 = round(tissue.area_mm2, 4)
    manifest.passes = [pass_provenance(item) for item in plan.passes]
    manifest.model["state"] = dict(plan.state)
    try:
        remote_bytes = _compute(plan, cluster, clock, progress)
        manifest.existence = _existence(plan)
        _note_reduced_batch(plan, manifest, progress)
        release()
        write_outputs(plan, prepared, folder, manifest, clock, progress)
    finally:
        forget(str(plan.path))
        cluster.forget(plan.path)
    return remote_bytes


def _compute(plan: RunPlan, cluster: Cluster, clock: Clock, progress: Progress) -> int:
    blocks, chunks = remaining_work(plan)
    total = sum(len(item.selection.blocks()) for item in plan.passes)
    if sum(map(len, blocks)) < total and any(blocks) | any(chunks):
        progress.note(f"Resuming: {total - sum(map(len, blocks))} of {total} blocks are done.")
    tiles = [
        sum(map(len, map(item.selection.of_block, remaining)))
        for item, remaining in zip(plan.passes, blocks, strict=True)
    ]
    _check_space(plan, tiles)
    progress.start("predict", sum(tiles))
    progress.start("outline", sum(map(len, chunks)))
    if not (any(blocks) or any(chunks)):
        return 0
    remote = RemoteMemory()

    def report(done: Done) -> None:
        remote.note(done)
        progress.advance(done.stage, done.count if done.stage == "predict" else 1)
        name = f"{done.stage} (all workers)"
        clock.seconds[name] = clock.seconds.get(name, 0.0) + done.ended - done.started

    at_once = load_model(plan.model_name, plan.settings.model, plan.weights).at_once if cluster.is_here else None
    with clock.stage("predict and outline"):
        run_graph(cluster.client(at_once), plan, blocks, chunks, report)
    return remote.peak_bytes


def _note_reduced_batch(plan: RunPlan, manifest: RunManifest, progress: Progress) -> None:
    """Say where memory did not hold the batch that was asked for: a network's numbers depend on its shape."""
    found = [
        reduced
        for item, context in zip(plan.passes, plan.pass_contexts, strict=True)
        if (reduced := context.store.reduced_batch(item.selection.blocks())) is not None
    ]
    if not found:
        return
    manifest.model["largest_batch"] = min(found)
    note = (
        f"Memory ran out: some tiles were predicted {min(found)} at a time, fewer than planned. The probabilities of a "
        "network may differ by 1/255 from those of a run with more memory."
    )
    manifest.notes.append(note)
    progress.note(note)


def _existence(plan: RunPlan) -> dict[str, dict[str, Any]]:
    """Summarise, for each prompt, what the model noted of all tiles."""
    model = load_model(plan.model_name, plan.settings.model, plan.weights)
    found: dict[str, dict[str, Any]] = {}
    for item, context in zip(plan.passes, plan.pass_contexts, strict=True):
        found |= model.summarise(context.store.notes(item.selection.blocks()), item.scale_pass)
    try:
        json.dumps(found, allow_nan=False)
        facts_only = all(isinstance(facts, dict) for facts in found.values())
    except (TypeError, ValueError):
        facts_only = False
    if not facts_only:
        raise ModelError(
            f"The model {plan.model_name} returned a summary (summarise) that is not JSON facts for each prompt.",
            "Report this error to the author of the model.",
        )
    return found


def _check_space(plan: RunPlan, tiles: list[int]) -> None:
    """Refuse to begin if the tiles of all passes would not fit on the disk."""
    needed = sum(stored_bytes(item, count) for item, count in zip(plan.passes, tiles, strict=True))
    free = shutil.disk_usage(plan.work).free
    if needed > free:
        raise StoreError(
            f"{sum(tiles)} tiles need about {needed / 1e9:.1f} GB of disk, and {free / 1e9:.1f} GB are free.",
            "Free some space, choose another folder with --out, or draw smaller regions of interest (--roi).",
        )


def _manifest(prepared: PreparedRun) -> RunManifest:
    return RunManifest(
        wsi_parse=__version__,
        state="running",
        digest=prepared.digest,
        slide=slide_provenance(prepared.slide),
        settings=redacted_settings(prepared.settings),
        model=model_provenance(prepared.spec, prepared.weights),
        prompts=prompt_provenance(prepared.prompts),
        notes=list(prepared.notes),
        cautions=list(prepared.cautions),
        versions=versions(),
    )
