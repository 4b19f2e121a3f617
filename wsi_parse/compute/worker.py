"""The tasks of a worker: predict a block, extract the objects of a chunk. A process holds one model and its plans."""

import logging
import os
import pickle
import socket
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import psutil

from wsi_parse.compute.crash_guard import crash_guard
from wsi_parse.compute.memory import release
from wsi_parse.compute.plan import RunPlan
from wsi_parse.compute.sealed import SealedFile
from wsi_parse.compute.tile_events import TileTeller
from wsi_parse.errors import StageError, WeightsError, WsiParseError
from wsi_parse.files import shared_with_group
from wsi_parse.geometry import Box
from wsi_parse.models.contract import Segmenter, State
from wsi_parse.models.weights import Weights
from wsi_parse.objects.extract import extract_objects
from wsi_parse.predict.inference import predict_block
from wsi_parse.progress import stage_named
from wsi_parse.registry import MODELS, plugin_named
from wsi_parse.settings import ModelSettings
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask

logger = logging.getLogger(__name__)
_lock = threading.Lock()
_plans: dict[SealedFile, RunPlan] = {}
# One more than the number of runs that may be active at once.
_MAX_PLANS = 17
_models: dict[tuple[str, ModelSettings, Weights | None], Segmenter] = {}


@dataclass(frozen=True)
class Done:
    """What a task reports when it ends.

    Parameters
    ----------
    stage : str
        "predict" or "outline".
    count : int
        Tiles predicted, or cells found.
    started, ended : float
        Seconds since the epoch.
    process : str
        Host and number of the process that ran the task.
    held_bytes : int
        Memory that this process holds.
    """

    stage: str
    count: int
    started: float
    ended: float
    process: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    held_bytes: int = field(default_factory=lambda: int(psutil.Process().memory_info().rss))


def load_model(name: str, settings: ModelSettings, weights: Weights | None) -> Segmenter:
    """Return this process's instance of a model; the last one used is kept."""
    # Field size and organ are part of the pass, so that slides of several organs share a model.
    key = name, settings.model_copy(update={"organ": None, "field_um": None}), weights
    with _lock:
        if key not in _models:
            _models.clear()
            logger.info("The model %s is made for this process.", name)
            with plugin_named("model", name):
                _models[key] = MODELS.get(name)(settings, weights)
        return _models[key]


def _plan(sealed: SealedFile, stage: str) -> RunPlan:
    """Return a run's plan with its slide open; an error names the stage that needed it."""
    with _lock, stage_named(sealed.path.parents[2].name, stage):
        if sealed not in _plans:
            if len(_plans) >= _MAX_PLANS:
                # Not closed, because a task may still read. The last one that holds the slide closes it.
                _plans.pop(next(iter(_plans)))
            plan = RunPlan.load(sealed)
            try:
                plan = replace(plan, weights=weights_here(plan.model_name, plan.settings.model, plan.weights))
                _ = plan.pass_contexts
            except BaseException:
                plan.slide.close()
                raise
            _plans[sealed] = plan
        return _plans[sealed]


def weights_here(name: str, settings: ModelSettings, weights: Weights | None) -> Weights | None:
    """Find the weights of a run on this machine, where they may be in another folder.

    Raises
    ------
    WeightsError
        If they are not those of the run.
    """
    if weights is None:
        return None
    try:
        weights.check()
    except WeightsError:
        with plugin_named("model", name):
            found = MODELS.get(name).find_weights(settings)
        if found is None or found.sha256 != weights.sha256:
            raise
        return found
    return weights


def forget(path: str) -> None:
    """Drop what this process holds of a run, by the path of its plan, and return the memory to the system.

    The last task that reads the slide closes it.
    """
    with _lock:
        for sealed in [one for one in _plans if str(one.path) == path]:
            del _plans[sealed]
    # Stored tiles and maps took it; workers idle while outputs are written.
    release()


@dataclass(frozen=True)
class SlideContext:
    """What a model needs to prepare for a slide; sent as a file, because it holds the tissue mask."""

    model_name: str
    settings: ModelSettings
    weights: Weights | None
    slide: Slide
    tissue: TissueMask

    def prepare(self) -> State:
        """Let the model prepare for the slide."""
        weights = weights_here(self.model_name, self.settings, self.weights)
        model = load_model(self.model_name, self.settings, weights)
        with plugin_named("model", self.model_name):
            return model.prepare(self.slide, self.tissue)


def prepare_task(sealed: SealedFile) -> dict[str, Any]:
    """Let the model prepare for a slide on a worker, which decides device and precision."""
    context: SlideContext = sealed.load()
    try:
        return dict(context.prepare())
    finally:
        context.slide.close()


