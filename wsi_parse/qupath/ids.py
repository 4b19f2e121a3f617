"""Ids that QuPath keeps: UUIDs, which are made from the content of a feature that has none."""

import uuid
from collections.abc import Mapping
from typing import Any

from wsi_parse.annotations.read import id_of
from wsi_parse.annotations.stream import unparsed
from wsi_parse.qupath.rules import UUID

_REPAIRED = uuid.UUID("0d9e5b5e-6a7c-5a3e-8f43-3f4a5d0f6c2b")


def final_id(feature: Mapping[str, Any]) -> str:
    """Return the id of a feature if it is a UUID, else a UUID made from that id, or from the content if it has no id.

    >>> final_id({"id": "7"}) == final_id({"properties": {"id": 7}})
    True
    """
    old = id_of(feature)
    if old is not None and UUID.fullmatch(old):
        return old
    text = old or unparsed([feature.get("geometry"), feature.get("properties")]).decode()
    return _uuid(text)


def next_id(used: str, times: int) -> str:
    """Return a new id for a feature whose id `used` was used `times` - 1 times before."""
    return _uuid(f"{used} {times}")


def _uuid(text: str) -> str:
    # An id may hold half of a surrogate pair, which has no bytes.
    return str(uuid.uuid5(_REPAIRED, text.encode("utf-8", "backslashreplace").decode()))
