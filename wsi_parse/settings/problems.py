"""What is wrong with settings, in words; of a mistyped name or value, which was meant."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from wsi_parse.errors import SettingsError, closest
from wsi_parse.text import for_terminal

_SEE_ALL = "Run `wsi-parse settings` to see all settings."


# A key that does not look like a setting is not shown: the file may be another one, with secrets.
_KEY = re.compile(r"[A-Za-z][\w.-]{0,60}")


def settings_error(error: ValidationError, names: Sequence[str]) -> SettingsError:
    """Build the error that names every setting that is unknown or invalid.

    Parameters
    ----------
    error : pydantic.ValidationError
    names : sequence of str
        All settings, with their sections.
    """
    problems = dict.fromkeys(_problem(item, names) for item in error.errors())
    shown = list(problems)[:_MAX_PROBLEMS]
    more = len(problems) - len(shown)
    return SettingsError(f"Invalid settings: {'; '.join(shown)}{f'; and {more} more' if more else ''}.", _SEE_ALL)


# So many are shown.
_MAX_PROBLEMS = 12


def _problem(item: Any, names: Sequence[str]) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    """Say what is wrong with one setting; of an unknown one, which was meant."""
    name = ".".join(part for part in item["loc"] if isinstance(part, str))
    if item["type"] != "extra_forbidden":
        return _wrong_value(name, item)
    if not _KEY.fullmatch(name):
        return "there is a key that is not the name of a setting"
    meant = _meant(name, names)
    return f"there is no setting {name}" + (f" (did you mean {meant}?)" if meant else "")


def _wrong_value(name: str, item: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    """Say what a value must be, and which was meant: a mistyped word, or a share that was given in percent."""
    value, context = item["input"], item.get("ctx", {})
    if item["type"] == "invalid_key":
        return "there is a key that is not the name of a setting"
    if item["type"] == "value_error":
        must = str(context.get("error", item["msg"]))
    elif item["type"] in _MUST:
        must = _MUST[item["type"]]
    else:
        must = re.sub("^(Input|String|Value) should ", "it must ", item["msg"])
    unit = _unit_of(name) if {"gt", "ge", "lt", "le"} & context.keys() else ""
    meant: object = closest(str(value), re.findall("'([^']*)'", context.get("expected", "")))
    if item["type"].endswith("_parsing") and meant is None:
        meant = number_meant(str(value))
    if context.get("lt", context.get("le")) == 1 and isinstance(value, int | float) and 1 < value < 100:
        meant = value / 100
    hint = f" (did you mean {meant!r}?)" if meant is not None else ""
    shown = for_terminal(f"{value:g}" if isinstance(value, float) else repr(value)[:80])
    told = f"{must}{unit and f' {unit}'}{hint}"
    return f"{name} is {shown}: {told}" if isinstance(value, str | int | float) else f"{name}: {told}"


# What is required, in words; by the types of pydantic.
_MUST = {
    "float_parsing": "it must be a number",
    "float_type": "it must be a number",
    "int_parsing": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "int_type": "it must be a whole number",
    "bool_parsing": "it must be true or false",
    "string_type": "it must be text (put it in quotes)",
    "tuple_type": "it must be a list, such as [200, 0, 0] for a colour",
    "dict_type": "it must be a section with keys and values",
    "model_type": "it must be a section with keys and values",
    "model_attributes_type": "it must be a section with keys and values",
}


def number_meant(text: str) -> float | None:
    """Return the number that a person meant by a text: with a decimal comma, in percent, or with a unit.

    >>> number_meant("0,5"), number_meant("50%"), number_meant("0.25um"), number_meant("x")
    (0.5, 0.5, 0.25, None)
    """
    found = re.fullmatch(r"\s*([-+]?\d*[.,]?\d+)\s*(%|um|µm|μm|um/px|px|mm)?\s*", text)
    if found is None or found[2] == "mm":
        return None
    number = float(found[1].replace(",", "."))
    return number / 100 if found[2] == "%" else number


def _meant(name: str, names: Sequence[str]) -> str | None:
    """Return what an unknown name stands for: a setting of that section, of another one, or a section."""
    section, _, key = name.rpartition(".")
    for among in ([one for one in names if one.rpartition(".")[0] == section], names):
        by_key = {one.rpartition(".")[2]: one for one in among}
        if near := closest(key, by_key):
            return by_key[near]
    return closest(name, {one.partition(".")[0] for one in names})


def _unit_of(name: str) -> str:
    """Return the unit of a setting by the end of its name; empty if it has none.

    >>> _unit_of("objects.min_cell_area_um2"), _unit_of("slide.mpp"), _unit_of("tiles.overlap")
    ('µm²', 'µm per pixel', '')
    """
    for ending, unit in _ENDINGS.items():
        if name.endswith(ending):
            return unit
    return ""


_ENDINGS = {"_um2": "µm²", "_um": "µm", "mpp": "µm per pixel", "_px": "pixels", "_mb": "MB"}
