"""The task graph of a run: the objects of a chunk are extracted as soon as the blocks under it are done."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from distributed import CancelledError, Client, Future, as_completed
from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker

from wsi_parse.compute.cluster import DEVICE, RESTART, resources_for, workers_of
from wsi_parse.compute.plan import RunPlan
from wsi_parse.compute.sealed import SealedFile
from wsi_parse.compute.tile_events import TileCounter
from wsi_parse.compute.worker import STAGES, Done, extract_task, place_description, predict_task, prepare_task
from wsi_parse.errors import ClusterError, StageError, WsiParseError
from wsi_parse.settings import ModelSettings
from wsi_parse.slides.bands import boxes_across

Report = Callable[[Done], None]
Indices = list[list[tuple[int, int]]]
# A scheduler with other settings may give up on tasks early, even on those that only ran beside one that kills workers.
_MAX_ROUNDS = 10
# By default NFS refreshes its view of a folder after a minute.
_VISIBLE_WITHIN_SECONDS, _CHECK_AGAIN_SECONDS = 90.0, 1.0


def remaining_work(plan: RunPlan) -> tuple[Indices, Indices]:
    """Find the blocks and chunks that are not done yet.

    Returns
    -------
    blocks, chunks : lists of (row, column), one list a pass
        Blocks that are not complete on disk (the notes of the model on each are needed to the end), and chunks whose
        objects are not.
    """
    blocks, chunks = [], []
    for index, item in enumerate(plan.passes):
        blocks.append([block for block in item.selection.blocks() if not plan.is_predicted(index, block)])
        chunks.append([chunk for chunk in item.chunks.chunks(item.selection) if not plan.has_objects(index, chunk)])
    return blocks, chunks


@contextmanager
def _reports_lost_scheduler() -> Iterator[None]:
    """Raise a ClusterError if the scheduler is lost; tasks that fail on the slide raise our own errors."""
    try:
        yield
    except WsiParseError:
        raise
    except (CancelledError, ClosedClientError, OSError) as error:
        raise ClusterError("The scheduler no longer answers.", RESTART) from error


@_reports_lost_scheduler()
def prepare_on(client: Client, sealed: SealedFile, settings: ModelSettings) -> dict[str, Any]:
    """Let the model prepare for a slide on a worker that may run it; return its state."""
    # Before all blocks of other slides, because the device would wait for it.
    future = client.submit(prepare_task, sealed, resources=resources_for(client, settings), pure=False, priority=2)
    state: dict[str, Any] = future.result()
    return state


@_reports_lost_scheduler()
def run_graph(
    client: Client,
    plan: RunPlan,
    blocks: Indices,
    chunks: Indices,
    report: Report,
    predicted: Callable[[int], None] = lambda _: None,
) -> None:
    """Predict blocks and extract the objects of chunks.

    Parameters
    ----------
    client : distributed.Client
    plan : RunPlan
        Must be saved.
    blocks, chunks : lists of (row, column), one list a pass
    report : callable
        Called in this process when a task ends, with its report.
    predicted : callable, optional
        Called with a number of tiles when so many more are predicted, also while their block is at work.

    Raises
    ------
    StageError
        By the first task that fails or kills its workers; the others are stopped, and finished work is kept.
    ClusterError
        If the scheduler is gone.
    """
    counter = TileCounter(predicted)
    for number in range(1, _MAX_ROUNDS + 1):
        futures = submit(client, plan, blocks, chunks, f"{plan.key}-{number}")
        try:
            with counter.listening(client, plan.key):
                for future in as_completed(futures, loop=client.loop):
                    done = future.result()
                    report(done)
                    if done.stage == "predict":
                        _, _, index, row, column = future.key
                        counter.ended((index, row, column), done.count)
        except KilledWorker as error:
            if number == _MAX_ROUNDS:
                raise _workers_died(plan, futures) from error
            blocks, chunks = remaining_work(plan)
        else:
            _wait_until_visible(plan, blocks, chunks)
            return
        finally:
            if client.status == "running":
                client.cancel(futures)


def _wait_until_visible(plan: RunPlan, blocks: Indices, chunks: Indices) -> None:
    """Wait for files of other machines: NFS remembers for a while that a file did not exist when we checked."""
    missing = [plan.objects_path(index, chunk) for index, of_pass in enumerate(chunks) for chunk in of_pass]
    missing += [
        plan.pass_contexts[index].store.marker(block) for index, of_pass in enumerate(blocks) for block in of_pass
    ]
    until = time.monotonic() + _VISIBLE_WITHIN_SECONDS
    while missing := [path for path in missing if not path.exists()]:
        if time.monotonic() > until:
            raise ClusterError(
                f"{plan.slide.name}: {len(missing)} files that workers wrote are not visible on this machine.",
                "Choose an output folder that all machines share.",
            )
        time.sleep(_CHECK_AGAIN_SECONDS)
        for folder in {path.parent for path in missing}:
            # Listing a folder refreshes the view of the system.
            list(folder.iterdir())


def submit(client: Client, plan: RunPlan, blocks: Indices, chunks: Indices, key: str) -> list[Future]:
    """Submit the tasks: each chunk waits for the remaining blocks under it, and for nothing else.

    Keys are (task, `key`, pass, row, column); the dashboard of Dask groups tasks by the first part.
    """
    sealed, resources = plan.sealed, resources_for(client, plan.settings.model)
    # Workers without a device outline, if there are any; Dask would do it where the blocks were predicted.
    outliners = [
        address for address, facts in workers_of(client).items() if resources and DEVICE not in facts["resources"]
    ]
    futures = []
    for index, item in enumerate(plan.passes):
        waiting, grid = {}, item.selection.grid
        side = grid.block * grid.step + grid.overlap_px
        across = boxes_across(plan.slide, side, grid.overlap_px, grid.frame)
        for block in item.selection.in_bands(blocks[index], across):
            waiting[block] = client.submit(
                predict_task,
                sealed,
                index,
                block,
                resources=resources,
                pure=False,
                key=("predict", key, index, *block),
            )
        for chunk in chunks[index]:
            under = item.selection.blocks_under(item.chunks.window_in_read_frame(chunk))
            futures.append(
                client.submit(
                    extract_task,
                    sealed,
                    index,
                    chunk,
                    *(waiting[block] for block in under if block in waiting),
                    # Outlining goes first: it frees memory and needs no device.
                    priority=1,
                    workers=outliners or None,
                    allow_other_workers=bool(outliners),
                    pure=False,
                    key=("outline", key, index, *chunk),
                )
            )
        futures += waiting.values()
    return futures


def _workers_died(plan: RunPlan, futures: list[Future]) -> StageError:
    """Make the error of a task whose workers die repeatedly although no task is to blame."""
    task, _, index, row, column = next(future.key for future in futures if future.status == "error")
    description = place_description(plan, task, index, (row, column))
    return StageError(
        f"{plan.slide.name}: workers died repeatedly, most recently in {STAGES[task]} at {description}.",
        "Check their logs: they may need more memory, or may be stopped from outside. Finished work is kept.",
        STAGES[task],
        description,
    )
