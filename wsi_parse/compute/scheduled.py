"""The task graph of a run on a Dask client: submitted, waited for, and done again where workers died."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from distributed import CancelledError, Client, Future, as_completed
from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker

from wsi_parse.compute.cluster import DEVICE, RESTART, resources_for, workers_of
from wsi_parse.compute.graph import Indices, remaining_work, tasks_of
from wsi_parse.compute.plan import RunPlan
from wsi_parse.compute.sealed import SealedFile
from wsi_parse.compute.task import Key, Task
from wsi_parse.compute.tile_events import TileCounter
from wsi_parse.compute.worker import STAGES, Done, place_description, prepare_task
from wsi_parse.errors import ClusterError, StageError, WsiParseError
from wsi_parse.settings import ModelSettings

# A scheduler with other settings may give up on tasks early, even on those that only ran beside one that kills workers.
_MAX_ROUNDS = 10
# By default NFS refreshes its view of a folder after a minute.
_VISIBLE_WITHIN_SECONDS, _CHECK_AGAIN_SECONDS = 90.0, 1.0


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
def run_on_client(
    client: Client,
    plan: RunPlan,
    work: tuple[Indices, Indices],
    ended: Callable[[Key, Done], None],
    counter: TileCounter,
) -> None:
    """Predict blocks and extract the objects of chunks; see :func:`wsi_parse.compute.graph.run_graph`.

    Parameters
    ----------
    client : distributed.Client
    plan : RunPlan
    work : blocks and chunks
    ended : callable
        Called in this process when a task ends, with its key and its report.
    counter : TileCounter
        Receives what tasks tell while they are at work.
    """
    blocks, chunks = work
    for number in range(1, _MAX_ROUNDS + 1):
        futures = submit(client, plan, tasks_of(plan, blocks, chunks, f"{plan.key}-{number}"))
        try:
            with counter.listening(client, plan.key):
                for future in as_completed(futures, loop=client.loop):
                    ended(future.key, future.result())
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


def submit(client: Client, plan: RunPlan, tasks: Sequence[Task]) -> list[Future]:
    """Submit the tasks of a run; Dask learns what each waits for from the futures among its arguments."""
    resources = resources_for(client, plan.settings.model)
    # Workers without a device outline, if there are any; Dask would do it where the blocks were predicted.
    outliners = [
        address for address, facts in workers_of(client).items() if resources and DEVICE not in facts["resources"]
    ]
    futures: dict[Key, Future] = {}
    for task in tasks:
        if task.key[0] == "predict":
            where: dict[str, Any] = {"resources": resources}
        else:
            where = {"workers": outliners or None, "allow_other_workers": bool(outliners)}
        arguments = (*task.arguments, *(futures[key] for key in task.waits_for))
        futures[task.key] = client.submit(
            task.function, *arguments, priority=task.priority, pure=False, key=task.key, **where
        )
    return list(futures.values())


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
