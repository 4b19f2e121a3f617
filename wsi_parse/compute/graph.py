"""The task graph of a run: a chunk is outlined as soon as the blocks under it are whole; no barrier between."""

from collections.abc import Callable
from pathlib import Path

from distributed import Client, as_completed

from wsi_parse.chunk_objects import ChunkObjects
from wsi_parse.compute.cluster import DEVICE
from wsi_parse.compute.worker import Done, outline_task, predict_task
from wsi_parse.errors import StoreError
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
        Of the first task that failed; the others are stopped, what is done stays.
    """
    path = str(plan.path)
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
                    pure=False,
                    key=_key("outline", plan, index, chunk),
                )
            )
        futures += waiting.values()
    try:
        for future in as_completed(futures):
            report(future.result())
    finally:
        client.cancel(futures)


def _key(stage: str, plan: RunPlan, index: int, place: tuple[int, int]) -> str:
    return f"{stage}-{plan.work.name}-{index}-{place[0]}.{place[1]}"
