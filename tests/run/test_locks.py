"""Claims: one at a time, and a dead owner's is free at once."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from wsi_parse.errors import ClaimedError, StoreError
from wsi_parse.run.locks import claim

HOLD = "import sys, time; from pathlib import Path; from wsi_parse.run.locks import claim\n"
HOLD += "with claim(Path(sys.argv[1])): print('mine', flush=True); time.sleep(60)"


def test_one_holds_it_and_lets_go(tmp_path: Path) -> None:
    with claim(tmp_path), pytest.raises(ClaimedError, match="is working in"), claim(tmp_path):
        pytest.fail("two hold it")
    with claim(tmp_path):
        pass


def test_threads_of_one_process_exclude_one_another(tmp_path: Path) -> None:
    refused = []

    def second() -> None:
        with pytest.raises(ClaimedError), claim(tmp_path):
            pytest.fail("two hold it")
        refused.append(True)

    with claim(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert refused == [True]


def test_a_killed_owner_holds_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "mine\n"
        with pytest.raises(ClaimedError), claim(tmp_path):
            pytest.fail("two hold it")
        process.kill()
        process.wait()
        with claim(tmp_path):
            pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(StoreError, match=r"does not support locks \(flock\)"), claim(tmp_path):
        pytest.fail("claimed without a lock")
