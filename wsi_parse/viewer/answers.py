"""Answers: how numbers of an address are read, and how bytes and JSON are sent."""

import gzip
import hashlib
import math
import re
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_WHOLE = re.compile(r"-?[0-9]{1,7}")
#: No coordinate of a slide is larger.
_MOST_PX = 1e9
_GZIP_LEVEL = 1


def whole(request: Request, name: str) -> int:
    """Return a whole number of the address; anything else is not found."""
    text = str(request.path_params[name])
    if not _WHOLE.fullmatch(text):
        raise HTTPException(404)
    return int(text)


def numbers_in(request: Request, *names: str) -> list[float]:
    """Return finite numbers of the query; anything else is refused."""
    found = []
    for name in names:
        try:
            value = float(request.query_params.getlist(name)[-1])
        except (IndexError, ValueError):
            value = math.nan
        if not abs(value) <= _MOST_PX:
            raise HTTPException(400, f"{name} must be a number of level-0 pixels.")
        found.append(value)
    return found


def json_answer(value: Any, status: int = 200) -> Response:  # noqa: ANN401 - anything that JSON can hold
    """Send JSON, which is never kept by the browser."""
    return Response(orjson.dumps(value), status, media_type="application/json")


def tag_of(*parts: object) -> str:
    """Return the ETag of what is made of some parts."""
    return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:24]}"'


def is_current(request: Request, tag: str) -> bool:
    """Return whether the browser has what it asks for."""
    return tag in [each.strip() for each in request.headers.get("if-none-match", "").split(",")]


def unchanged(tag: str) -> Response:
    """Say that what the browser has is current."""
    return Response(status_code=304, headers=_kept(tag))


def binary(content: bytes | None, tag: str, *, media_type: str = "application/octet-stream") -> Response:
    """Send bytes that the browser may keep; 204 for None: there is nothing."""
    if content is None:
        return Response(status_code=204, headers=_kept(tag))
    return Response(content, headers=_kept(tag), media_type=media_type)


def packed(content: bytes | None, tag: str) -> Response:
    """Send bytes that are mostly zero."""
    answer = binary(None if content is None else gzip.compress(content, _GZIP_LEVEL), tag)
    if content is not None:
        answer.headers["Content-Encoding"] = "gzip"
    return answer


def _kept(tag: str) -> dict[str, str]:
    # The browser asks each time whether what it has is current: a slide may be run again while it looks on.
    return {"ETag": tag, "Cache-Control": "private, no-cache"}
