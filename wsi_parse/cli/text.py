"""Estimates and counts in words."""

from typing import Any

from wsi_parse.progress import duration


def describe_estimate(figures: dict[str, Any]) -> str:
    """Put what :func:`wsi_parse.run.estimate.estimate_cost` returns into words.

    >>> describe_estimate({"tiles": 1200, "blocks": 1, "expected_seconds": 90, "model": "stain"})
    '1,200 tiles in 1 block · about 1 min 30 s on this CPU with stain'
    """
    tiles, blocks = counted(figures["tiles"], "tile"), counted(figures["blocks"], "block")
    return f"{tiles} in {blocks} · about {duration(figures['expected_seconds'])} on this CPU with {figures['model']}"


def counted(count: int, noun: str) -> str:
    """Put a number before a regular noun.

    >>> counted(1, "slide"), counted(12345, "slide")
    ('1 slide', '12,345 slides')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
