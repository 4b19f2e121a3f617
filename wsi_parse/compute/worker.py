"""What a worker does: one block, one chunk; plans, their stores and the model live once in each process."""

import os
import pickle
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from wsi_parse.compute.crash_guard import crash_guard
from wsi_parse.compute.plan import RunPlan
from wsi_parse.errors import StageError, WeightsError, WsiParseError
from wsi_parse.geometry import Box
from wsi_parse.models.contract import Segmenter, State
from wsi_parse.models.weights import Weights
from wsi_parse.objects.extract import extract_objects
from wsi_parse.predict.inference import predict_block
from wsi_parse.progress import stage_named
from wsi_parse.registry import MODELS
from wsi_parse.settings import ModelSettings
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask

_lock = threading.Lock()
_plans: dict[str, RunPlan] = {}
# As many runs as may be under way at once, and one more.
_MAX_PLANS = 17
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
    process : str
        Host and number of the process that did it.
    held_bytes : int
        Memory that process holds.
    """

    stage: str
    count: int
    started: float
    ended: float
    process: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    held_bytes: int = field(default_factory=lambda: int(psutil.Process().memory_info().rss))


def load_model(name: str, settings: ModelSettings, weights: Weights | None) -> Segmenter:
    """Return this process's instance of a model; the last one used is kept."""
    # What a tile covers and where the tissue is from is in the pass: slides of several organs share a model.
    key = name, settings.model_copy(update={"organ": None, "field_um": None}), weights
    with _lock:
        if key not in _models:
            _models.clear()
            _models[key] = MODELS.get(name)(settings, weights)
        return _models[key]


def _plan(path: str, stage: str) -> RunPlan:
    """Return a run's plan, its slide open and its stores there; what fails names the stage that needed it."""
    with _lock, stage_named(Path(path).parents[2].name, stage):
        if path not in _plans:
            if len(_plans) >= _MAX_PLANS:
                # Not closed: a task may still read. The last one that holds the slide closes it.
                _plans.pop(next(iter(_plans)))
            plan = RunPlan.load(Path(path))
            plan = replace(plan, weights=weights_here(plan.model_name, plan.settings.model, plan.weights))
            _ = plan.pass_contexts
            _plans[path] = plan
        return _plans[path]


def weights_here(name: str, settings: ModelSettings, weights: Weights | None) -> Weights | None:
    """Find the weights of a run on this machine, where they may lie elsewhere.

    Raises
    ------
    WeightsError
        Where they are not those of the run.
    """
    if weights is None:
        return None
    try:
        weights.check()
    except WeightsError:
        found = MODELS.get(name).find_weights(settings)
        if found is None or found.sha256 != weights.sha256:
            raise
        return found
    return weights


def forget(path: str) -> None:
    """Drop what this process holds of a run; the last task that reads the slide closes it."""
    with _lock:
        _plans.pop(path, None)


@dataclass(frozen=True)
class SlideContext:
    """What the model needs to look at a slide once; travels as a file, since it holds the tissue."""

    model_name: str
    settings: ModelSettings
    weights: Weights | None
    slide: Slide
    tissue: TissueMask

    def prepare(self) -> State:
        """Look at the slide."""
        weights = weights_here(self.model_name, self.settings, self.weights)
        return load_model(self.model_name, self.settings, weights).prepare(self.slide, self.tissue)


def prepare_task(path: str) -> dict[str, Any]:
    """Let the model look at a slide on a worker: what it computes with is decided there."""
    todo: SlideContext = pickle.loads(Path(path).read_bytes())
    try:
        return dict(todo.prepare())
    finally:
        todo.slide.close()


def predict_task(path: str, index: int, block: tuple[int, int]) -> Done:
    """Predict a block of a pass and store it."""
    plan = _plan(path, "prediction")
    item = plan.passes[index]
    started = time.time()

    def work() -> int:
        nonlocal started
        if plan.pass_contexts[index].store.is_whole(block):
            # Dask does again what a lost worker had done; others may be reading it.
            return len(item.selection.of_block(block))
        model = load_model(plan.model_name, plan.settings.model, plan.weights)
        model.warm_up(item.scale_pass, plan.state)
        started = time.time()
        batch = plan.settings.model.batch or model.batch
        tiles, notes = predict_block(plan.slide, model, item.scale_pass, plan.state, item.selection, block, batch)
        plan.pass_contexts[index].store.write_block(block, tiles, notes)
        return len(item.selection.of_block(block))

    count = _attempted(plan, "predict", index, block, work)
    return Done("predict", count, started, time.time())


def extract_task(path: str, index: int, chunk: tuple[int, int], *_blocks: Any) -> Done:  # noqa: ANN401
    """Outline a chunk of a pass and save its objects; `_blocks` are the blocks it waits for."""
    started = time.time()
    plan = _plan(path, "outlining")

    def work() -> int:
        if plan.has_objects(index, chunk):
            # Dask does again what a lost worker had done.
            return 0
        found = extract_objects(plan.pass_contexts[index], chunk)
        found.save(plan.objects_path(index, chunk))
        return len(found.cells)

    count = _attempted(plan, "outline", index, chunk, work)
    return Done("outline", count, started, time.time())


def place_description(plan: RunPlan, stage: str, index: int, place: tuple[int, int]) -> str:
    """Name the place of a block ("predict") or chunk ("outline") in level-0 pixels."""
    item = plan.passes[index]
    if stage == "predict":
        grid = item.selection.grid
        tiles = grid.tiles_of(place)
        first = grid.tile(tiles.rows.start, tiles.columns.start).core
        last = grid.tile(tiles.rows[-1], tiles.columns[-1]).core
        frame, box = grid.frame, Box.from_corners(first.x, first.y, last.right, last.bottom)
    else:
        frame, box = item.chunks.frame, item.chunks.core(place)
    (left, top), (right, bottom) = frame.to_level0([(box.x, box.y), (box.right, box.bottom)])
    return f"x {left:.0f}-{right:.0f}, y {top:.0f}-{bottom:.0f} (level 0)"


def _attempted(plan: RunPlan, task: str, index: int, place: tuple[int, int], work: Callable[[], int]) -> int:
    """Do the work; a failure names slide, stage and place."""
    try:
        with crash_guard(plan.crash_marks, f"{task}-{index}-{place[0]}-{place[1]}"):
            return work()
    except Exception as error:
        remedy = error.remedy if isinstance(error, WsiParseError) else "Run again: what is done is kept."
        message = error.message if isinstance(error, WsiParseError) else f"{type(error).__name__}: {error}"
        stage, where = STAGES[task], place_description(plan, task, index, place)
        raise StageError(f"{plan.slide.name}: {stage} failed at {where}: {message}", remedy, stage, where) from error


#: What the work of a task is called.
STAGES = {"predict": "prediction", "outline": "outlining"}
