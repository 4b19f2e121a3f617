"""try_workers: start workers on this machine, give one a task, and stop them."""

from contextlib import ExitStack
from pathlib import Path

from wsi_parse.compute.local import local
from wsi_parse.compute.private import only_our_settings
from wsi_parse.errors import ClusterError
from wsi_parse.settings import ComputeSettings

_SENT = 20
_ANSWER = 21


def try_workers(workers: int, answer_seconds: float = 15.0) -> None:
    """Start workers as a run does, and let one of them add two numbers.

    Parameters
    ----------
    workers : int
        Processes; 0: threads of this process.
    answer_seconds : float
        How long a task may take.

    Raises
    ------
    ClusterError
        They do not start, or give a wrong answer.
    TimeoutError
        They do not answer.
    """
    with ExitStack() as stack:
        stack.enter_context(only_our_settings(dashboard=False))
        client = stack.enter_context(local(ComputeSettings(workers=workers, threads=1), None, Path()))
        answer = client.submit(_next, _SENT, pure=False).result(timeout=answer_seconds)
    if answer != _ANSWER:
        raise ClusterError(f"A worker answered {answer} instead of {_ANSWER}.", "Install dask and distributed again.")


def _next(number: int) -> int:
    return number + 1
