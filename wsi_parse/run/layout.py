"""lay_out: divide the slide into tiles, let the model prepare, and write the plan for the workers."""

import json
import pickle
import shutil
import zlib
from pathlib import Path

from wsi_parse.compute.cluster import DEVICE, Cluster
from wsi_parse.compute.graph import prepare_on
from wsi_parse.compute.plan import RunPlan
from wsi_parse.compute.worker import SlideContext
from wsi_parse.compute.worker_check import WorkerCheck
from wsi_parse.models.contract import State
from wsi_parse.run.prepared import PreparedRun
from wsi_parse.tissue.mask import TissueMask

WORK = ".work"


def lay_out(prepared: PreparedRun, tissue: TissueMask, folder: Path, cluster: Cluster | None = None) -> RunPlan:
    """Divide the slide into tiles, let the model prepare, and write the plan for the workers.

    Intermediate results of an earlier run with the same settings are reused; those of other settings are removed.
    """
    settings = prepared.settings
    context = SlideContext(settings.model.name, settings.model, prepared.weights, prepared.slide, tissue)
    if cluster is None or cluster.is_here:
        state = context.prepare()
    else:
        state = _prepare_on_worker(context, prepared, folder, cluster)
    # The block size only decides how the store is laid out. The state may depend on the device.
    state_hash = zlib.crc32(json.dumps(dict(state), sort_keys=True).encode())
    work = folder.absolute() / WORK / f"{prepared.digest}-{settings.tiles.block}-{state_hash:08x}"
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


def _prepare_on_worker(context: SlideContext, prepared: PreparedRun, folder: Path, cluster: Cluster) -> State:
    """Let the model prepare on a worker: device and precision are those of the worker."""
    check = WorkerCheck(
        context.model_name,
        context.settings,
        context.weights,
        prepared.path,
        folder.absolute(),
        DEVICE,
    )
    cluster.check(check)
    (folder / WORK).mkdir(parents=True, exist_ok=True)
    path = folder.absolute() / WORK / "prepare.pickle"
    path.write_bytes(pickle.dumps(context))
    return prepare_on(cluster.client(), path)
