"""Real schedulers and workers in separate processes, as the administrator of a cluster starts them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from distributed import Client

from tests.compute import on_device

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s"}


@dataclass
class DaskProcesses:
    """A scheduler, and workers that join it."""

    folder: Path
    more: tuple[str, ...] = ()
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Address of the scheduler; empty until it has written its file completely."""
        try:
            return str(json.loads((self.folder / "scheduler.json").read_text())["address"])
        except (FileNotFoundError, json.JSONDecodeError):
            return ""

    def start_scheduler(self, port: int = 0) -> None:
        where = ["--host", "127.0.0.1", "--port", str(port), "--scheduler-file", str(self.folder / "scheduler.json")]
        self.scheduler = self._start("scheduler", [*where, "--no-dashboard", *self.more])
        wait_until(lambda: self.address, "the scheduler is up")

    def start_worker(self, *more: str, threads: int = 1) -> subprocess.Popen[bytes]:
        """Start a worker under its own nanny, which restarts it when it dies."""
        where = ["--scheduler-file", str(self.folder / "scheduler.json"), "--local-directory", str(self.folder)]
        preload = ["--preload", str(Path(on_device.__file__))]
        fixed = ["--nthreads", str(threads), "--no-dashboard", "--memory-limit", "0", "--death-timeout", "60"]
        worker = self._start(f"worker-{len(self.workers)}", [*where, *fixed, *preload, *self.more, *more])
        self.workers.append(worker)
        return worker

    def wait_for_workers(self) -> None:
        """Wait until all workers have joined."""
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=120)

    def _start(self, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            kind = name.partition("-")[0]
            command = [sys.executable, "-m", "dask", kind, *arguments]
            return subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT)

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            if process is not None and process.poll() is None:
                below = psutil.Process(process.pid).children(recursive=True)
                process.kill()
                for child in below:
                    if child.is_running():
                        child.kill()
                process.wait()


@contextmanager
def dask_processes(folder: Path, *more: str) -> Iterator[DaskProcesses]:
    """Start a scheduler; at the end stop it and all workers that joined."""
    folder.mkdir(parents=True, exist_ok=True)
    processes = DaskProcesses(folder, more)
    try:
        processes.start_scheduler()
        yield processes
    finally:
        processes.end()


def wait_until(true: object, what: str, seconds: float = 120.0) -> None:
    """Wait until something is true."""
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not in {seconds:.0f} s: {what}"
        time.sleep(0.1)


def children_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return all children of a process."""
    return psutil.Process(process.pid).children(recursive=True)
