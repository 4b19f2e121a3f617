"""Ids that QuPath keeps: UUIDs, made of what a feature has where it has none."""

import uuid
from collections.abc import Mapping
from typing import Any

from wsi_parse.annotations.read import id_of
from wsi_parse.annotations.stream import unparsed
from wsi_parse.qupath.rules import UUID

_REPAIRED = uuid.UUID("0d9e5b5e-6a7c-5a3e-8f43-3f4a5d0f6c2b")


def final_id(feature: Mapping[str, Any]) -> str:
    """Return the id of a feature where that is a UUID, else one made of it, else one made of the content.

    >>> final_id({"id": "7"}) == final_id({"properties": {"id": 7}})
    True
    """
    old = id_of(feature)
    if old is not None and UUID.fullmatch(old):
        return old
    text = old or unparsed([feature.get("geometry"), feature.get("properties")]).decode()
    return str(uuid.uuid5(_REPAIRED, text))


def next_id(used: str, times: int) -> str:
    """Return another id for a feature that comes with an id that is used already."""
    return str(uuid.uuid5(_REPAIRED, f"{used} {times}"))
