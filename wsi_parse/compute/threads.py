"""ThreadWorkers: do the tasks of graphs in threads of this process, without a scheduler."""

import errno
import heapq
import itertools
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from wsi_parse.compute.task import Key, Task
from wsi_parse.compute.worker import Done
from wsi_parse.errors import ClusterError

# Who stops early waits so long for the tasks at work: they may still write into the folder of their run.
_ENDS_WITHIN_SECONDS = 30.0


class _Graph:
    """The tasks of one run that are not done yet; everything is changed under the lock of the workers."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.left = {task.key: len(task.waits_for) for task in tasks}
        self.followers: dict[Key, list[Task]] = defaultdict(list)
        for task in tasks:
            for key in task.waits_for:
                self.followers[key].append(task)
        self.ended: queue.SimpleQueue[tuple[Key, Done | BaseException]] = queue.SimpleQueue()
        self.stopped = False


_Entry = tuple[int, int, _Graph, Task]


class ThreadWorkers:
    """Threads that do tasks: those of a higher priority first, else in the order in which they became ready.

    Several runs may share them. A task that fails ends its own run only.

    Parameters
    ----------
    threads : int
    on_device : int
        How many tasks run a model at once.

    Raises
    ------
    ClusterError
        The system allows no more threads.
    """

    def __init__(self, threads: int, on_device: int) -> None:
        self._changed = threading.Condition()
        self._order = itertools.count()
        self._ready: list[_Entry] = []
        self._ready_on_device: list[_Entry] = []
        self._free_on_device = on_device
        self._graphs: set[_Graph] = set()
        self._closed = False
        self._threads: list[threading.Thread] = []
        for number in range(threads):
            # At the end of the process, nobody waits for a task at work.
            thread = threading.Thread(target=self._work, name=f"wsi-parse-worker-{number}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                self.close()
                cause = first_cause(error)
                raise not_started(cause, processes=False) from cause
            self._threads.append(thread)

    def run(self, tasks: Sequence[Task], ended: Callable[[Key, Done], None]) -> None:
        """Do the tasks of a graph.

        Parameters
        ----------
        tasks : sequence of Task
        ended : callable
            Called in this thread when a task ends, with its key and its report.

        Raises
        ------
        Exception
            The first one that a task raises, or `ended`; tasks that have not begun are dropped then.
        ClusterError
            If the work was given up in another thread.
        """
        graph = _Graph(tasks)
        with self._changed:
            if self._closed:
                raise _given_up()
            self._graphs.add(graph)
            for task in tasks:
                if not task.waits_for:
                    self._add(graph, task)
            self._changed.notify_all()
        try:
            for _ in tasks:
                key, found = graph.ended.get()
                if isinstance(found, BaseException):
                    raise found
                ended(key, found)
        finally:
            with self._changed:
                graph.stopped = True
                self._graphs.discard(graph)

    def abandon(self) -> None:
        """Let every thread that waits for a graph raise a ClusterError; tasks at work go on."""
        with self._changed:
            self._closed = True
            for graph in self._graphs:
                graph.ended.put((("", "", 0, 0, 0), _given_up()))
            self._changed.notify_all()

    def close(self) -> None:
        """Start no more tasks, and wait a while for those at work."""
        self.abandon()
        until = time.monotonic() + _ENDS_WITHIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _add(self, graph: _Graph, task: Task) -> None:
        heap = self._ready_on_device if task.on_device else self._ready
        heapq.heappush(heap, (-task.priority, next(self._order), graph, task))

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            graph, task = taken
            try:
                found: Done | BaseException = task.function(*task.arguments)
            except BaseException as error:  # noqa: BLE001 - it is raised where the graph is waited for
                found = error
            self._note(graph, task, found)
            # Between two tasks, nothing is held.
            del taken, graph, task, found

    def _take(self) -> tuple[_Graph, Task] | None:
        """Wait for a task that may begin; None: there is nothing more to do."""
        with self._changed:
            while not self._closed:
                heap = self._first()
                if heap is None:
                    self._changed.wait()
                    continue
                *_, graph, task = heapq.heappop(heap)
                if graph.stopped:
                    continue
                self._free_on_device -= task.on_device
                return graph, task
            return None

    def _first(self) -> list[_Entry] | None:
        """Return the heap whose first task is the next one; None: none may begin."""
        heaps = [heap for heap in (self._ready, self._ready_on_device if self._free_on_device else []) if heap]
        return min(heaps, default=None)

    def _note(self, graph: _Graph, task: Task, found: Done | BaseException) -> None:
        with self._changed:
            self._free_on_device += task.on_device
            if not isinstance(found, BaseException):
                for follower in graph.followers.pop(task.key, ()):
                    graph.left[follower.key] -= 1
                    if not graph.left[follower.key]:
                        self._add(graph, follower)
            self._changed.notify_all()
        graph.ended.put((task.key, found))


def _given_up() -> ClusterError:
    return ClusterError("The work was given up.", "Run the same command again. Finished work is kept.")


def first_cause(error: BaseException) -> BaseException:
    """Return the error that others were wrapped around; a limit that Python gives no number gets its own."""
    while (earlier := error.__cause__ or error.__context__) is not None:
        error = earlier
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return OSError(errno.EAGAIN, "no more threads can be started")
    return error


def not_started(cause: BaseException, *, processes: bool) -> ClusterError:
    """Say that workers could not be started, and why."""
    reason = (getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).rstrip(".")
    what = "worker processes" if processes else "threads of the workers"
    remedy = "Allow more processes (ulimit -u) or memory"
    return ClusterError(
        f"The {what} could not be started on this machine: {reason}.",
        f"{remedy}, or work without them: --workers 0." if processes else f"{remedy}, and close other programs.",
    )
