"""GeoJSON cut into its features while it is read: memory holds a piece of the file, however large that is.

The text is scanned for braces outside of strings, by numpy; only whole features are handed to a JSON parser. What is
around them is small, and kept as the collection's own members.
"""

import gzip
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from wsi_parse.errors import UsageError

_PIECE = 1 << 22
_BOM = b"\xef\xbb\xbf"
_QUOTE, _ESCAPE, _OPEN, _CLOSE, _LIST = b'"\\{}['
_FEATURES = re.compile(rb'"features"\s*:\s*\[\s*\Z')
# White space, and what stands before each value of a JSON text sequence.
_BETWEEN = b" \t\r\n\x1e"
_COLLECTION = "FeatureCollection"
_TEXTS = (".json", ".geojson")


def pieces(path: Path) -> Iterator[bytes]:
    """Read a file piece by piece, unpacked where it ends in .gz or .zip.

    Raises
    ------
    UsageError
        Where it cannot be read, or a .zip holds no GeoJSON.
    """
    try:
        with ExitStack() as stack:
            file = _opened(path, stack)
            while piece := file.read(_PIECE):
                yield piece
    except EOFError as error:
        raise UsageError(f"{path.name} ends in the middle: {error}.", _REPEAT) from error
    except IsADirectoryError as error:
        raise UsageError(f"{path.name} is a folder, and no GeoJSON.", "Name the files in it.") from error
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path.name} cannot be read: {reason}.", "It must be GeoJSON.") from error


def _opened(path: Path, stack: ExitStack) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return stack.enter_context(gzip.open(path))  # type: ignore[arg-type]
    if path.suffix.lower() != ".zip":
        return stack.enter_context(path.open("rb"))
    package = stack.enter_context(zipfile.ZipFile(path))
    names = [name for name in package.namelist() if name.lower().endswith(_TEXTS)]
    if len(names) != 1:
        raise UsageError(f"{path.name} holds {len(names)} GeoJSON files.", "Pack one, or unpack them and name each.")
    return stack.enter_context(package.open(names[0]))


def parsed(text: bytes) -> Any:  # noqa: ANN401 - parsed JSON
    """Parse JSON: of a name that comes twice the last counts; bare NaN and Infinity are numbers.

    Raises
    ------
    ValueError
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # QuPath v0.4 writes bare NaN, which is no JSON.
        pass
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def unparsed(value: Any) -> bytes:  # noqa: ANN401 - parsed JSON
    """Write JSON without white space."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # Integers of more than 64 bits, halves of surrogate pairs: `parsed` has them from the standard library.
        return json.dumps(value, separators=(",", ":")).encode()


_BETWEEN_TWO = "something stands between two features"
_LEAVE_OUT = "Leave it out."
_OTHER = "its list holds other things than features"
_NULL = "null stands among them"
_NULLS = re.compile(rb"[\[,\s]*null\b")
_REPEAT = "Was its writing or copying interrupted? Export it again."


