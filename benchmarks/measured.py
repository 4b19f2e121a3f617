"""Run a command and watch it: seconds, and the peak of the memory of all its processes (sum of PSS)."""

import subprocess
import time
from dataclasses import dataclass

import psutil

from wsi_parse.compute.memory import total_bytes

SAMPLES_A_SECOND = 10


@dataclass(frozen=True)
class Measured:
    """What a command took.

    Parameters
    ----------
    seconds : float
    peak_mb : float
        Largest sum of PSS of the command and all processes below it, sampled ten times a second.
    stdout : str
    """

    seconds: float
    peak_mb: float
    stdout: str


def run_measured(command: list[str]) -> Measured:
    """Run a command to its end and measure it; raises where it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak, watched = 0, psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, total_bytes(watched))
        except psutil.NoSuchProcess:
            break
        time.sleep(1 / SAMPLES_A_SECOND)
    stdout = process.stdout.read() if process.stdout else ""
    if process.wait():
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}")
    return Measured(time.perf_counter() - started, peak / 1e6, stdout)
