"""Crash guard: tasks that ran when a process died run alone, and a task that kills workers repeatedly fails."""

import threading
import time
from pathlib import Path

import pytest

from wsi_parse.compute.crash_guard import MAX_WORKER_DEATHS, crash_guard
from wsi_parse.errors import StageError


def died(folder: Path, name: str, times: int) -> None:
    for number in range(times):
        (folder / f"{name}.{number}").touch()


def test_a_task_that_ends_leaves_no_mark(tmp_path: Path) -> None:
    with crash_guard(tmp_path, "predict-0-1-2"):
        assert len(list(tmp_path.glob("predict-0-1-2.*"))) == 1
    with pytest.raises(ValueError, match="bad"), crash_guard(tmp_path, "predict-0-1-2"):
        raise ValueError("bad")
    assert not list(tmp_path.iterdir())


def test_three_deaths_are_enough(tmp_path: Path) -> None:
    died(tmp_path, "predict-0-1-2", MAX_WORKER_DEATHS)
    with pytest.raises(StageError, match="3 workers died one after the other"), crash_guard(tmp_path, "predict-0-1-2"):
        pytest.fail("tried once more")
    # Tasks whose names merely begin with the same characters are different tasks.
    with crash_guard(tmp_path, "predict-0-1-20"), crash_guard(tmp_path, "predict-0-1-21"):
        pass


@pytest.mark.parametrize("suspect_first", [True, False])
def test_a_suspect_runs_alone(tmp_path: Path, suspect_first: bool) -> None:
    died(tmp_path, "suspect", 1)
    inside: list[str] = []
    seen: list[set[str]] = []

    def work(name: str, seconds: float) -> None:
        with crash_guard(tmp_path, name):
            inside.append(name)
            seen.append(set(inside))
            time.sleep(seconds)
            inside.remove(name)

    names = ["suspect", "a", "b"] if suspect_first else ["a", "b", "suspect"]
    threads = [threading.Thread(target=work, args=(name, 0.2)) for name in names]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert {"suspect"} in seen
    assert not any("suspect" in together and len(together) > 1 for together in seen)
    assert {"a", "b"} in seen
