"""diagnose: all checks at the same time, each in a process that is stopped when it takes too long."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from wsi_parse._version import __version__
from wsi_parse.doctor.checks import ALONE, CHECKS
from wsi_parse.doctor.finding import REINSTALL, Finding
from wsi_parse.text import RESEARCH_ONLY

DEFAULT_SECONDS = 20.0
# A diagnosis downloads nothing: the hub's library would look there, and wait where there is no network.
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
_LAST_LINES = 3
_DIES_WITHIN_SECONDS = 1.0


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor found.

    Parameters
    ----------
    findings : tuple of Finding
        In the order of the checks.
    seconds : float
        How long it took.
    """

    findings: tuple[Finding, ...]
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether something that runs need does not work."""
        return any(finding.status == "fail" for finding in self.findings)

    def count(self, status: str) -> int:
        """Return how many findings have a status."""
        return sum(finding.status == status for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; the user's home is written as ~."""
        return {
            "wsi_parse": __version__,
            "failed": self.failed,
            **{status: self.count(status) for status in ("ok", "warn", "fail")},
            "seconds": round(self.seconds, 1),
            "findings": [finding.to_dict() for finding in self.findings],
            "notice": RESEARCH_ONLY,
        }


def diagnose(
    seconds: float = DEFAULT_SECONDS,
    checks: Mapping[str, str] = CHECKS,
    arrived: Callable[[str], None] | None = None,
) -> Diagnosis:
    """Run checks, and return within a time whatever hangs: a driver, a file system, a port.

    Parameters
    ----------
    seconds : float
        A check that has not ended then is stopped, which is a finding.
    checks : mapping of str to str
        Name -> "module:function"; see :data:`wsi_parse.doctor.checks.CHECKS`.
    arrived : callable, optional
        Is called with the name of each check that has ended.
    """
    started = time.monotonic()
    found: dict[str, list[Finding]] = {}
    alone = [name for name in checks if name in ALONE]
    for together in (*([name] for name in alone), [name for name in checks if name not in ALONE]):
        running = [_Check(name, checks[name]) for name in together]
        try:
            for check in running:
                found[check.name] = check.findings(max(0.0, started + seconds - time.monotonic()), seconds)
                if arrived is not None:
                    arrived(check.name)
        finally:
            for check in running:
                check.stop()
    findings = tuple(finding for name in checks for finding in found[name])
    return Diagnosis(findings, time.monotonic() - started)


class _Check:
    """A check in a process of its own; threads take what it says, so that a full pipe stops nobody."""

    def __init__(self, name: str, place: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            # Without the current folder on the path: a file random.py of the user is none of ours.
            [sys.executable, "-P", "-m", "wsi_parse.doctor.child", name, place],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, **_OFFLINE, "PYTHONIOENCODING": "utf-8"},
        )
        self._lines: list[str] = []
        self._complaints: list[str] = []
        self._readers = [
            threading.Thread(target=_take, args=(stream, kept), daemon=True)
            for stream, kept in ((self._process.stdout, self._lines), (self._process.stderr, self._complaints))
        ]
        for reader in self._readers:
            reader.start()

    def findings(self, left_seconds: float, limit_seconds: float) -> list[Finding]:
        """Wait for the check, and return what it found; how it ended is a finding, if it ended badly."""
        try:
            code: int | None = self._process.wait(left_seconds)
        except subprocess.TimeoutExpired:
            code = None
            self.stop()
        for reader in self._readers:
            reader.join(1.0)
        found = [Finding(**content) for line in self._lines if (content := _parsed(line)) is not None]
        if code is None:
            text = (
                f"The check did not end within {limit_seconds:g} s: this machine is busy{_load()}, or something hangs."
            )
            found.append(
                Finding(self.name, self.name, "fail", text, f"wsi-parse doctor --seconds {3 * limit_seconds:g}")
            )
        elif code:
            last = " ".join("".join(self._complaints[-_LAST_LINES:]).split())
            text = f"The check crashed (exit code {code}): {last or 'it said nothing'}."
            found.append(Finding(self.name, self.name, "fail", text, REINSTALL))
        return found

    def stop(self) -> None:
        """Stop the process, if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
            # One that waits for a dead file system cannot be killed: nobody waits for it.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_DIES_WITHIN_SECONDS)


def _load() -> str:
    """Return how busy this machine is, where the system says so."""
    if not hasattr(os, "getloadavg"):
        return ""
    return f" (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)"


def _take(stream: Any, kept: list[str]) -> None:  # noqa: ANN401 - a pipe of text
    with suppress(OSError, ValueError), stream:
        kept.extend(stream)


def _parsed(line: str) -> dict[str, Any] | None:
    """Return what a line of a check says; a process that was stopped may have written half of its last line."""
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
