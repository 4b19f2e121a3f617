"""lay_out: divide the slide into tiles, let the model prepare, and write the plan for the workers."""

import json
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wsi_parse.compute.cluster import DEVICE, Cluster, resources_for
from wsi_parse.compute.plan import RunPlan
from wsi_parse.compute.sealed import SealedFile
from wsi_parse.compute.worker import SlideContext
from wsi_parse.files import real_folder
from wsi_parse.models.contract import State
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.predict.maps_description import save_description
from wsi_parse.run.prepared import PreparedRun
from wsi_parse.run.sureness import passes_on_slide
from wsi_parse.run.work import MAPS, OBJECTS, PREPARE_NAME, open_work, remove_void
from wsi_parse.tissue.mask import TissueMask


def lay_out(
    prepared: PreparedRun,
    tissue: TissueMask,
    folder: Path,
    cluster: Cluster | None = None,
    say: Callable[[str], None] = lambda _: None,
    codes: Collection[str] = (),
) -> RunPlan:
    """Divide the slide into tiles, let the model prepare, and write the plan for the workers.

    `codes` are those of the cautions about the slide, which may make classes less sure.

    Intermediate results that fit are used again; the others are removed, after `say` was called with what they are.
    """
    settings, digests = prepared.settings, prepared.digests
    work = open_work(folder)
    context = SlideContext(settings.model.name, settings.model, prepared.weights, prepared.slide, tissue)
    if cluster is None or cluster.is_here:
        state = context.prepare()
    else:
        state = _prepare_on_worker(context, prepared, work, cluster)
    # The state may depend on the device, and the block size decides how the maps are stored.
    state_hash = f"{zlib.crc32(json.dumps(dict(state), sort_keys=True).encode()):08x}"
    maps = work / f"{MAPS}{digests.predict}-{settings.tiles.block}-{state_hash}"
    objects = work / f"{OBJECTS}{digests.objects}-{state_hash}"
    remove_void(work, (maps, objects), say)
    for path in (maps, objects):
        real_folder(path)
    on_slide = passes_on_slide(prepared.scale_passes, state, codes, settings.objects)
    passes = tuple(
        replace(item, scale_pass=scale_pass) for item, scale_pass in zip(prepared.passes(tissue), on_slide, strict=True)
    )
    plan = RunPlan(
        prepared.slide,
        settings.model.name,
        prepared.weights,
        settings,
        state,
        tissue,
        prepared.roi,
        passes,
        maps,
        objects,
        ClassTable.of(prepared.prompts),
    )
    plan.save()
    for of_pass in plan.pass_contexts:
        save_description(of_pass.maps)
    return plan


def _prepare_on_worker(context: SlideContext, prepared: PreparedRun, work: Path, cluster: Cluster) -> State:
    """Let the model prepare on a worker: device and precision are those of the worker."""
    from wsi_parse.compute.scheduled import prepare_on
    from wsi_parse.compute.worker_check import WorkerCheck

    client = cluster.client()
    check = WorkerCheck(
        context.model_name,
        context.settings,
        context.weights,
        prepared.path,
        work,
        DEVICE if resources_for(client, context.settings) else "",
    )
    cluster.check(check)
    return prepare_on(client, SealedFile.write(work / PREPARE_NAME, context), context.settings)


def device_of(state: Mapping[str, Any]) -> str:
    """Return where the model computes: what it says in the members "device_name" or "device" of its state, else CPU."""
    return str(state.get("device_name") or state.get("device") or "CPU")
