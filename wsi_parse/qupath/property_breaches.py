"""Breaches of QuPath's rules by the properties of a feature: type, name, class, colour, measurements."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from wsi_parse.annotations.read import LEGACY_TYPES
from wsi_parse.prompts import class_name_fault
from wsi_parse.qupath.rules import (
    CLASS_COLOUR,
    CLASS_FORM,
    CLASS_NAME,
    COLOUR,
    COLOUR_FORM,
    INFINITE,
    MEASUREMENT,
    MEASUREMENT_NAME,
    NO_MEASUREMENTS,
    NOT_TEXT,
    NUCLEUS_PLACE,
    NULL_KEY,
    OBJECT_TYPE,
    ROOT,
    QuPathRule,
)

#: The keys of the type of an object; QuPath reads the first that is there.
TYPE_KEYS = ("objectType", "object_type", "type")
#: Types of objects that QuPath takes.
TYPES = {"annotation", "detection", "cell", "tile", "tmaCore"}
_TAKEN = {*TYPES, "tma_core", "unknown", *LEGACY_TYPES}
_ROOTS = {"root", *(name for name, kind in LEGACY_TYPES.items() if kind == "root")}
_PACKED = re.compile(r"[+-]?\d{1,10}", re.ASCII)
#: A rule that is broken, and a detail: the key, the value or the name of a measurement; may be empty.
Breach = tuple[QuPathRule, str]


def property_breaches(properties: Mapping[str, Any], feature_id: Any) -> Iterator[Breach]:  # noqa: ANN401 - parsed JSON
    """Yield the rules that the properties of a feature break.

    Parameters
    ----------
    properties : mapping
        As parsed from the file.
    feature_id : any
        The id of the feature: before v0.4, QuPath wrote the type of the object there.
    """
    type_key = next((key for key in TYPE_KEYS if key in properties), None)
    for key in filter(None, ("name" if "name" in properties else None, type_key)):
        if not isinstance(value := properties[key], str | int | float):
            yield (NULL_KEY if value is None else NOT_TEXT), key
    kind = properties[type_key] if type_key else feature_id
    if isinstance(kind, str) and kind in _ROOTS:
        yield ROOT, kind
    elif type_key and isinstance(kind, str) and kind not in _TAKEN:
        yield OBJECT_TYPE, kind
    if "nucleusGeometry" in properties:
        yield NUCLEUS_PLACE, ""
    if (found := properties.get("classification")) is not None:
        yield from _classification(found)
    if (colour := properties.get("color")) is not None and not (type(colour) is int or is_colour(colour)):
        yield (COLOUR_FORM if _is_taken(colour) else COLOUR), str(colour)
    measurements = properties.get("measurements")
    if not isinstance(measurements, dict | list | None):
        yield NO_MEASUREMENTS, str(measurements)
    elif measurements:
        yield from _measurements(measurements)


def _measurements(measurements: Any) -> Iterator[Breach]:  # noqa: ANN401 - parsed JSON
    for name, value in measured(measurements):
        if not is_number(value):
            yield MEASUREMENT, str(name)
        elif not isinstance(name, str | int | float):
            yield MEASUREMENT_NAME, str(name)


def _classification(found: Any) -> Iterator[Breach]:  # noqa: ANN401 - parsed JSON
    if isinstance(found, str):
        if fault := class_name_fault(found):
            yield CLASS_NAME, f"{found!r} {fault}"
    elif not isinstance(found, dict):
        yield CLASS_FORM, str(found)
    elif found:
        names = found["names"] if "names" in found else [found.get("name")]
        if not (isinstance(names, list) and names and all(isinstance(text, str) and text for text in names)):
            yield CLASS_FORM, ""
        elif fault := names_fault(names, several="names" in found):
            yield CLASS_NAME, fault
        yield from _class_colour(found)


def names_fault(names: list[str], *, several: bool) -> str | None:
    """Return what is wrong with the name of a class, or with the names of a class and those derived from it."""
    for name in names:
        if fault := "has a colon" if several and ":" in name else class_name_fault(name):
            return f"{name!r} {fault}"
    return None


def _class_colour(found: Mapping[str, Any]) -> Iterator[Breach]:
    if "colorRGB" in found:
        packed = found["colorRGB"]
        if type(packed) is not int:
            yield (COLOUR_FORM if is_packed_text(packed) else CLASS_COLOUR), str(packed)
    elif not is_colour(colour := found.get("color", "")):
        taken = colour is None or (isinstance(colour, list) and _is_taken(colour))
        yield (COLOUR_FORM if taken else CLASS_COLOUR), str(colour)


def is_colour(value: Any) -> bool:  # noqa: ANN401 - parsed JSON
    """Return whether QuPath reads a value as the colour that is meant.

    >>> is_colour([200, 0, 0]), is_colour([1.0, 0.5, 0]), is_colour("#ff0000"), is_colour([300, 0, 0])
    (True, False, False, False)
    """
    return isinstance(value, list) and len(value) in (3, 4) and all(type(v) is int and 0 <= v <= 255 for v in value)


def _is_taken(value: Any) -> bool:  # noqa: ANN401 - parsed JSON
    """Return whether QuPath takes a value as a colour, though it is not in the form that it writes."""
    if isinstance(value, list):
        return len(value) in (3, 4) and all(type(v) in (int, float) and v in range(256) for v in value)
    return is_packed_text(value)


def is_packed_text(value: Any) -> bool:  # noqa: ANN401 - parsed JSON
    """Return whether a value is text that holds a colour packed into one integer."""
    return isinstance(value, str) and _PACKED.fullmatch(value) is not None and -(2**31) <= int(value) < 2**31


def is_number(value: Any) -> bool:  # noqa: ANN401 - parsed JSON
    """Return whether a value is a number, not true or false, and finite as float32, which QuPath stores.

    >>> is_number(3.4e38), is_number(1e39), is_number(10**400), is_number(float("nan")), is_number(True)
    (True, False, False, False, False)
    """
    # The value is compared, not converted, so integers of any length are exact.
    return type(value) in (int, float) and abs(value) < INFINITE


def measured(measurements: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - parsed JSON
    """Yield names and values of measurements: an object, or the list that v0.4 and earlier versions write."""
    if isinstance(measurements, dict):
        yield from measurements.items()
    elif isinstance(measurements, list):
        for item in measurements:
            # (None, None) breaks the rule, because it is neither a name nor a number.
            yield (item.get("name"), item.get("value")) if isinstance(item, dict) else (None, None)
