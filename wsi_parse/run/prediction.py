"""Predict the blocks of a plan and make the objects of its chunks, with what the manifest says of it."""

import json
import shutil
from typing import Any

from wsi_parse.compute.cluster import Cluster
from wsi_parse.compute.graph import Indices, remaining_work, run_graph
from wsi_parse.compute.memory import RemoteMemory
from wsi_parse.compute.plan import RunPlan
from wsi_parse.compute.worker import Done, load_model
from wsi_parse.errors import ModelError, StoreError
from wsi_parse.geometry import Box
from wsi_parse.predict.unreadable import tiles_of
from wsi_parse.progress import Clock, Progress
from wsi_parse.registry import plugin_named
from wsi_parse.run.estimate import stored_bytes
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.manifest_facts import ReuseFacts


def predict_and_extract(
    plan: RunPlan, cluster: Cluster, manifest: RunManifest, clock: Clock, progress: Progress
) -> int:
    """Do what is left of a plan; return the peak memory of processes that are not children of this one, in bytes.

    The manifest receives what was reused, and the summary of the model.
    """
    blocks, chunks = remaining_work(plan)
    manifest.reused = _reused(plan, blocks, chunks)
    remote_bytes = _compute(plan, blocks, chunks, cluster, clock, progress)
    manifest.existence = _existence(plan)
    _note_reduced_batch(plan, manifest, progress)
    return remote_bytes


def damaged_tiles(plan: RunPlan) -> tuple[Box, ...]:
    """Return the stored tiles of the slide that could not be read when its blocks were predicted, in level-0 pixels."""
    return tiles_of(
        context.store.unreadable(block)
        for item, context in zip(plan.passes, plan.pass_contexts, strict=True)
        for block in item.selection.blocks()
    )


def _reused(plan: RunPlan, blocks: Indices, chunks: Indices) -> list[ReuseFacts]:
    """Say how many blocks and chunks are there already."""
    totals = {
        "predict": (sum(len(item.selection.blocks()) for item in plan.passes), sum(map(len, blocks))),
        "objects": (sum(len(item.chunks.chunks(item.selection)) for item in plan.passes), sum(map(len, chunks))),
    }
    return [
        {"stage": stage, "reused": total - left, "of": total} for stage, (total, left) in totals.items() if left < total
    ]


def _compute(
    plan: RunPlan, blocks: Indices, chunks: Indices, cluster: Cluster, clock: Clock, progress: Progress
) -> int:
    total = sum(len(item.selection.blocks()) for item in plan.passes)
    left = sum(map(len, blocks))
    if left < total and any(blocks) | any(chunks):
        more = "" if left else ": nothing is predicted again"
        progress.note(f"Resuming: {total - left} of {total} blocks are done{more}.")
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
        progress.workers(remote.peak_bytes)
        if done.stage != "predict":
            progress.advance(done.stage, 1)
        name = f"{done.stage} (all workers)"
        clock.seconds[name] = clock.seconds.get(name, 0.0) + done.ended - done.started

    at_once = load_model(plan.model_name, plan.settings.model, plan.weights).at_once if cluster.is_here else None
    with clock.stage("predict and outline"):
        workers = cluster.workers(at_once)
        run_graph(workers, plan, blocks, chunks, report, lambda tiles: progress.advance("predict", tiles))
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
        with plugin_named("model", plan.model_name):
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
    free = shutil.disk_usage(plan.maps).free
    if needed > free:
        raise StoreError(
            f"{sum(tiles)} tiles need about {needed / 1e9:.1f} GB of disk, and {free / 1e9:.1f} GB are free.",
            "Free some space, choose another folder with --out, or draw smaller regions of interest (--roi).",
        )
