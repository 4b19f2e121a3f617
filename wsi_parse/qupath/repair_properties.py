"""Repair of a feature's properties: type, class, colour, measurements."""

import hashlib
import math
import re
from collections.abc import Mapping
from typing import Any

from wsi_parse.annotations.read import class_of, type_of
from wsi_parse.prompts import TARGETS
from wsi_parse.qupath.classes import KNOWN_COLOURS, repaired_name
from wsi_parse.qupath.property_breaches import TYPES, is_colour, is_number, is_packed_text, measured, names_fault

#: Colours (RGB, 0..255) of QuPath's own classes and of ours.
COLOURS: dict[str, tuple[int, int, int]] = {target.class_name: target.colour for target in TARGETS} | KNOWN_COLOURS
_HEX = re.compile("#?([0-9a-fA-F]{6}|[0-9a-fA-F]{3})")


def repaired_properties(properties: Mapping[str, Any], feature: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties that QuPath imports; properties that QuPath does not know stay as they are.

    Parameters
    ----------
    properties : mapping
    feature : mapping
        The feature that has them: older versions write the type of an object as its id.
    """
    repaired = {
        key: value
        for key, value in properties.items()
        if value is not None and key not in ("id", "nucleusGeometry", "object_type")
    }
    kind = type_of(feature)
    repaired["objectType"] = kind if kind in TYPES else "annotation"
    if "name" in repaired and not isinstance(repaired["name"], str):
        repaired["name"] = str(repaired["name"])
    if (colour := repaired.get("color")) is not None and type(colour) is not int:
        repaired["color"] = colour_of(colour)
        if repaired["color"] is None:
            del repaired["color"]
    if "classification" in repaired:
        name = repaired_name(class_of(feature))
        if not name:
            del repaired["classification"]
        elif not isinstance(repaired["classification"], str):
            repaired["classification"] = _classification(name, repaired["classification"])
        else:
            repaired["classification"] = name
    if "measurements" in repaired:
        repaired["measurements"] = _measurements(repaired["measurements"])
    return repaired


def _classification(name: str, found: Any) -> dict[str, Any]:  # noqa: ANN401 - parsed JSON
    members = found if isinstance(found, dict) else {}
    packed = members.get("colorRGB")
    colour = colour_of(packed if packed is not None else members.get("color"))
    names = members.get("names")
    named: dict[str, Any] = {}
    if isinstance(names, list) and names and all(isinstance(text, str) for text in names):
        named = {"names": names} if names_fault(names, several=True) is None else {}
    rest = {key: value for key, value in members.items() if key not in ("name", "names", "color", "colorRGB")}
    return (named or {"name": name}) | {"color": colour or default_colour(name)} | rest


def default_colour(name: str) -> list[int]:
    """Return QuPath's colour of a class or of the class it is derived from, or a colour made from its name.

    >>> default_colour("Tumor: Positive")
    [200, 0, 0]
    """
    known = COLOURS.get(name) or COLOURS.get(name.partition(":")[0])
    return list(known or hashlib.sha256(name.encode()).digest()[:3])


def colour_of(value: Any) -> list[int] | None:  # noqa: ANN401 - parsed JSON
    """Read a colour in any notation: integers, fractions of one, a packed integer, hexadecimal; else None.

    >>> colour_of("#ff8000"), colour_of("f80"), colour_of([1.0, 0.5, 0.0]), colour_of(-3670016), colour_of("red")
    ([255, 128, 0], [255, 136, 0], [255, 128, 0], [200, 0, 0], None)
    """
    if is_colour(value):
        return list(value)
    if type(value) is int:
        return [(value >> shift) & 255 for shift in (16, 8, 0)]
    if isinstance(value, str) and (found := _HEX.fullmatch(value.strip())):
        digits = found[1] if len(found[1]) == 6 else "".join(2 * digit for digit in found[1])
        return [int(digits[start : start + 2], 16) for start in (0, 2, 4)]
    if is_packed_text(value):
        return colour_of(int(value))
    if isinstance(value, list) and len(value) in (3, 4) and all(is_number(part) for part in value):
        scale = 255 if any(type(part) is float for part in value) and max(value) <= 1 else 1
        return [min(255, max(0, math.floor(part * scale + 0.5))) for part in value]
    return None


def _measurements(found: Any) -> dict[str, float]:  # noqa: ANN401 - parsed JSON
    """Keep numbers, and text that can be read as a number."""
    numbers = {}
    for name, value in measured(found):
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                continue
        if isinstance(name, str | int | float) and is_number(value):
            numbers[str(name)] = value
    return numbers
