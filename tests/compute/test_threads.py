"""ThreadWorkers: every task once, after those that it waits for, whatever happens beside it."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsi_parse.compute.task import Key, Task
from wsi_parse.compute.threads import ThreadWorkers
from wsi_parse.compute.worker import Done
from wsi_parse.errors import ClusterError

WITHIN_SECONDS = 30.0


def key_of(number: int) -> Key:
    return ("predict", "run", 0, number, 0)


def task(number: int, work: Callable[[int], object], *waits_for: int, priority: int = 0, device: bool = False) -> Task:
    def function(given: int) -> Done:
        work(given)
        return Done("predict", given, 0.0, 0.0)

    return Task(key_of(number), function, (number,), tuple(map(key_of, waits_for)), priority, device)


@pytest.fixture
def two() -> Iterator[ThreadWorkers]:
    workers = ThreadWorkers(2, 1)
    yield workers
    workers.close()
    assert not [one for one in threading.enumerate() if one.name.startswith("wsi-parse-worker")]


def ignore(*_: object) -> None:
    pass


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sets(st.integers(0, 30)), max_size=30), st.integers(1, 4), st.integers(1, 3))
def test_each_task_is_done_once_and_after_those_it_waits_for(waits: list[set[int]], threads: int, device: int) -> None:
    waited = [{other for other in one if other < number} for number, one in enumerate(waits)]
    begun: list[int] = []
    ended: list[int] = []

    def work(number: int) -> None:
        assert waited[number] <= done
        begun.append(number)
        done.add(number)

    done: set[int] = set()
    tasks = [task(number, work, *one, priority=number % 2, device=number % 3 == 0) for number, one in enumerate(waited)]
    workers = ThreadWorkers(threads, device)
    workers.run(tasks, lambda key, report: ended.append(report.count if key == key_of(report.count) else -1))
    workers.close()
    assert sorted(begun) == sorted(ended) == list(range(len(waits)))


def test_a_higher_priority_goes_first_and_else_the_order_of_the_graph() -> None:
    begun: list[int] = []
    workers = ThreadWorkers(1, 1)
    tasks = [task(0, begun.append), task(1, begun.append), task(2, begun.append, 0, priority=1), task(3, begun.append)]
    workers.run(tasks, ignore)
    workers.close()
    assert begun == [0, 2, 1, 3], "the objects of a chunk are made as soon as its blocks are there"


def test_no_more_tasks_use_the_device_than_it_takes(two: ThreadWorkers) -> None:
    at_work, most = [], []

    def work(number: int) -> None:
        at_work.append(number)
        most.append(len(at_work))
        time.sleep(0.005)
        at_work.remove(number)

    two.run([task(number, work, device=True) for number in range(6)], ignore)
    assert set(most) == {1}


def test_tasks_that_need_no_device_go_beside_it(two: ThreadWorkers) -> None:
    met = threading.Barrier(2, timeout=WITHIN_SECONDS)
    tasks = [task(0, lambda _: met.wait(), device=True), task(1, ignore, device=True), task(2, lambda _: met.wait())]
    two.run(tasks, ignore)


def test_the_first_error_ends_its_run_and_no_other(two: ThreadWorkers) -> None:
    begun: list[int] = []
    other: list[int] = []
    failed = threading.Event()

    def fail(number: int) -> None:
        begun.append(number)
        raise ValueError(f"task {number}")

    def run_other() -> None:
        tasks = [task(10, lambda _: failed.wait(WITHIN_SECONDS)), *(task(n, other.append, 10) for n in range(11, 15))]
        two.run(tasks, ignore)

    beside = threading.Thread(target=run_other)
    beside.start()
    with pytest.raises(ValueError, match="task 0"):
        two.run([task(0, fail), *(task(number, begun.append, 0) for number in range(1, 5))], ignore)
    failed.set()
    beside.join(WITHIN_SECONDS)
    assert sorted(other) == [11, 12, 13, 14]
    assert begun == [0]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_who_stops_gets_no_more_reports_and_waits_for_what_is_at_work(error: type[BaseException]) -> None:
    workers = ThreadWorkers(1, 1)
    begun: list[int] = []
    ended: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        time.sleep(0.02)
        ended.append(number)

    def stop(*_: object) -> None:
        raise error

    with pytest.raises(error):
        workers.run([task(number, work) for number in range(20)], stop)
    workers.close()
    assert begun == ended
    assert len(begun) < 5


def test_work_that_is_given_up_ends_the_waiting_of_every_thread() -> None:
    """As a cohort does on Ctrl-C."""
    workers, found = ThreadWorkers(2, 1), []
    begun, go_on = threading.Event(), threading.Event()

    def work(_: int) -> None:
        begun.set()
        go_on.wait(WITHIN_SECONDS)

    def wait() -> None:
        with pytest.raises(ClusterError, match="given up") as caught:
            workers.run([task(0, work)], ignore)
        found.append(caught.value)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert begun.wait(WITHIN_SECONDS)
    workers.abandon()
    waiting.join(WITHIN_SECONDS)
    assert len(found) == 1
    with pytest.raises(ClusterError, match="given up"):
        workers.run([task(1, ignore)], ignore)
    go_on.set()
    workers.close()
