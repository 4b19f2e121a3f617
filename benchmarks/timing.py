"""Timing of work on a device, and the rate of its matrix products."""

import statistics
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

ROUNDS = 3


def seconds_of_rounds(work: Callable[[], object], device: torch.device, rounds: int) -> list[float]:
    """Return the seconds of each round, after a warm-up round."""
    seconds = []
    for number in range(rounds + 1):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number:
            seconds.append(time.perf_counter() - started)
    return seconds


def least_seconds(work: Callable[[], object], device: torch.device, rounds: int = ROUNDS) -> float:
    """Return the least seconds of several rounds, after a warm-up round."""
    return min(seconds_of_rounds(work, device, rounds))


def median_seconds(work: Callable[[], object], device: torch.device, rounds: int = ROUNDS) -> float:
    """Return the median seconds of several rounds, after a warm-up round."""
    return statistics.median(seconds_of_rounds(work, device, rounds))


def matrix_rate(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """Return the floating point operations per second of a matrix product."""
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / least_seconds(lambda: one @ other, device, 4 * ROUNDS)


def operations_of(work: Callable[[], object]) -> float:
    """Return the floating point operations of some work: of its matrix products and convolutions."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())
