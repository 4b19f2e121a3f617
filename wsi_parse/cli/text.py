"""Durations, estimates and counts in words."""

from itertools import pairwise
from typing import Any


def describe_estimate(figures: dict[str, Any]) -> str:
    """Put what :func:`wsi_parse.run.estimate.estimate_cost` returns into words.

    >>> describe_estimate({"tiles": 1200, "blocks": 1, "expected_seconds": 90, "model": "stain"})
    '1,200 tiles in 1 block · about 1 min 30 s on this CPU with stain'
    """
    tiles, blocks = counted(figures["tiles"], "tile"), counted(figures["blocks"], "block")
    return f"{tiles} in {blocks} · about {duration(figures['expected_seconds'])} on this CPU with {figures['model']}"


def duration(seconds: float) -> str:
    """Put seconds into the two units that matter.

    >>> duration(59.6), duration(3 * 3600 + 125), duration(90000)
    ('1 min 0 s', '3 h 2 min', '1 d 1 h')
    """
    left = round(seconds)
    for (large, size), (small, part) in pairwise((("d", 86400), ("h", 3600), ("min", 60), ("s", 1))):
        if left >= size:
            return f"{left // size} {large} {left % size // part} {small}"
    return f"{left} s"


def counted(count: int, noun: str) -> str:
    """Put a number before a regular noun.

    >>> counted(1, "slide"), counted(12345, "slide")
    ('1 slide', '12,345 slides')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
