"""Estimates and counts in words."""

from typing import Any

from wsi_parse.progress import duration


def describe_estimate(figures: dict[str, Any], *, at_most: bool = False) -> str:
    """Put what :func:`wsi_parse.run.estimate.estimate_cost` returns into words.

    `at_most`: a part of it may be done already.

    >>> describe_estimate({"tiles": 8, "blocks": 1, "expected_seconds": 90, "expected_by": "timed here", "model": "x"})
    '8 tiles in 1 block · about 1 min 30 s of prediction on this machine with x (timed here)'
    """
    tiles, blocks = counted(figures["tiles"], "tile"), counted(figures["blocks"], "block")
    about = "at most" if at_most else "about"
    time = f"{about} {duration(figures['expected_seconds'])} of prediction on this machine with {figures['model']}"
    return f"{tiles} in {blocks} · {time} ({figures['expected_by']})"


def counted(count: int, noun: str) -> str:
    """Put a number before a regular noun.

    >>> counted(1, "slide"), counted(12345, "slide")
    ('1 slide', '12,345 slides')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
