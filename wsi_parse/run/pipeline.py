"""run_slide: one slide and prompts in, polygons and a manifest out; an interrupted run is resumed."""

from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

from wsi_parse._version import __version__
from wsi_parse.compute.cluster import Cluster
from wsi_parse.compute.memory import MemorySampler
from wsi_parse.errors import ClaimedError, ClusterError, StoreError, UsageError
from wsi_parse.files import MANIFEST_NAME, remove_parts, shared_with_group
from wsi_parse.progress import Clock, Progress, Silent, duration, stage_named
from wsi_parse.run.folders import check_outside
from wsi_parse.run.locks import claim
from wsi_parse.run.manifest import RunManifest, versions
from wsi_parse.run.prepared import PreparedRun, resolve_run
from wsi_parse.run.privacy import redacted_settings, with_given_name, without_folders
from wsi_parse.run.provenance import model_provenance, prompt_provenance
from wsi_parse.run.publish import remove_earlier
from wsi_parse.run.resolve import Request, resolve
from wsi_parse.run.reuse import PREDICTIONS, Reuse
from wsi_parse.run.slide_provenance import slide_provenance
from wsi_parse.run.stages import Stages
from wsi_parse.run.work import WORK, check_work, has_work, maps_of, remove_work
from wsi_parse.settings import RunSettings


def run_slide(
    path: Path,
    folder: Path,
    settings: RunSettings | Request,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
) -> RunManifest:
    """Process one slide; see :func:`wsi_parse.segment_slide`.

    Parameters
    ----------
    path : Path
        The slide; nothing is written beside it.
    folder : Path
        Where the outputs go; created if it does not exist.
    settings : RunSettings or Request
        A request was decided before, for several slides; its notes are not shown again.
    progress : Progress, optional
    cluster : Cluster, optional
        Where tasks run, shared with other slides; if None, a cluster is started as the settings say, and closed.

    Returns
    -------
    RunManifest
        Also in `folder`/run.json. A finished run with the same settings is not repeated, and what an earlier run left
        is used again as far as it fits.

    Raises
    ------
    WsiParseError
        What went wrong and what to do about it; the work done so far is kept for the next run.
    """
    progress = progress or Silent()
    check_outside(folder, path)
    request = settings if isinstance(settings, Request) else _resolve(settings, progress)
    prepared = resolve_run(path, request.for_folder(folder))
    with prepared.slide, shared_with_group(prepared.settings.compute.share_group):
        for note in prepared.notes:
            progress.note(note)
        for caution in prepared.cautions:
            progress.caution(caution)
        done = _finished(prepared, folder, progress)
        if done is not None:
            _remove_leftover_work(folder, done)
            return done
        with stage_named(prepared.slide.name, "opening the output folder"):
            check_work(folder)
            folder.mkdir(parents=True, exist_ok=True)
            with claim(folder):
                # Another process may have finished it between the first check and the claim.
                return _finished(prepared, folder, progress) or run_prepared(prepared, folder, progress, cluster)


def _resolve(settings: RunSettings, progress: Progress) -> Request:
    request = resolve(settings)
    for note in request.notes:
        progress.note(note)
    return request


def _remove_leftover_work(folder: Path, done: RunManifest) -> None:
    """Remove the intermediate files of a run that was killed after it had written its manifest."""
    if has_work(folder):
        # If another process works in the folder, the files are its own; if nothing may be removed there, they stay.
        with suppress(ClaimedError, StoreError, OSError), claim(folder):
            remove_work(folder, keep_maps_of=done.digests.predict if done.maps_kept else None)


def _finished(prepared: PreparedRun, folder: Path, progress: Progress) -> RunManifest | None:
    """Return the manifest of a run that is done with the same settings, if its outputs are unchanged."""
    earlier = RunManifest.load(folder)
    _check_folder(folder, earlier, prepared)
    if earlier is not None and (reuse := Reuse.find(prepared, folder, earlier)).finished:
        progress.note(reuse.sentence)
        for caution in earlier.caution_list():
            if caution not in prepared.cautions:
                progress.caution(caution)
        return earlier
    return None