class Features:
    """The features of a file, in its order; iterate once.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    members : dict
        What a collection says beside its features; whole when the iteration is over.
    roots : int
        How many JSON values the file holds one after the other; GeoJSON is one.
    untyped : bool
        Whether a collection does not say that it is one; known when the iteration is over.
    bare : bool
        Whether the last that was given is a whole JSON value, not one of a collection or list.
    bytes_read : int
        Of the text, unpacked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members: dict[str, Any] = {}
        self.roots = 0
        self.untyped = False
        self.bare = False
        self.bytes_read = 0
        self._count = 0
        # Braces that are open around a feature: none in a list, one in a collection, not known before the first.
        self._base = -1
        self._depth = 0
        self._in_string = self._escaped = False
        self._buffer = b""
        # Where in the buffer the text begins that is not yet handled.
        self._begin = 0
        self._in_features = False
        self._around: list[bytes] = []

    def __iter__(self) -> Iterator[bytes]:
        """Give the text of each feature.

        Raises
        ------
        UsageError
            Where the file cannot be read, is empty, ends in the middle, or is no GeoJSON.
        """
        for piece in pieces(self.path):
            self.bytes_read += len(piece)
            yield from self._cut(piece)
        yield from self._end()

    def _cut(self, piece: bytes) -> Iterator[bytes]:
        old = len(self._buffer) - self._begin
        self._buffer, self._begin = self._buffer[self._begin :] + piece, 0
        if self._base < 0 and not self._start():
            return
        places, steps = self._braces(np.frombuffer(self._buffer, np.uint8)[old:])
        depths = self._depth + np.cumsum(steps)
        self._depth = int(depths[-1]) if len(depths) else self._depth
        # Deeper braces belong to a feature.
        outer = np.flatnonzero(depths + (steps < 0) <= self._base + 1)
        for place, step, depth in zip(
            (places[outer] + old).tolist(), steps[outer].tolist(), depths[outer].tolist(), strict=True
        ):
            if step > 0 and depth == self._base + 1:
                self._enter(place)
            elif step < 0 and depth == self._base:
                text = self._buffer[self._begin : place + 1]
                self._begin = place + 1
                if self._in_features:
                    self._count += 1
                    yield text
                else:
                    self._around.append(text)
            elif depth == 0:
                self._around.append(self._buffer[self._begin : place + 1])
                self._begin = place + 1
                yield from self._root()
            elif depth < 0:
                raise self._wrong("a brace is closed that was not opened")

    def _start(self) -> bool:
        """Look at the first character; false where there is none yet."""
        begin = self._buffer.removeprefix(_BOM).lstrip()
        if not begin:
            return False
        if begin[0] not in (_OPEN, _LIST):
            raise UsageError(f"{self.path.name} is no GeoJSON.", "That begins with { or [.")
        self._base = int(begin[0] == _OPEN)
        # Its length may have changed only before any brace or quote: nothing is scanned twice.
        self._buffer = b" " * (len(self._buffer) - len(begin)) + begin
        return True

    def _braces(self, text: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return places and steps (1, -1) of braces outside of strings, and remember how the text ends."""
        places = np.flatnonzero((text == _QUOTE) | (text == _OPEN) | (text == _CLOSE))
        found = text[places]
        quote = found == _QUOTE
        if self._escaped or (text == _ESCAPE).any():
            quote &= ~self._are_escaped(text, places)
        inside = (np.cumsum(quote) + self._in_string) % 2 == 1
        if len(inside):
            self._in_string = bool(inside[-1])
        brace = ~inside & (found != _QUOTE)
        return places[brace], np.where(found[brace] == _OPEN, 1, -1)

    def _are_escaped(self, text: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which places follow an odd number of backslashes."""
        slash = np.flatnonzero(text == _ESCAPE)
        first = np.ones(len(slash), bool)
        first[1:] = np.diff(slash) > 1
        run = slash - slash[first][np.cumsum(first) - 1]
        odd = run % 2 == 0
        if self._escaped and len(slash) and slash[0] == 0:
            # The run began in the piece before.
            odd[np.cumsum(first) == 1] ^= True
        escaping = np.zeros(len(text) + 1, bool)
        escaping[slash[odd] + 1] = True
        escaping[0] |= self._escaped and not (len(slash) and slash[0] == 0)
        self._escaped = bool(escaping[-1]) if len(text) else self._escaped
        return escaping[places]

    def _enter(self, place: int) -> None:
        between = self._buffer[self._begin : place]
        self._begin = place
        bare = between.strip()
        if self._in_features and bare == b",":
            return
        if self._base == 0:
            if self._in_features or bare != b"[":
                raise self._wrong(_reason(bare, _BETWEEN_TWO))
            self._around.append(between)
            self._in_features, self.roots = True, 1
            return
        if self._in_features and not bare.startswith(b"]"):
            raise self._wrong(_reason(bare, _BETWEEN_TWO))
        self._around.append(between)
        self._in_features = bool(_FEATURES.search(between))

    def _root(self) -> Iterator[bytes]:
        """Read what is around the features; where that is a feature or a geometry itself, give it."""
        text, last = b"".join(self._around).lstrip(_BETWEEN), self._around[-1]
        self._around, self._in_features = [], False
        self.roots += 1
        try:
            root = parsed(text)
        except ValueError as error:
            raise self._wrong(_reason(last, str(error))) from error
        kind = root.get("type")
        if isinstance(root.get("features"), list) and str(kind or _COLLECTION).lower() == _COLLECTION.lower():
            self.untyped |= kind != _COLLECTION
            if root["features"]:
                raise self._wrong(_NULL if None in root["features"] else _OTHER)
            self.members = {**self.members, **{name: root[name] for name in root if name not in ("type", "features")}}
        elif "geometry" in root or (isinstance(kind, str) and kind != _COLLECTION):
            self._count += 1
            self.bare = True
            yield text
            self.bare = False
        elif "features" in root:
            raise UsageError(f"{self.path.name} is no GeoJSON: its features are no list.", "Export it again.")
        else:
            raise UsageError(f"{self.path.name} is no GeoJSON.", "It has neither features nor a geometry.")

    def _end(self) -> Iterator[bytes]:
        rest = self._buffer[self._begin :].strip()
        if self._base < 0:
            raise UsageError(f"{self.path.name} is empty.", _REPEAT)
        if self._depth or self._in_string:
            raise self._truncated()
        if self._base == 1 and rest:
            raise self._wrong("something follows its end")
        if self._base == 0:
            whole = b"".join(self._around) + rest
            try:
                more = parsed(whole)
            except ValueError as error:
                raise (self._wrong(_reason(rest, str(error))) if rest.endswith(b"]") else self._truncated()) from error
            if more:
                raise self._wrong(_NULL if None in more else _OTHER)
            self.roots = 1
        yield from ()

    def _truncated(self) -> UsageError:
        return UsageError(f"{self.path.name} ends in the middle, after {self._count:,} features.", _REPEAT)

    def _wrong(self, reason: str) -> UsageError:
        return UsageError(
            f"{self.path.name} is no GeoJSON after {self._count:,} features: {reason}.",
            _LEAVE_OUT if reason == _NULL else _REPEAT,
        )


def _reason(text: bytes, otherwise: str) -> str:
    """Say what is wrong with text that stands after a feature."""
    return _NULL if _NULLS.match(text) else otherwise
