"""What a worker does: one block, one chunk; a plan, its stores and its model live once in each process."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsi_parse.errors import StageError, WsiParseError
from wsi_parse.geometry import Box, Frame
from wsi_parse.inference import predict_block
from wsi_parse.models.base import Segmenter
from wsi_parse.models.weights import Weights
from wsi_parse.objects import outline_chunk
from wsi_parse.plan import RunPlan
from wsi_parse.registry import MODELS
from wsi_parse.settings import ModelSettings

_lock = threading.Lock()
_plans: dict[str, RunPlan] = {}
_models: dict[tuple[str, ModelSettings, Weights | None], Segmenter] = {}


@dataclass(frozen=True)
class Done:
    """What a task tells of itself.

    Parameters
    ----------
    stage : str
        "predict" or "outline".
    count : int
        Tiles predicted, or cells found.
    started, ended : float
        Seconds since the epoch.
    """

    stage: str
    count: int
    started: float
    ended: float


def load_model(name: str, settings: ModelSettings, weights: Weights | None) -> Segmenter:
    """Return this process's instance of a model; the last one used is kept."""
    key = name, settings, weights
    with _lock:
        if key not in _models:
            _models.clear()
            _models[key] = MODELS.get(name)(settings, weights)
        return _models[key]


def _plan(path: str) -> RunPlan:
    with _lock:
        if path not in _plans:
            _plans.clear()
            plan = RunPlan.load(Path(path))
            _ = plan.scenes
            _plans[path] = plan
        return _plans[path]


def forget(path: str) -> None:
    """Drop what this process holds of a run."""
    with _lock:
        plan = _plans.pop(path, None)
    if plan is not None:
        plan.slide.close()


def predict_task(path: str, index: int, block: tuple[int, int]) -> Done:
    """Predict a block of a pass and store it."""
    plan = _plan(path)
    item = plan.passes[index]
    grid = item.selection.grid
    places = grid.tiles_of(block)
    first = grid.tile(places.rows.start, places.columns.start).core
    last = grid.tile(places.rows[-1], places.columns[-1]).core
    box = Box.from_corners(first.x, first.y, last.right, last.bottom)

    started = time.time()

    def work() -> int:
        nonlocal started
        model = load_model(plan.model_name, plan.settings.model, plan.weights)
        model.warm_up(item.job, plan.state)
        started = time.time()
        batch = plan.settings.model.batch or model.batch
        tiles, notes = predict_block(plan.slide, model, item.job, plan.state, item.selection, block, batch)
        plan.scenes[index].store.write_block(block, tiles, notes)
        return len(item.selection.of_block(block))

    count = _explained(plan, "prediction", grid.frame, box, work)
    return Done("predict", count, started, time.time())


def outline_task(path: str, index: int, chunk: tuple[int, int], *_blocks: Any) -> Done:  # noqa: ANN401
    """Outline a chunk of a pass and save its objects; `_blocks` are the blocks it waits for."""
    started = time.time()
    plan = _plan(path)
    chunks = plan.passes[index].chunks

    def work() -> int:
        found = outline_chunk(plan.scenes[index], chunk)
        found.save(plan.objects_path(index, chunk))
        return len(found.cells)

    count = _explained(plan, "outlining", chunks.frame, chunks.core(chunk), work)
    return Done("outline", count, started, time.time())


def _explained(plan: RunPlan, stage: str, frame: Frame, box: Box, work: Callable[[], int]) -> int:
    """Do the work; a failure names slide, stage and place."""
    try:
        return work()
    except Exception as error:
        (left, top), (right, bottom) = frame.to_level0([(box.x, box.y), (box.right, box.bottom)])
        remedy = error.remedy if isinstance(error, WsiParseError) else "Run again: what is done is kept."
        message = error.message if isinstance(error, WsiParseError) else f"{type(error).__name__}: {error}"
        raise StageError(
            f"{plan.slide.name}: {stage} failed at x {left:.0f}-{right:.0f}, y {top:.0f}-{bottom:.0f} (level 0): "
            f"{message}",
            remedy,
        ) from error
