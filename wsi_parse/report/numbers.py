"""Numbers for people: rounded to a few digits, with commas, and never with an exponent."""


def short(value: float, digits: int = 3) -> str:
    """Round a number to some digits.

    >>> short(17512.0), short(0.60064), short(1234.5), short(0.0)
    ('17,500', '0.601', '1,230', '0')
    """
    return f"{float(f'{value:.{digits}g}'):,.12g}"
