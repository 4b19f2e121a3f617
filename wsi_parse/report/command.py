"""The command that repeats a run: file names without folders, and only what is not the default."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from wsi_parse.settings import RunSettings

# Setting -> its own option; all others are given with --set.
_OPTIONS = {
    "slide.name": "--name",
    "slide.mpp": "--mpp",
    "slide.override_mpp": "--override-mpp",
    "slide.roi": "--roi",
    "model.name": "--model",
    "model.weights": "--weights",
    "model.organ": "--organ",
    "model.field_um": "--field-um",
    "objects.threshold": "--threshold",
    "objects.cell_expansion_um": "--cell-expansion",
    "export.formats": "--format",
    "export.frame": "--frame",
    "export.keep": "--keep",
}
# Where the work is done does not change the result, and may name machines.
_LEFT_OUT = ("compute.", "model.threads", "model.device")


def repeating_command(manifest: Mapping[str, Any]) -> str:
    """Return the command, quoted for a shell.

    Parameters
    ----------
    manifest : mapping
        The content of run.json. If a name was given to the slide, its file is called SLIDE.

    >>> repeating_command({"slide": {"name": "a b.svs"}, "prompts": [{"text": "nuclei"}], "settings": {
    ...     "slide": {"mpp": 0.5}, "objects": {"threshold": 0.5, "stains": True}}})
    "wsi-parse 'a b.svs' --prompt nuclei --mpp 0.5 --set objects.stains=true"
    """
    words = ["wsi-parse", "SLIDE" if manifest["settings"]["slide"].get("name") else str(manifest["slide"]["name"])]
    if words[1].startswith("-"):
        words[1] = f"./{words[1]}"
    for prompt in manifest["prompts"]:
        words += ["--prompt", str(prompt["text"])]
    for name, value in changed_settings(manifest["settings"]):
        words += _words_of(name, value)
    return shlex.join(words)


def changed_settings(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the names (with their sections) and the values of what is not the default, as a manifest holds it."""
    defaults = RunSettings().model_dump(mode="json")
    return [
        (f"{section}.{key}", value)
        for section, values in settings.items()
        if isinstance(values, Mapping)
        for key, value in values.items()
        if value != defaults[section].get(key) and not f"{section}.{key}".startswith(_LEFT_OUT)
    ]


def _words_of(name: str, value: object) -> Sequence[str]:
    option = _OPTIONS.get(name)
    if option is None:
        # JSON is YAML, and is read as such.
        return "--set", f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
    if value is True:
        return (option,)
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [word for one in values for word in (option, str(one))]
