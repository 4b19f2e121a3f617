"""The sampler asks for the PSS only where it may have grown, and misses no peak by that."""

import subprocess
import sys
import weakref
from dataclasses import dataclass

import psutil
import pyarrow as pa
import pytest

from wsi_parse.compute import memory


@dataclass
class Held:
    pid: int
    resident: int
    pss: int
    private: int | None = None


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    pids: list[int] = []

    def pss(process: Held) -> int:
        pids.append(process.pid)
        return process.pss

    monkeypatch.setattr(memory, "_resident_bytes", lambda process: process.resident)
    monkeypatch.setattr(memory, "_private_bytes", lambda process: process.private)
    monkeypatch.setattr(memory, "_bytes_of", pss)
    return pids


def test_pss_is_asked_for_where_the_processes_hold_more_than_before(asked: list[int]) -> None:
    sampler = memory.MemorySampler()
    for resident, pss in ((500, 400), (450, 350), (500, 400), (900, 800), (700, 600)):
        sampler._sample([Held(1, resident, pss)])
    assert (sampler.peak_bytes, len(asked)) == (800, 2)


def test_shared_pages_that_become_private_are_seen(asked: list[int]) -> None:
    sampler = memory.MemorySampler()
    sampler._sample([Held(number, 1000, 250) for number in range(4)])
    for _ in range(memory._MOST_SKIPPED):
        sampler._sample([Held(number, 900, 900) for number in range(4)])
    assert sampler.peak_bytes == 3600
    assert len(asked) == 8


def test_a_process_alone_grows_by_its_private_memory(asked: list[int]) -> None:
    sampler = memory.MemorySampler()
    for resident, private in ((1000, 700), (1500, 1200), (2000, 1695), (1400, 1100)):
        sampler._sample([Held(1, resident, private + 100, private)])
    assert (sampler.peak_bytes, asked) == (1795, [1])
    # More modules, of which others may hold some, too.
    sampler._sample([Held(1, 2600, 1900, 1800)])
    assert (sampler.peak_bytes, asked) == (1900, [1, 1])
    sampler._sample([Held(1, 2700, 1500, 1900), Held(2, 900, 600)])
    assert (sampler.peak_bytes, asked) == (2100, [1, 1, 1, 2])


def test_another_process_counts_from_its_first_sample(asked: list[int]) -> None:
    sampler = memory.MemorySampler()
    sampler._sample([Held(1, 900, 600), Held(2, 900, 600)])
    # What two processes shared belongs to the one that is left.
    sampler._sample([Held(1, 1300, 1250)])
    assert (sampler.peak_bytes, asked) == (1250, [1, 2, 1])


def test_young_garbage_in_cycles_is_released() -> None:
    class Ring:
        def __init__(self) -> None:
            self.itself = self

    held = weakref.ref(Ring())
    memory.release()
    assert held() is None


def test_what_arrow_keeps_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    released = []

    class Pool:
        def release_unused(self) -> None:
            released.append(self)

    monkeypatch.setattr(pa, "default_memory_pool", Pool)
    memory.release()
    assert len(released) == 1


def test_children_are_seen_as_soon_as_they_are_there() -> None:
    me = psutil.Process()
    before = {child.pid for child in memory._children(me)}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in {one.pid for one in memory._children(me)} - before
        child.communicate(b"\n")
    assert child.pid not in {one.pid for one in memory._children(me)}
