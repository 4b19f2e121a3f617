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
    samples : tuple of (float, float)
        Seconds since the epoch, and MB held.
    """

    seconds: float
    peak_mb: float
    stdout: str
    samples: tuple[tuple[float, float], ...] = ()

    def peak_mb_between(self, start: float, stop: float) -> float:
        """Largest sum of PSS in a stretch of time (seconds since the epoch)."""
        return max((held for when, held in self.samples if start <= when < stop), default=0.0)


def run_measured(command: list[str]) -> Measured:
    """Run a command to its end and measure it; raises where it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    samples, watched = [(0.0, 0.0)], psutil.Process(process.pid)
    while process.poll() is None:
        try:
            samples.append((time.time(), total_bytes(watched) / 1e6))
        except psutil.NoSuchProcess:
            break
        time.sleep(1 / SAMPLES_A_SECOND)
    stdout = process.stdout.read() if process.stdout else ""
    if process.wait():
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}")
    peak = max(held for _, held in samples)
    return Measured(time.perf_counter() - started, peak, stdout, tuple(samples))
