"""Bounds that a scanner, a tissue or a machine can have, and what a number outside of them was meant to be."""

# Microns per pixel at level 0. The finest scanners (100x, oil) have 0.05; overviews of whole slides reach about 60.
MIN_MPP_UM, MAX_MPP_UM = 0.02, 64.0
# What slides usually have: 80x at 0.11 to 2.5x at 4.
USUAL_MPP_UM = (0.1, 4.5)
#: Powers of ten by which a pixel size in another unit differs from one in µm.
_UNITS = (("millimetres", 1e3), ("centimetres", 1e4), ("metres", 1e6), ("nanometres", 1e-3))


def pixel_size_problem(mpp_um: float) -> str:
    """Say why a number cannot be a pixel size in microns per pixel; empty if it can.

    >>> pixel_size_problem(0.25)
    ''
    >>> pixel_size_problem(0.00025)
    'it must be between 0.02 and 64 µm per pixel (0.00025 looks like millimetres: 0.25 µm?)'
    >>> pixel_size_problem(250)
    'it must be between 0.02 and 64 µm per pixel (250 looks like nanometres: 0.25 µm?)'
    """
    if MIN_MPP_UM <= mpp_um <= MAX_MPP_UM:
        return ""
    low, high = USUAL_MPP_UM
    hint = next(
        (
            f" ({mpp_um:.3g} looks like {unit}: {mpp_um * factor:.3g} µm?)"
            for unit, factor in _UNITS
            if low <= mpp_um * factor <= high
        ),
        "",
    )
    return f"it must be between {MIN_MPP_UM:g} and {MAX_MPP_UM:g} µm per pixel{hint}"


def is_usual_pixel_size(mpp_um: float) -> bool:
    """Return whether slides usually have such pixels.

    >>> is_usual_pixel_size(0.25), is_usual_pixel_size(0.025)
    (True, False)
    """
    return USUAL_MPP_UM[0] <= mpp_um <= USUAL_MPP_UM[1]


def unit_of(name: str) -> str:
    """Return the unit of a setting by the end of its name; empty if it has none.

    >>> unit_of("objects.min_cell_area_um2"), unit_of("slide.mpp"), unit_of("tiles.overlap")
    ('µm²', 'µm per pixel', '')
    """
    for ending, unit in _ENDINGS.items():
        if name.endswith(ending):
            return unit
    return ""


_ENDINGS = {"_um2": "µm²", "_um": "µm", "mpp": "µm per pixel", "_px": "pixels", "_mb": "MB"}
