"""What may not be written out: addresses, accounts, folders, and the paths in messages."""

import re
from pathlib import Path
from typing import Any

from wsi_parse.settings import RunSettings

_SUGGESTION = re.compile(r"Did you mean '.*?'\? ?")


def redacted_settings(settings: RunSettings) -> dict[str, Any]:
    """Return the settings without addresses, accounts and folders, as a manifest may hold them."""
    redacted: dict[str, Any] = settings.model_dump(mode="json")
    redacted["compute"] = {name: redacted["compute"][name] for name in ("workers", "threads")}
    redacted["compute"]["cluster"] = settings.compute.cluster.partition("://")[0]
    if settings.slide.roi is not None:
        redacted["slide"]["roi"] = settings.slide.roi.name
    if settings.model.weights is not None:
        redacted["model"]["weights"] = settings.model.weights.name
    return redacted


def without_folders(text: str, *paths: Path | None) -> str:
    """Remove folders from a message: paths may hold names of patients."""
    folders = {str(folder) for path in paths if path for folder in (path.absolute().parent, path.parent)}
    for folder in sorted(folders - {".", ""}, key=len, reverse=True):
        for mark in "/\\":
            text = text.replace(f"{folder.rstrip(mark)}{mark}", "")
    return text


def with_given_name(text: str, given: str | None, *file_names: str) -> str:
    """Put the name that the user gave to a slide in the place of its file names; without one, change nothing."""
    if given is None:
        return text
    for file_name in filter(None, file_names):
        text = text.replace(f"no file {file_name}", f"no file of the slide {given}").replace(file_name, given)
    # A file that is named alike shows the name that is not to be seen.
    return _SUGGESTION.sub("", text)
