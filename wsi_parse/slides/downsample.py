"""The downsample of a level: how many level-0 pixels one of its pixels covers."""


def downsample(length_level0: int, length_level: int) -> float:
    """Return the downsample along one axis; a whole number if the lengths, which are rounded, allow it.

    >>> downsample(100_001, 25_000)
    4.0
    >>> downsample(1000, 300)
    3.3333333333333335
    """
    ratio = length_level0 / length_level
    whole = round(ratio)
    if whole and length_level in (length_level0 // whole, -(-length_level0 // whole)):
        return float(whole)
    return ratio
