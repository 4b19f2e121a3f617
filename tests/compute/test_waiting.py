"""What a run waits for has an end, or a sentence now and then."""

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.compute.test_private import command
from wsi_parse.compute import batch_systems, cluster, running_scheduler, waiting
from wsi_parse.compute.cluster import Cluster
from wsi_parse.errors import ClusterError, SettingsError
from wsi_parse.settings import ComputeSettings

ANSWERS: dict[str, tuple[Callable[[socket.socket], object], str]] = {
    "silent": (lambda _: None, r"it accepts the connection and has been silent for \d s\."),
    "a web server": (lambda one: (one.recv(9), one.sendall(b"HTTP/1.1 400 No\r\n\r\n"), one.close()), r"\."),
    "one that hangs up": (lambda one: one.close(), r"\."),
    "one that sends anything": (lambda one: one.sendall(bytes(range(256)) * 100), r"\."),
    "one that claims frames without number": (lambda one: one.sendall(b"\xff" * 4000), r"\."),
}


@contextmanager
def listener(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """Accept connections and answer each; yield the port."""
    held = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(20)

        def accept() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                    answer(held[-1])
                except OSError:
                    if server.fileno() < 0:
                        return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for one in held:
        one.close()


@pytest.mark.parametrize("name", ANSWERS)
def test_what_accepts_and_is_no_scheduler_ends_in_a_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_scheduler, "_ANSWERS_WITHIN_SECONDS", 2.0)
    answer, reason = ANSWERS[name]
    with listener(answer) as port:
        started = time.monotonic()
        settings = ComputeSettings(cluster=f"tcp://127.0.0.1:{port}")
        with pytest.raises(ClusterError) as caught, Cluster(settings, tmp_path) as connected:
            connected.client()
    assert time.monotonic() - started < 20
    assert re.search(rf"No scheduler answers at tcp://127\.0\.0\.1:{port}: .*{reason}", str(caught.value))
    assert "Traceback" not in str(caught.value)


def fake(workers: list[int], problem: ClusterError | None = None) -> Any:
    """Return a client whose scheduler knows so many workers each time that it is asked; the last number stays."""
    left = list(workers)

    def sync(*_: object, **__: object) -> dict[str, Any]:
        if not left:
            raise TimeoutError
        count = left.pop(0) if len(left) > 1 else left[0]
        return {"workers": {str(number): {"resources": {}} for number in range(count)}}

    return SimpleNamespace(
        sync=sync,
        scheduler=SimpleNamespace(identity=None),
        cluster=SimpleNamespace(problem=lambda: problem),
        status="running",
        closed=False,
    )


def test_jobs_in_a_queue_are_waited_for_with_a_sentence_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=lambda _: tick(60)))

    def tick(seconds: float) -> None:
        clock[0] += seconds

    said: list[str] = []
    waiting.wait_for_a_worker(fake([0] * 60 * 5 + [1]), said.append, None)
    assert said[0] == "Waiting for workers."
    assert [line.split("for ")[1] for line in said[1:]] == [
        f"{time}: still waiting."
        for time in ("1 min 0 s", "10 min 0 s", "1 h 0 min", "2 h 0 min", "3 h 0 min", "4 h 0 min")
    ]


def test_jobs_that_all_ended_without_a_worker_are_not_waited_for() -> None:
    problem = ClusterError("21 jobs ended before a worker of them had joined.")
    with pytest.raises(ClusterError, match="21 jobs ended"):
        waiting.wait_for_a_worker(fake([0], problem), lambda _: None, None)


def test_a_scheduler_that_falls_silent_is_said_and_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connections stay open, as those of a process that was stopped do."""
    monkeypatch.setattr(waiting, "_CHECK_EVERY_SECONDS", 0.02)
    monkeypatch.setattr(waiting, "_SILENT_SAID_SECONDS", 0.1)
    monkeypatch.setattr(waiting, "_SILENT_MAX_SECONDS", 0.5)
    client, said, closed = fake([]), [], threading.Event()

    def close(timeout: float) -> None:
        client.status = "closed"
        closed.set()

    client.close = close
    with waiting.watch_workers(client, said.append):
        assert closed.wait(20)
    assert len(said) == 2
    assert said[0].startswith("The scheduler has not answered for")
    assert said[1].endswith("and is given up.")


def test_workers_that_are_gone_are_said_and_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_CHECK_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "_SAY_AFTER_SECONDS", (0.05, 0.1, 3600.0))
    said: list[str] = []
    done = threading.Event()
    with waiting.watch_workers(
        fake([1, *[0] * 60, 1]), lambda text: (said.append(text), len(said) == 4 and done.set())
    ):
        assert done.wait(20)
    assert said[0] == "No worker is left: waiting for another one."
    assert said[1].startswith("No worker has been there for")
    assert said[3] == "There are workers again."


class TestBatchSystems:
    @pytest.fixture(autouse=True)
    def own_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "bin").mkdir()
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def start(self, folder: Path, **options: Any) -> None:
        with Cluster(ComputeSettings(cluster="slurm", options=options), folder / "work") as started:
            started.client()

    @pytest.mark.parametrize(("name", "command_of"), [("slurm", "sbatch"), ("pbs", "qsub"), ("lsf", "bsub")])
    def test_without_their_command_nothing_is_waited_for(self, name: str, command_of: str, tmp_path: Path) -> None:
        with (
            pytest.raises(ClusterError, match=f"the command {command_of} is not installed") as caught,
            Cluster(ComputeSettings(cluster=name), tmp_path) as started,
        ):
            started.client()
        assert caught.value.remedy

    def test_what_refuses_a_job_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.defpath}")
        command(tmp_path, "echo sbatch: error: invalid partition specified: no_such >&2; exit 1")
        with pytest.raises(ClusterError, match="refused a job: sbatch: error: invalid partition specified: no_such"):
            self.start(tmp_path)

    def test_one_that_does_not_answer_has_an_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.defpath}")
        monkeypatch.setattr(batch_systems, "_ACCEPTS_WITHIN_SECONDS", 0.5)
        command(tmp_path, "sleep 3; exit 1")
        with pytest.raises(ClusterError, match=r"has not answered to sbatch for 0 s|has not answered to sbatch"):
            self.start(tmp_path)

    def test_jobs_that_end_at_once_have_an_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        jobs = batch_systems._Submissions(SimpleNamespace(submit_command="sbatch"), 2)  # type: ignore[arg-type]
        jobs._accepted = 2 + batch_systems._MAX_JOBS_IN_VAIN - 1
        assert jobs.problem() is None
        jobs._accepted += 1
        assert "20 jobs ended before a worker" in str(jobs.problem())

    @pytest.mark.parametrize("option", ["protocol", "security", "shared_temp_directory"])
    def test_how_workers_are_reached_is_not_for_the_settings(self, option: str, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=f"cannot set {option}.*always reached through TLS"):
            self.start(tmp_path, **{option: "tcp://"})


def test_asking_a_scheduler_has_a_limit() -> None:
    asked: dict[str, Any] = {}
    client: Any = SimpleNamespace(
        sync=lambda *_, **how: asked.update(how) or {"workers": {}}, scheduler=SimpleNamespace(identity=None)
    )
    assert cluster.workers_of(client) == {}
    assert asked["callback_timeout"] == cluster._ANSWERS_WITHIN_SECONDS
