"""Timing of work on a device."""

import time
from collections.abc import Callable

import torch

ROUNDS = 3


def least_seconds(work: Callable[[], object], device: torch.device, rounds: int = ROUNDS) -> float:
    """Return the least seconds of several rounds, after a warm-up round."""
    best = float("inf")
    for number in range(rounds + 1):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number:
            best = min(best, time.perf_counter() - started)
    return best
