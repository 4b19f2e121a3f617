"""The task graph of a run: a chunk is outlined as soon as the blocks under it are whole; no barrier between."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed import CancelledError, Client, as_completed
from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker

from wsi_parse.chunk_objects import ChunkObjects
from wsi_parse.compute.cluster import DEADLY, DEVICE, workers_of
from wsi_parse.compute.worker import Done, outline_task, place_of, predict_task, prepare_task
from wsi_parse.errors import ClusterError, StageError, StoreError, WsiParseError
from wsi_parse.plan import RunPlan

Report = Callable[[Done], None]


def open_work(plan: RunPlan) -> tuple[list[list[tuple[int, int]]], list[list[tuple[int, int]]]]:
    """Find what is still to do.

    Returns
    -------
    blocks, chunks : lists of (row, column), one list a pass
        Blocks that are not whole on disk (what the model noted of them is needed to the end), and chunks whose objects
        are not.
    """
    blocks, chunks = [], []
    for index, item in enumerate(plan.passes):
        open_chunks = [
            chunk for chunk in item.chunks.chunks(item.selection) if not _is_whole(plan.objects_path(index, chunk))
        ]
        store = plan.scenes[index].store
        blocks.append([block for block in item.selection.blocks() if not store.is_whole(block)])
        chunks.append(open_chunks)
    return blocks, chunks


def _is_whole(path: Path) -> bool:
    try:
        ChunkObjects.load(path)
    except StoreError:
        return False
    return True


@contextmanager
def _scheduler_is_there() -> Iterator[None]:
    """Tell a lost scheduler from what fails on the slide: tasks fail with errors of our own."""
    try:
        yield
    except WsiParseError:
        raise
    except (CancelledError, ClosedClientError, OSError) as error:
        raise ClusterError("The scheduler is gone.", "Start it, and run again: what is done is kept.") from error


@_scheduler_is_there()
def prepare_on(client: Client, path: Path) -> dict[str, Any]:
    """Let a worker that runs the model look at a slide; returns the model's state."""
    # Before all blocks of other slides: the device would wait for it.
    future = client.submit(prepare_task, str(path), resources={DEVICE: 1}, pure=False, priority=2)
    state: dict[str, Any] = future.result()
    return state


@_scheduler_is_there()
def run_graph(
    client: Client,
    plan: RunPlan,
    blocks: list[list[tuple[int, int]]],
    chunks: list[list[tuple[int, int]]],
    report: Report,
) -> None:
    """Predict and outline all that is open.

    Parameters
    ----------
    client : distributed.Client
    plan : RunPlan
        Saved.
    blocks, chunks : lists of (row, column), one list a pass
    report : callable
        Called here with what each task tells when it ends.

    Raises
    ------
    StageError
        Of the first task that failed, or killed its workers; the others are stopped, what is done stays.
    ClusterError
        Where the scheduler is gone.
    """
    path = str(plan.path)
    # Where there are workers without a device, outlining is theirs; Dask would leave it where the blocks were made.
    outliners = [address for address, facts in workers_of(client).items() if DEVICE not in facts["resources"]]
    futures = []
    for index, item in enumerate(plan.passes):
        waiting = {}
        for block in blocks[index]:
            waiting[block] = client.submit(
                predict_task,
                path,
                index,
                block,
                resources={DEVICE: 1},
                pure=False,
                key=_key("predict", plan, index, block),
            )
        for chunk in chunks[index]:
            under = item.selection.blocks_under(item.chunks.window_in_read_frame(chunk))
            futures.append(
                client.submit(
                    outline_task,
                    path,
                    index,
                    chunk,
                    *(waiting[block] for block in under if block in waiting),
                    # Outlining goes first: it frees what is held and needs no device.
                    priority=1,
                    workers=outliners or None,
                    allow_other_workers=bool(outliners),
                    pure=False,
                    key=_key("outline", plan, index, chunk),
                )
            )
        futures += waiting.values()
    try:
        for future in as_completed(futures, loop=client.loop):
            report(_result(future, plan))
    finally:
        if client.status == "running":
            client.cancel(futures)


def _key(stage: str, plan: RunPlan, index: int, place: tuple[int, int]) -> tuple[str, str, int, int, int]:
    """Key of a task; Dask groups its display by the first part."""
    return stage, plan.key, index, *place


def _result(future: Any, plan: RunPlan) -> Done:  # noqa: ANN401 - distributed.Future
    try:
        done: Done = future.result()
    except KilledWorker as error:
        stage, _, index, row, column = future.key
        place = place_of(plan, stage, index, (row, column))
        name = {"predict": "prediction", "outline": "outlining"}[stage]
        raise StageError(
            f"{plan.slide.name}: {DEADLY} workers died one after the other at {place}, at the latest in {name}.",
            "It may need more memory than they have: give workers more, or set model.batch=1. What is done is kept.",
            name,
            place,
        ) from error
    return done
