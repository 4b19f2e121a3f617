"""Nobody but its owner gets into a cluster that we start: tried as another user of this machine."""

import json
import logging
import os
import stat
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest

from tests.rights import need_another_user, run_as_another_user
from wsi_parse.compute import batch_systems
from wsi_parse.compute.cluster import Cluster, workers_of
from wsi_parse.compute.private import credentials_in, only_our_settings
from wsi_parse.settings import ComputeSettings

INTRUDER_IMPORTS = """
import asyncio, json, logging, ssl, sys, urllib.error, urllib.request
from distributed import Security
from distributed.comm import connect
logging.disable(logging.CRITICAL)
own = Security.temporary()
nothing = Security(require_encryption=False)
credentials = own.get_connection_args("client")
"""
# Tries each port as a client of Dask would, without TLS, with credentials of its own, and asks each for its pages.
INTRUDER = """
async def greet(address, arguments):
    comm = await connect(address, timeout=5, **arguments)
    await comm.close()

def outcome(address, arguments):
    try:
        asyncio.run(asyncio.wait_for(greet(address, arguments), 10))
    except BaseException as error:
        return type(error).__name__
    return "in"

def page(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status
    except Exception as error:
        return type(error).__name__

found = {}
for port in json.loads(sys.argv[1]):
    found[port] = [outcome(f"tcp://127.0.0.1:{port}", {}), outcome(f"tls://127.0.0.1:{port}", credentials)]
    found[port] += [page(port, path) for path in ("/status", "/info/main/workers.html", "/health", "/metrics")]
print(json.dumps(found))
"""


def listening() -> list[Any]:
    """Return the addresses at which this process and those that it started accept connections."""
    own = psutil.Process()
    family = [own, *own.children(recursive=True)]
    return [one.laddr for process in family for one in process.net_connections() if one.status == psutil.CONN_LISTEN]


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[list[int]]:
    before = {address.port for address in listening()}
    with Cluster(ComputeSettings(workers=1, threads=1), tmp_path) as cluster:
        client = cluster.client()
        assert client.scheduler.address.startswith("tls://127.0.0.1:")
        addresses = [address for address in listening() if address.port not in before]
        assert {address.ip for address in addresses} == {"127.0.0.1"}
        yield [address.port for address in addresses]


@pytest.mark.whole
def test_another_user_gets_into_no_scheduler_worker_or_nanny(ports: list[int]) -> None:
    need_another_user()
    # Scheduler, nanny and worker.
    assert len(ports) == 3
    done = run_as_another_user(INTRUDER_IMPORTS, INTRUDER, json.dumps(ports))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 3
    for tried in found.values():
        assert "in" not in tried
        assert not [answer for answer in tried if isinstance(answer, int)], "a page was shown"


@pytest.mark.whole
def test_the_intruder_of_the_test_above_gets_into_what_is_open(tmp_path: Path) -> None:
    """Else that test would prove nothing."""
    need_another_user()
    from distributed import LocalCluster

    options = {"n_workers": 1, "processes": True, "threads_per_worker": 1, "silence_logs": logging.CRITICAL}
    before = {address.port for address in listening()}
    with LocalCluster(**options, dashboard_address=None, local_directory=tmp_path):
        ports = [address.port for address in listening() if address.port not in before]
        done = run_as_another_user(INTRUDER_IMPORTS, INTRUDER, json.dumps(ports))
    found = json.loads(done.stdout)
    assert [tried[0] for tried in found.values()].count("in") >= 3
    assert 200 in [answer for tried in found.values() for answer in tried]


def test_threads_of_this_process_listen_nowhere(tmp_path: Path) -> None:
    before = listening()
    with Cluster(ComputeSettings(threads=2), tmp_path) as cluster:
        assert cluster.client().scheduler.address.startswith("inproc://")
        assert listening() == before


def test_a_dashboard_is_there_if_it_is_wanted_and_only_on_this_machine(tmp_path: Path) -> None:
    said: list[str] = []
    before = {address.port for address in listening()}
    with Cluster(ComputeSettings(threads=1, dashboard=True), tmp_path, said.append) as cluster:
        cluster.client()
        (address,) = [address for address in listening() if address.port not in before]
        assert address.ip == "127.0.0.1"
        (line,) = said
        assert line == f"Dashboard: http://127.0.0.1:{address.port}/status"
        with urllib.request.urlopen(line.split()[1]) as page:
            assert page.status == 200


