"""Settings as text: sections of a YAML file, and section.key=value; what they mean is decided in settings.py."""

from pathlib import Path
from typing import Any

import yaml

from wsi_parse.errors import SettingsError
from wsi_parse.files import CHECK_RIGHTS


def read_config(path: Path) -> dict[str, Any]:
    """Read a YAML file of sections; an empty one has none."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(f"Cannot read the settings in {path.name}: {reason}.", CHECK_RIGHTS) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(
            f"The settings in {path.name} cannot be read: {reason}.", "Write it as a YAML file."
        ) from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path.name} contains no settings.", "Write `section:` and `  key: value` lines.")
    return values


def section_of(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a section to write into; an empty one in the file counts as missing."""
    if values.get(name) is None:
        values[name] = {}
    if not isinstance(values[name], dict):
        raise SettingsError(f"{name!r} is not a section of settings.", "Write `section:` and `  key: value` lines.")
    section: dict[str, Any] = values[name]
    return section


def set_value(values: dict[str, Any], override: str) -> None:
    """Write a value of the form section.key=value, where the value is YAML.

    >>> values = {}
    >>> set_value(values, "tiles.overlap=0.25")
    >>> values
    {'tiles': {'overlap': 0.25}}
    """
    name, equals, text = override.partition("=")
    *sections, key = name.strip().split(".")
    if not equals or not key:
        raise SettingsError(
            f"--set {override!r} does not have the form section.key=value.", "For example: --set tiles.overlap=0.25."
        )
    for section in sections:
        values = section_of(values, section)
    try:
        values[key] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(
            f"The value of --set {override!r} is not valid YAML.", "Put the value in quotes."
        ) from error
