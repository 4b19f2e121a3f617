"""Units of length, as files write them, in microns."""

_UM = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "pm": 1e-6, "in": 25_400.0}
_WRITTEN_OUT = {
    **dict.fromkeys(("micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres"), 1.0),
    **dict.fromkeys(("nanometer", "nanometers", "nanometre", "nanometres"), 1e-3),
    **dict.fromkeys(("millimeter", "millimeters", "millimetre", "millimetres"), 1e3),
    **dict.fromkeys(("centimeter", "centimeters", "centimetre", "centimetres"), 1e4),
    **dict.fromkeys(("inch", "inches", '"'), 25_400.0),
}


def unit_um(name: str) -> float | None:
    """Return how many microns a unit has; None for a unit that is no length.

    >>> unit_um("micron"), unit_um("µm"), unit_um("Inch"), unit_um("pixel")
    (1.0, 1.0, 25400.0, None)
    """
    name = name.strip()
    return _UM.get(name, _WRITTEN_OUT.get(name.lower()))