@pytest.mark.whole
def test_the_settings_of_the_user_for_dask_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lifetime, modules to load first, a demand for certificates, a scheduler elsewhere: by file and by variable."""
    (tmp_path / "marked.py").write_text(f"open({str(tmp_path / 'loaded')!r}, 'a').write('loaded')")
    hostile = {
        "scheduler-address": "tcp://127.0.0.1:1",
        "distributed": {
            "worker": {"lifetime": {"duration": "1s"}, "preload": [str(tmp_path / "marked.py")]},
            "nanny": {"preload": [str(tmp_path / "marked.py")]},
            "scheduler": {"preload": [str(tmp_path / "marked.py")], "idle-timeout": "1s"},
            "comm": {
                "require-encryption": True,
                "tls": {"ca-file": "/no/such.pem", "min-version": 1.3, "ciphers": "none"},
                "timeouts": {"connect": "1ms"},
            },
        },
    }
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION", "1s")
    monkeypatch.setenv("DASK_INTERNAL_INHERIT_CONFIG", dask.config.serialize(hostile))
    before = dask.config.get("distributed")
    with dask.config.set(hostile):
        for settings in (ComputeSettings(threads=1), ComputeSettings(workers=1, threads=1)):
            with Cluster(settings, tmp_path) as cluster:
                client = cluster.client()
                # Longer than any of the times above.
                assert client.submit(_seen_after, 2.5).result(60) == [None, [], 5]
        assert dask.config.get("distributed.scheduler.idle-timeout") == "1s", "the user's own are there again"
    assert dask.config.get("distributed") == before
    assert not (tmp_path / "loaded").exists()


def _seen_after(seconds: float) -> list[Any]:
    import time

    time.sleep(seconds)
    names = ("distributed.worker.lifetime.duration", "distributed.worker.preload", "distributed.comm.tls.min-version")
    lifetime, preload, _ = (dask.config.get(name) for name in names)
    return [lifetime, preload, 5]


def test_nothing_stays_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "tmp"
    there.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(there))
    with Cluster(ComputeSettings(threads=1), tmp_path) as cluster:
        (worker,) = workers_of(cluster.client()).values()
        assert Path(worker["local_directory"]).is_relative_to(there)
        (scratch,) = there.iterdir()
        assert stat.S_IMODE(scratch.stat().st_mode) == 0o700
    assert list(there.iterdir()) == []


class TestJobs:
    def test_credentials_for_jobs_are_files_of_their_owner(self, tmp_path: Path) -> None:
        os.umask(before := os.umask(0))
        try:
            os.umask(0)
            security = credentials_in(tmp_path)
        finally:
            os.umask(before)
        assert security.require_encryption
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        assert modes == {"key.pem": 0o600, "cert.pem": 0o600}

    @pytest.fixture
    def script(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        """The script of a job, submitted by a command that stands for sbatch."""
        kept = tmp_path / "script.sh"
        command(tmp_path, f'cp "$1" {kept}; echo Submitted batch job 17')
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        settings = ComputeSettings(cluster="slurm", options={"job_script_prologue": ["module load of_the_user"]})
        with only_our_settings(dashboard=False), batch_systems.slurm(settings, 1, tmp_path / "a folder") as client:
            assert client.scheduler.address.startswith("tls://")
            (private,) = (tmp_path / "a folder").glob("tls-*")
            assert stat.S_IMODE(private.stat().st_mode) == 0o700
            yield kept.read_text()
        assert not private.exists()

    def test_workers_in_jobs_use_tls_and_show_no_pages(self, script: str) -> None:
        assert "--protocol tls://" in script
        assert "key.pem'" in script, "a path with a space is quoted"
        assert "--no-dashboard --dashboard-address 127.0.0.1:0" in script
        assert "PRIVATE KEY" not in script
        assert script.index("DASK_INTERNAL_INHERIT_CONFIG") < script.index("module load of_the_user")

    def test_our_settings_for_dask_win_in_jobs(self, script: str, tmp_path: Path) -> None:
        """The beginning of the script is run in an environment as a user may have it."""
        beginning = "\n".join(
            line for line in script.splitlines() if "distributed.cli" not in line and "module" not in line
        )
        shown = "import dask, json; print(json.dumps([dask.config.get('distributed.' + name) for name in NAMES]))"
        names = ["worker.lifetime.duration", "worker.http.routes", "comm.require-encryption", "worker.preload"]
        shown = shown.replace("NAMES", repr(names))
        config = tmp_path / "config"
        config.mkdir()
        (config / "own.yaml").write_text("distributed: {worker: {preload: [own.py]}, comm: {require-encryption: true}}")
        hostile = {"DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION": "1s", "DASK_CONFIG": str(config)}
        import subprocess

        done = subprocess.run(
            ["bash", "-c", f'{beginning}\n{sys.executable} -c "{shown}"; test -d "$wsi_parse_scratch" && echo there'],
            env={**os.environ, **hostile, "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.splitlines() == ["[null, [], null, []]", "there"], done.stderr
        assert not list(tmp_path.glob("tmp.*")), "the scratch folder ends with the job"


def command(folder: Path, body: str, name: str = "sbatch") -> None:
    """Write a command of a batch system into `folder`/bin."""
    (folder / "bin").mkdir(exist_ok=True)
    for each, text in ((name, body), ("scancel", "exit 0")):
        path = folder / "bin" / each
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