def run_prepared(prepared: PreparedRun, folder: Path, progress: Progress, cluster: Cluster | None) -> RunManifest:
    """Do what is left of a run in a folder that is claimed; whatever happens, the manifest records how it ended."""
    earlier, manifest = RunManifest.load(folder), _manifest(prepared)
    reuse = Reuse.find(prepared, folder, earlier)
    if earlier is not None and earlier.state == "done":
        progress.note(
            f"This slide was done before, but {_reason_to_redo(earlier, manifest, reuse)}. "
            "Its results are replaced when this run is done."
        )
    # Left by a process that was killed while it wrote: we hold the claim, so nobody writes it now.
    remove_parts(folder, {MANIFEST_NAME, *(earlier.earlier | earlier.outputs if earlier else ())})
    if earlier is not None:
        manifest.earlier = earlier.hashes()
        manifest.maps_kept = earlier.maps_kept and bool(maps_of(folder, prepared.digests.predict))
        if reuse.objects is not None:
            manifest.take_over(earlier)
        if reuse.needs_lost_maps:
            progress.note(_must_predict_again(earlier))
    manifest.maps_kept |= PREDICTIONS in prepared.settings.export.keep
    manifest.save(folder)
    clock, sampler = Clock(), MemorySampler()
    try:
        with sampler, clock.stage("total"), stage_named(prepared.slide.name, "the run"), ExitStack() as stack:
            compute, model = prepared.settings.compute, prepared.settings.model
            is_own = cluster is None
            cluster = cluster or stack.enter_context(Cluster(compute, folder / WORK, progress.note, model=model))
            stages = Stages(prepared, folder, manifest, clock, progress)
            remote_bytes = stages.run(cluster, reuse.objects, is_own=is_own)
    except BaseException as error:
        manifest.state = "failed"
        # The original message may hold addresses of workers.
        text = "The workers were lost or cannot do the work." if isinstance(error, ClusterError) else str(error)
        roi = prepared.settings.slide.roi
        text = without_folders(text or type(error).__name__, prepared.path, folder, roi)
        manifest.error = with_given_name(text, prepared.settings.slide.name, prepared.file_name, prepared.path.name)
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
    remove_work(folder, keep_maps_of=manifest.digests.predict if manifest.maps_kept else None)
    return manifest


def _must_predict_again(earlier: RunManifest) -> str:
    """Say that predicted maps are gone and needed, how long they take, and what keeps them."""
    tiles = sum(item["tiles"] for item in earlier.passes)
    seconds = earlier.seconds.get("predict and outline")
    time = f" That took {duration(seconds)} the last time." if seconds else ""
    return (
        f"The predicted maps of this slide were not kept: all {tiles:,} tiles are predicted again.{time} "
        "With --keep predictions, another threshold or size needs no new prediction."
    )


def _reason_to_redo(earlier: RunManifest, manifest: RunManifest, reuse: Reuse) -> str:
    differences = earlier.differences(manifest)
    if differences:
        return f"these have changed: {', '.join(differences)}"
    return "its predictions were not kept" if reuse.needs_lost_maps else "an output was changed or removed"


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


def _manifest(prepared: PreparedRun) -> RunManifest:
    manifest = RunManifest(
        wsi_parse=__version__,
        state="running",
        digests=prepared.digests,
        slide=slide_provenance(prepared.slide),
        settings=redacted_settings(prepared.settings),
        model=model_provenance(prepared.spec, prepared.weights),
        prompts=prompt_provenance(prepared.prompts),
        notes=[*prepared.request.notes, *prepared.notes],
        limitations=list(prepared.request.limitations),
        versions=versions(prepared.settings, prepared.slide.info.reader),
    )
    for caution in prepared.cautions:
        manifest.add_caution(caution)
    return manifest
