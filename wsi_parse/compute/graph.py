"""The task graph of a run: a chunk is outlined as soon as the blocks under it are whole; no barrier between."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed import CancelledError, Client, Future, as_completed
from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker

from wsi_parse.compute.cluster import DEVICE, workers_of
from wsi_parse.compute.plan import RunPlan
from wsi_parse.compute.worker import STAGES, Done, extract_task, place_description, predict_task, prepare_task
from wsi_parse.errors import ClusterError, StageError, WsiParseError

Report = Callable[[Done], None]
Places = list[list[tuple[int, int]]]
# A scheduler that is not ours may give up on tasks early, also on those that only ran beside one that kills.
_MAX_ROUNDS = 10
# NFS looks again after a minute, unless told otherwise.
_SEEN_WITHIN_SECONDS, _LOOK_AGAIN_SECONDS = 90.0, 1.0


def open_work(plan: RunPlan) -> tuple[Places, Places]:
    """Find what is still to do.

    Returns
    -------
    blocks, chunks : lists of (row, column), one list a pass
        Blocks that are not whole on disk (what the model noted of them is needed to the end), and chunks whose objects
        are not.
    """
    blocks, chunks = [], []
    for index, item in enumerate(plan.passes):
        store = plan.pass_contexts[index].store
        blocks.append([block for block in item.selection.blocks() if not store.is_whole(block)])
        chunks.append([chunk for chunk in item.chunks.chunks(item.selection) if not plan.has_objects(index, chunk)])
    return blocks, chunks


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
def run_graph(client: Client, plan: RunPlan, blocks: Places, chunks: Places, report: Report) -> None:
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
    for number in range(1, _MAX_ROUNDS + 1):
        futures = submit(client, plan, blocks, chunks, f"{plan.key}-{number}")
        try:
            for future in as_completed(futures, loop=client.loop):
                report(future.result())
        except KilledWorker as error:
            if number == _MAX_ROUNDS:
                raise _killed(plan, futures) from error
            blocks, chunks = open_work(plan)
        else:
            _seen_here(plan, blocks, chunks)
            return
        finally:
            if client.status == "running":
                client.cancel(futures)


def _seen_here(plan: RunPlan, blocks: Places, chunks: Places) -> None:
    """Wait for what other machines wrote: NFS keeps for a while that a file was not there when we looked."""
    missing = [plan.objects_path(index, chunk) for index, of_pass in enumerate(chunks) for chunk in of_pass]
    missing += [
        plan.pass_contexts[index].store.marker(block) for index, of_pass in enumerate(blocks) for block in of_pass
    ]
    until = time.monotonic() + _SEEN_WITHIN_SECONDS
    while missing := [path for path in missing if not path.exists()]:
        if time.monotonic() > until:
            raise ClusterError(
                f"{plan.slide.name}: {len(missing)} files that workers wrote are not to be seen here.",
                "The output must be one and the same folder on all machines.",
            )
        time.sleep(_LOOK_AGAIN_SECONDS)
        for folder in {path.parent for path in missing}:
            # Reading a folder makes the system look again.
            list(folder.iterdir())


def submit(client: Client, plan: RunPlan, blocks: Places, chunks: Places, key: str) -> list[Future]:
    """Hand the tasks to the scheduler: each chunk waits for the open blocks under it, and for nothing else.

    Keys are (task, `key`, pass, row, column): Dask groups its display by the first part.
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
                key=("predict", key, index, *block),
            )
        for chunk in chunks[index]:
            under = item.selection.blocks_under(item.chunks.window_in_read_frame(chunk))
            futures.append(
                client.submit(
                    extract_task,
                    path,
                    index,
                    chunk,
                    *(waiting[block] for block in under if block in waiting),
                    # Outlining goes first: it frees what is held and needs no device.
                    priority=1,
                    workers=outliners or None,
                    allow_other_workers=bool(outliners),
                    pure=False,
                    key=("outline", key, index, *chunk),
                )
            )
        futures += waiting.values()
    return futures


def _killed(plan: RunPlan, futures: list[Future]) -> StageError:
    """Tell of a task whose workers die again and again, while no task is to blame."""
    task, _, index, row, column = next(future.key for future in futures if future.status == "error")
    place = place_description(plan, task, index, (row, column))
    return StageError(
        f"{plan.slide.name}: workers die again and again, the last one at {place}, in {STAGES[task]}.",
        "Look at their logs: they may need more memory, or be ended from outside. What is done is kept.",
        STAGES[task],
        place,
    )
