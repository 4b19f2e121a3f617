"""The doctor never hangs, whatever a check does; and what it prints can be sent to others."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.in_process import caller
from wsi_parse.doctor import Diagnosis, Finding, diagnose
from wsi_parse.doctor.checks import CHECKS

BAD = """
import os, sys, time
from wsi_parse.doctor import Finding
from wsi_parse.errors import ClusterError

def hang(check):
    print("a library that prints")
    yield Finding(check, "first", "ok", "This was found before.")
    time.sleep(600)

def crash(check):
    yield Finding(check, "first", "ok", "This was found before.")
    sys.stderr.write("Illegal instruction")
    sys.stderr.flush()
    os._exit(3)

def fail(check):
    raise ZeroDivisionError(os.path.expanduser("~/secret"))
    yield

def refuse(check):
    raise ClusterError("No workers.", "Start some.")
    yield

def flood(check):
    sys.stderr.write("x" * 1_000_000)
    yield Finding(check, "all", "warn", "Much was said.", "be quiet")
"""


@pytest.fixture
def bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Diagnosis]:
    (tmp_path / "bad_checks.py").write_text(BAD)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    return lambda seconds, *names: diagnose(seconds, {name: f"bad_checks:{name}" for name in names})


@pytest.mark.whole
def test_a_check_that_hangs_is_stopped_and_what_it_found_counts(bad: Callable[..., Diagnosis]) -> None:
    started = time.monotonic()
    diagnosis = bad(4.0, "hang", "flood")
    assert time.monotonic() - started < 30
    # How fast a process starts on a busy machine is not what is tested.
    *found, stopped, flood = diagnosis.findings
    assert [(one.check, one.status) for one in (stopped, flood)] == [("hang", "fail"), ("flood", "warn")]
    assert "did not end within 4 s" in stopped.text
    assert stopped.remedy == "wsi-parse doctor --seconds 12"
    assert [one.text for one in found] in ([], ["This was found before."])
    assert diagnosis.failed


@pytest.mark.whole
def test_a_check_that_fails_is_a_line_with_a_remedy(bad: Callable[..., Diagnosis]) -> None:
    found = {(one.check, one.name): one for one in bad(100.0, "crash", "fail", "refuse").findings}
    assert found["crash", "first"].status == "ok"
    crash, fail, refuse = (found[name, name] for name in ("crash", "fail", "refuse"))
    assert crash.text == "The check crashed (exit code 3): Illegal instruction."
    assert (refuse.text, refuse.remedy) == ("No workers.", "Start some.")
    assert fail.text == "The check failed: ZeroDivisionError: ~/secret."
    assert all(one.status == "fail" and one.remedy for one in (crash, fail, refuse))


LISTENER = """
import os, socket, sys
def listen(event, arguments):
    if event == "socket.connect" and arguments[0].type == socket.SOCK_DGRAM:
        # Nothing is sent: so Dask asks which address this machine has.
        return
    if event == "socket.connect" and not str(arguments[1]).startswith(("('127.", "('::1", "/", "b'/")):
        where = repr(arguments[1])
    elif event == "socket.getaddrinfo" and arguments[0] not in (None, "", "localhost", "127.0.0.1", b"127.0.0.1"):
        where = repr(arguments[0])
    else:
        return
    with open(os.environ["CONNECTED"], "a") as file:
        file.write(where + "\\n")
sys.addaudithook(listen)
"""


@pytest.mark.whole
def test_the_command_looks_at_this_machine_and_asks_no_other(tmp_path: Path) -> None:
    """As a user calls it: every check, JSON, an exit code, nothing of the user's home, no connection."""
    home, spy = tmp_path / "Jane Doe", tmp_path / "spy"
    home.mkdir()
    spy.mkdir()
    (spy / "sitecustomize.py").write_text(LISTENER)
    connected = tmp_path / "connected"
    own = {
        "HOME": str(home),
        "CONNECTED": str(connected),
        "PYTHONPATH": os.pathsep.join([str(spy), *filter(None, sys.path)]),
        "WSI_PARSE_CACHE": str(home / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "wsi_parse", "doctor", "--json", "--seconds", "240"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **own},
    )
    content = json.loads(done.stdout)
    statuses = [one["status"] for one in content["findings"]]
    assert done.returncode == int("fail" in statuses) == int(content["failed"])
    assert {one["check"] for one in content["findings"]} == CHECKS.keys()
    by_name = {(one["check"], one["name"]): one for one in content["findings"]}
    for name in ("Aperio SVS", "pyramidal TIFF", "OME-TIFF", "PNG"):
        assert by_name["readers", name]["status"] == "ok"
    assert by_name["device", "cpu"]["facts"]["gflops_float32"] > 0
    assert by_name["models", "mini"]["facts"]["sha256"] == by_name["models", "mini"]["facts"]["recorded_sha256"]
    assert by_name["models", "biomedparse"]["status"] == "warn"
    assert "wsi-parse models get biomedparse" in by_name["models", "biomedparse"]["remedy"]
    assert "~/cache" in by_name["storage", "cache of models"]["text"]
    assert by_name["dask", "processes"]["status"] == "ok"
    assert all(one["remedy"] for one in content["findings"] if one["status"] != "ok")
    assert "Jane Doe" not in done.stdout
    assert str(Path.cwd()) not in done.stdout
    assert not connected.exists() or not connected.read_text()
    assert not list(home.rglob("*safetensors*"))


class TestScreen:
    @pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("fail", 1)])
    def test_the_exit_code_is_that_of_a_failure(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: str, code: int
    ) -> None:
        findings = (
            Finding("storage", "scratch", "ok", "Fine."),
            Finding("storage", "cache", status, "Odd \x1b[31m.", "free some space"),  # type: ignore[arg-type]
        )
        monkeypatch.setattr("wsi_parse.doctor.diagnose", lambda *_, **__: Diagnosis(findings, 1.0))
        ended = caller(monkeypatch, capsys)("doctor")
        assert ended.code == code
        assert ended.out.splitlines()[:4] == [
            "storage",
            "  ok   scratch: Fine.",
            f"  {status:<5}cache: Odd \\x1b[31m.",
            "       → free some space",
        ]
        ended = caller(monkeypatch, capsys)("doctor", "--json")
        assert ended.code == code
        assert json.loads(ended.out)[status] == 1 + (status == "ok")
