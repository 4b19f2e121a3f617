"""try_workers: start workers on this machine, give one a task, and stop them."""

from contextlib import ExitStack, closing
from pathlib import Path

from wsi_parse.compute.dask_settings import import_dask
from wsi_parse.compute.task import Key, Task
from wsi_parse.compute.threads import ThreadWorkers
from wsi_parse.compute.worker import Done
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
        How long a task of a process may take.

    Raises
    ------
    ClusterError
        They do not start, or give a wrong answer.
    TimeoutError
        They do not answer.
    """
    answer = _answer_of_processes(workers, answer_seconds) if workers else _answer_of_threads()
    if answer != _ANSWER:
        raise ClusterError(f"A worker answered {answer} instead of {_ANSWER}.", "Install dask and distributed again.")


def _answer_of_threads() -> int:
    answers: dict[Key, Done] = {}
    with closing(ThreadWorkers(1, 1)) as started:
        started.run([Task(("predict", "trial", 0, 0, 0), _report_next, (_SENT,))], answers.__setitem__)
    (done,) = answers.values()
    return done.count


def _report_next(number: int) -> Done:
    return Done("predict", _next(number), 0.0, 0.0)


def _answer_of_processes(workers: int, answer_seconds: float) -> int:
    import_dask()
    from wsi_parse.compute.local import local
    from wsi_parse.compute.private import only_our_settings

    with ExitStack() as stack:
        stack.enter_context(only_our_settings(dashboard=False))
        client = stack.enter_context(local(ComputeSettings(workers=workers, threads=1), None, Path()))
        return int(client.submit(_next, _SENT, pure=False).result(timeout=answer_seconds))


def _next(number: int) -> int:
    return number + 1
