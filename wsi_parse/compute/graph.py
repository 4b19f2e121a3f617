"""The task graph of a run: the objects of a chunk are extracted as soon as the blocks under it are done."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from wsi_parse.compute.plan import RunPlan
from wsi_parse.compute.task import Key, Task
from wsi_parse.compute.threads import ThreadWorkers
from wsi_parse.compute.tile_events import TileCounter, listening_here
from wsi_parse.compute.worker import Done, extract_task, predict_task
from wsi_parse.registry import MODELS
from wsi_parse.slides.bands import boxes_across

if TYPE_CHECKING:
    from distributed import Client

Report = Callable[[Done], None]
Indices = list[list[tuple[int, int]]]


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


def run_graph(
    workers: "ThreadWorkers | Client",
    plan: RunPlan,
    blocks: Indices,
    chunks: Indices,
    report: Report,
    predicted: Callable[[int], None] = lambda _: None,
) -> None:
    """Predict blocks and extract the objects of chunks.

    Parameters
    ----------
    workers : ThreadWorkers or distributed.Client
        Who does the tasks; the graph is the same.
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

    def ended(key: Key, done: Done) -> None:
        report(done)
        if done.stage == "predict":
            _, _, index, row, column = key
            counter.ended((index, row, column), done.count)

    if isinstance(workers, ThreadWorkers):
        with listening_here(counter, plan.key):
            workers.run(tasks_of(plan, blocks, chunks, plan.key), ended)
        return
    # Whoever has a client has loaded Dask.
    from wsi_parse.compute.scheduled import run_on_client

    run_on_client(workers, plan, (blocks, chunks), ended, counter)


def tasks_of(plan: RunPlan, blocks: Indices, chunks: Indices, key: str) -> list[Task]:
    """List the tasks: each chunk waits for the remaining blocks under it, and for nothing else."""
    sealed, tasks = plan.sealed, []
    on_device = bool(MODELS.get(plan.settings.model.name).uses_device)
    for index, item in enumerate(plan.passes):
        grid = item.selection.grid
        across = boxes_across(plan.slide, grid.block_px, grid.overlap_px, grid.frame)
        waiting: dict[tuple[int, int], Key] = {}
        for block in item.selection.in_bands(blocks[index], across):
            waiting[block] = ("predict", key, index, *block)
            tasks.append(Task(waiting[block], predict_task, (sealed, index, block), on_device=on_device))
        for chunk in chunks[index]:
            under = item.selection.blocks_under(item.chunks.window_in_read_frame(chunk))
            waits_for = tuple(waiting[block] for block in under if block in waiting)
            # Outlining goes first: it frees memory and needs no device.
            tasks.append(
                Task(("outline", key, index, *chunk), extract_task, (sealed, index, chunk), waits_for, priority=1)
            )
    return tasks
