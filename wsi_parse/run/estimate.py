"""What a run would cost: tiles, time on this machine (from tiles that are predicted and timed here), disk space."""

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wsi_parse.compute.plan import PassPlan
from wsi_parse.compute.worker import load_model
from wsi_parse.errors import WeightsError
from wsi_parse.models.contract import Segmenter
from wsi_parse.registry import plugin_named
from wsi_parse.run.prepared import PreparedRun
from wsi_parse.tissue.mask import TissueMask

logger = logging.getLogger(__name__)
# Stored predictions are compressed by about this factor (measured on maps of cells).
_COMPRESSION = 8
# Tiles are timed until they took this long, or there were so many.
_ENOUGH_SECONDS, _MAX_BATCHES = 1.0, 4
TIMED, OWN_FIGURE = "timed here", "by the model's own figure"
_timed: dict[object, float] = {}


@dataclass(frozen=True)
class TileTime:
    """How long a tile takes on this machine when all of it works.

    Parameters
    ----------
    seconds : float
    source : str
        :data:`TIMED` or :data:`OWN_FIGURE`.
    """

    seconds: float
    source: str


def estimate_cost(
    prepared: PreparedRun, passes: Sequence[PassPlan], tissue: TissueMask, *, as_timed: TileTime | None = None
) -> dict[str, Any]:
    """Estimate the number of tiles, the seconds they take on this machine, and the disk space.

    Parameters
    ----------
    prepared : PreparedRun
    passes : sequence of PassPlan
        Of the slide.
    tissue : TissueMask
        Of the slide.
    as_timed : TileTime, optional
        What a tile takes, if that is known; otherwise it is timed, once in a process for each kind of pass.
    """
    times = [as_timed or tile_time(prepared, item, tissue) for item in passes]
    seconds = sum(item.selection.count * each.seconds for item, each in zip(passes, times, strict=True))
    return {
        "model": prepared.spec.name,
        "tiles": sum(item.selection.count for item in passes),
        "blocks": sum(len(item.selection.blocks()) for item in passes),
        "expected_seconds": round(seconds, 3),
        "expected_by": TIMED if all(each.source == TIMED for each in times) else OWN_FIGURE,
        "expected_disk_mb": round(sum(stored_bytes(item, item.selection.count) for item in passes) / 1e6, 1),
    }


def tile_time(prepared: PreparedRun, item: PassPlan, tissue: TissueMask) -> TileTime:
    """Predict a few tiles of a pass and time them, or take the model's own figure.

    The figure is taken if there is no tile, if the weights are not installed, or if other machines will do the work.
    """
    settings = prepared.settings
    threads = settings.compute.threads or os.cpu_count() or 1
    own = TileTime(prepared.spec.cpu_seconds_per_tile / threads, OWN_FIGURE)
    if not item.selection.count or settings.compute.cluster != "local":
        return own
    try:
        weights = prepared.request.model.find_weights(settings.model)
    except WeightsError:
        return own
    scale_pass = item.scale_pass
    key = (prepared.spec.name, weights, settings.model, settings.compute.workers, threads, scale_pass.tile_px)
    if key not in _timed:
        model = load_model(prepared.spec.name, settings.model, weights)
        with plugin_named("model", prepared.spec.name):
            _timed[key] = _timed_seconds(prepared, model, item, tissue, threads)
        logger.info("A tile of %s takes %.3f s on this machine.", prepared.spec.name, _timed[key])
    return TileTime(_timed[key], TIMED)


def _timed_seconds(prepared: PreparedRun, model: Segmenter, item: PassPlan, tissue: TissueMask, threads: int) -> float:
    """Return the seconds that a tile takes when every thread, or every process with a network, works."""
    settings, grid = prepared.settings, item.selection.grid
    state = model.prepare(prepared.slide, tissue)
    model.warm_up(item.scale_pass, state)
    batch = settings.model.batch or model.batch
    chosen = np.argwhere(item.selection.chosen)
    # From the middle of the slide, where tiles are tissue rather than its rim.
    chosen = np.roll(chosen, -(len(chosen) // 2), axis=0)[: batch * _MAX_BATCHES]
    reading = predicting = 0.0
    done = 0
    while done < len(chosen) and reading + predicting < _ENOUGH_SECONDS:
        images = np.zeros((batch, item.scale_pass.tile_px, item.scale_pass.tile_px, 3), np.uint8)
        started = time.perf_counter()
        for position, (row, column) in enumerate(chosen[done : done + batch]):
            # An estimate need not stop at a damaged tile; the run says where it is.
            box = grid.tile(int(row), int(column)).read
            images[position] = prepared.slide.read_readable(box, grid.frame).pixels
            done += 1
        read = time.perf_counter()
        model.predict(images, item.scale_pass, state)
        reading, predicting = reading + read - started, predicting + time.perf_counter() - read
    processes = max(1, settings.compute.workers)
    if model.at_once is None:
        return (reading + predicting) / done / threads
    # With two blocks at once, one is read while the other is computed.
    seconds = reading + predicting if model.at_once == 1 else max(reading, predicting)
    return seconds / done / processes


def stored_bytes(item: PassPlan, tiles: int) -> int:
    """Bytes that this many tiles of a pass take on the disk during a run."""
    return tiles * sum((item.scale_pass.tile_px // stride) ** 2 for stride in item.strides.values()) // _COMPRESSION