def predict_task(sealed: SealedFile, index: int, block: tuple[int, int]) -> Done:
    """Predict a block of a pass and store it."""
    plan = _plan(sealed, "prediction")
    item = plan.passes[index]
    started = time.time()

    def work() -> int:
        nonlocal started
        if plan.is_predicted(index, block):
            # Dask repeats the tasks of a lost worker; others may be reading the block.
            return len(item.selection.of_block(block))
        model = load_model(plan.model_name, plan.settings.model, plan.weights)
        with plugin_named("model", plan.model_name):
            model.warm_up(item.scale_pass, plan.state)
        started = time.time()
        batch = plan.settings.model.batch or model.batch
        tell = TileTeller(plan.key, (index, *block))
        tiles, notes, unreadable = predict_block(
            plan.slide, model, item.scale_pass, plan.state, item.selection, block, batch, tell, plan.roi
        )
        # What memory held is found out by any thread or slide before: at worst a block too many is said to be reduced.
        held = min(batch, model.largest_batch or batch)
        reduced = held if held < batch else None
        plan.pass_contexts[index].store.write_block(block, tiles, notes, reduced, unreadable)
        logger.debug("Block %s of %s was predicted in %.2f s.", block, plan.slide.name, time.time() - started)
        return len(item.selection.of_block(block))

    count = _run_guarded(plan, "predict", index, block, work)
    return Done("predict", count, started, time.time())


def extract_task(sealed: SealedFile, index: int, chunk: tuple[int, int], *_blocks: Any) -> Done:  # noqa: ANN401
    """Extract and save the objects of a chunk of a pass; `_blocks` are the blocks it waits for."""
    started = time.time()
    plan = _plan(sealed, "outlining")

    def work() -> int:
        if plan.has_objects(index, chunk):
            # Dask repeats the tasks of a lost worker.
            return 0
        found = extract_objects(plan.pass_contexts[index], chunk)
        found.save(plan.objects_path(index, chunk))
        logger.debug("Chunk %s of %s has %d cells.", chunk, plan.slide.name, len(found.cells))
        return len(found.cells)

    count = _run_guarded(plan, "outline", index, chunk, work)
    return Done("outline", count, started, time.time())


def place_description(plan: RunPlan, stage: str, pass_index: int, index: tuple[int, int]) -> str:
    """Describe where a block ("predict") or chunk ("outline") lies, in level-0 pixels."""
    item = plan.passes[pass_index]
    if stage == "predict":
        grid = item.selection.grid
        tiles = grid.tiles_of(index)
        first = grid.tile(tiles.rows.start, tiles.columns.start).core
        last = grid.tile(tiles.rows[-1], tiles.columns[-1]).core
        frame, box = grid.frame, Box.from_corners(first.x, first.y, last.right, last.bottom)
    else:
        frame, box = item.chunks.frame, item.chunks.core(index)
    (left, top), (right, bottom) = frame.to_level0([(box.x, box.y), (box.right, box.bottom)])
    return f"x {left:.0f}-{right:.0f}, y {top:.0f}-{bottom:.0f} (level 0)"


def _run_guarded(plan: RunPlan, task: str, pass_index: int, index: tuple[int, int], work: Callable[[], int]) -> int:
    """Do the work of a task; an error names slide, stage and place."""
    try:
        shared = plan.settings.compute.share_group
        with shared_with_group(shared), crash_guard(plan.crash_marks, f"{task}-{pass_index}-{index[0]}-{index[1]}"):
            return work()
    except Exception as error:
        remedy = (
            error.remedy if isinstance(error, WsiParseError) else "Run the same command again. Finished work is kept."
        )
        message = error.message if isinstance(error, WsiParseError) else f"{type(error).__name__}: {error}"
        stage, where = STAGES[task], place_description(plan, task, pass_index, index)
        failure = StageError(f"{plan.slide.name}: {stage} failed at {where}: {message}", remedy, stage, where)
        if _survives_pickling(error):
            raise failure from error
        # Else the client would get neither this error nor its cause, only a text of both.
        failure.add_note("The error in the worker:\n" + "".join(traceback.format_exception(error)))
        raise failure from None


def _survives_pickling(error: BaseException) -> bool:
    """Return whether an error can be sent to another process with its causes; a plug-in may raise any class."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    try:
        return all(type(pickle.loads(pickle.dumps(one))) is type(one) for one in chain)
    except Exception:  # noqa: BLE001 - whatever a class of somebody else raises
        return False


#: The name of each task's stage in messages.
STAGES = {"predict": "prediction", "outline": "outlining"}
