"""Settings as text: sections of a YAML file, and section.key=value; what they mean is decided in settings.py."""

import re
from pathlib import Path
from typing import Any

import yaml

from wsi_parse.errors import SettingsError
from wsi_parse.files import CHECK_RIGHTS
from wsi_parse.gates import check_input
from wsi_parse.text import for_terminal

# All settings with their descriptions take about 10 kB.
_MAX_BYTES = 1_000_000


class _PlainLoader(yaml.SafeLoader):
    """Reads plain values: no aliases, with which a small file grows without bound, and no key twice.

    Dates, octal numbers and numbers to the base of 60, which YAML makes of 2024-01-01, 01000 and 1:30, are text.
    """

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: ANN401 - as in yaml
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1} holds a key for the second time")
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - as in yaml
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()
            raise yaml.YAMLError(f"line {event.start_mark.line + 1} holds an alias, which settings do not need")
        return super().compose_node(parent, index)


_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9_]*)$")
_PlainLoader.yaml_implicit_resolvers = {
    first: [
        (tag, _DECIMAL if tag.endswith(":int") else form)
        for tag, form in resolvers
        if not tag.endswith((":timestamp", ":merge"))
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_config(path: Path) -> dict[str, Any]:
    """Read a YAML file of sections; an empty one has none."""
    path = check_input(path, "a file of settings", error=SettingsError, max_bytes=_MAX_BYTES)
    name = for_terminal(path.name)
    try:
        values = _load(path.read_text(encoding="utf-8-sig")) or {}
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(f"Cannot read the settings in {name}: {reason}.", CHECK_RIGHTS) from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise SettingsError(
            f"The settings in {name} cannot be read: {_reason(error)}.", "Write it as a YAML file."
        ) from error
    if not isinstance(values, dict):
        raise SettingsError(f"{name} contains no settings.", "Write `section:` and `  key: value` lines.")
    if "schema_version" in values:
        raise SettingsError(
            f"{name} is the manifest of a run, and not a file of settings.",
            "Write its part `settings` to a file of its own.",
        )
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
        values[key] = _load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise SettingsError(
            f"The value of --set {override!r} is not valid YAML.", "Put the value in quotes."
        ) from error


def _load(text: str) -> Any:  # noqa: ANN401 - whatever YAML holds
    return yaml.load(text, _PlainLoader)


def _reason(error: Exception) -> str:
    """Say why YAML cannot be read without a line of it, because the file may be another one, with secrets."""
    if isinstance(error, RecursionError):
        return "its values are nested too deeply"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1} is not valid YAML"
    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    return str(error) if type(error) is yaml.YAMLError else "it is not valid YAML"
