"""lay_out: the slide cut up, the model given its look, and the plan written for the workers."""

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
    """Cut the slide up, let the model look at it, and write the plan for the workers.

    What an earlier run with the same settings left in `folder` is found again; what others left is removed.
    """
    settings = prepared.settings
    look = SlideContext(settings.model.name, settings.model, prepared.weights, prepared.slide, tissue)
    if cluster is None or cluster.is_here:
        state = look.prepare()
    else:
        state = _prepared_elsewhere(look, prepared, folder, cluster)
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


def _prepared_elsewhere(look: SlideContext, prepared: PreparedRun, folder: Path, cluster: Cluster) -> State:
    """Let a worker that runs the model look: what it computes with is its own."""
    check = WorkerCheck(
        look.model_name,
        look.settings,
        look.weights,
        prepared.path,
        folder.absolute(),
        DEVICE,
    )
    cluster.check(check)
    (folder / WORK).mkdir(parents=True, exist_ok=True)
    path = folder.absolute() / WORK / "prepare.pickle"
    path.write_bytes(pickle.dumps(look))
    return prepare_on(cluster.client(), path)
