"""Workers that the system does not allow: the user reads what to do, not what Dask says of its nannies."""

import errno
import multiprocessing.util
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from wsi_parse.compute.cluster import Cluster
from wsi_parse.errors import ClusterError
from wsi_parse.settings import ComputeSettings


def refuse(*_: object, **__: object) -> None:
    warnings.warn("resource_tracker: process died unexpectedly, relaunching.", stacklevel=2)
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


def test_processes_that_may_not_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing.util, "spawnv_passfds", refuse)
    with warnings.catch_warnings(), Cluster(ComputeSettings(workers=1, threads=1), tmp_path) as cluster:
        warnings.simplefilter("error", UserWarning)
        with pytest.raises(ClusterError) as caught:
            cluster.client()
    assert str(caught.value) == (
        "The worker processes could not be started on this machine: Resource temporarily unavailable. Allow more "
        "processes (ulimit -u) or memory, or work without them: --workers 0."
    )
    # So that no report of an unforeseen error is written.
    assert isinstance(caught.value.__cause__, OSError)


def test_threads_that_may_not_be_started(tmp_path: Path) -> None:
    # In a process of its own: no other thread can start there any more.
    code = """
import sys, threading
from wsi_parse.compute.cluster import Cluster
from wsi_parse.errors import ClusterError
from wsi_parse.settings import ComputeSettings

def no_more(*_):
    raise RuntimeError("can't start new thread")

with Cluster(ComputeSettings(workers=0, threads=1), sys.argv[1]) as cluster:
    threading.Thread.start = no_more
    try:
        cluster.workers()
    except ClusterError as error:
        print(error, isinstance(error.__cause__, OSError))
"""
    found = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert found.stdout == (
        "The threads of the workers could not be started on this machine: no more threads can be started. Allow more "
        "processes (ulimit -u) or memory, and close other programs. True\n"
    )
