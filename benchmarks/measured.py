"""Runs a command and measures its time, and the peak memory of all its processes (sum of PSS)."""

import subprocess
import time
from dataclasses import dataclass

import psutil

from wsi_parse.compute.memory import total_bytes

SAMPLES_PER_SECOND = 10


@dataclass(frozen=True)
class Measured:
    """Time and memory of a command.

    Parameters
    ----------
    seconds : float
    peak_mb : float
        Largest sum of PSS of the command and all its child processes, sampled ten times per second.
    stdout : str
    code : int
        How it ended.
    samples : tuple of (float, float)
        Seconds since the epoch, and MB.
    """

    seconds: float
    peak_mb: float
    stdout: str
    code: int = 0
    samples: tuple[tuple[float, float], ...] = ()

    def peak_mb_between(self, start: float, stop: float) -> float:
        """Return the largest sum of PSS in a period (seconds since the epoch)."""
        return max((held for when, held in self.samples if start <= when < stop), default=0.0)


def run_measured(command: list[str], *, check: bool = True) -> Measured:
    """Run a command to its end and measure it; a failing command raises SystemExit where it is checked."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    samples, watched = [(0.0, 0.0)], psutil.Process(process.pid)
    while process.poll() is None:
        try:
            samples.append((time.time(), total_bytes(watched) / 1e6))
        except psutil.NoSuchProcess:
            break
        time.sleep(1 / SAMPLES_PER_SECOND)
    stdout = process.stdout.read() if process.stdout else ""
    if process.wait() and check:
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}")
    peak = max(held for _, held in samples)
    return Measured(time.perf_counter() - started, peak, stdout, process.returncode, tuple(samples))
