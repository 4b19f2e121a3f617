"""GeoJSON is cut into its features while it is read, so memory holds only a piece of a file of any size.

The text is scanned for braces outside of strings by numpy; only whole features are given to a JSON parser. The text
around the features is small and becomes the collection's own members.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from wsi_parse.annotations.pieces import REPEAT, pieces
from wsi_parse.errors import UsageError

#: One feature, or what is between two, has at most so many bytes.
MAX_VALUE_BYTES = 128_000_000
# All that is not a feature, such as members beside the list of features.
_MAX_AROUND_BYTES = 64_000_000
# Shorter values in the list of features cannot be features; a file with more of them is not GeoJSON.
_MIN_FEATURE_BYTES, _MAX_EMPTY = 12, 10_000
_ROWS_AT_ONCE = 50_000
# What a small piece of text needs in memory.
_OVERHEAD_BYTES = 64
_BOM = b"\xef\xbb\xbf"
# Of UTF-16; those of UTF-32 begin with one of them, or with zeros.
_BOMS_OF_OTHERS = (b"\xff\xfe", b"\xfe\xff")
_QUOTE, _ESCAPE, _OPEN, _CLOSE, _LIST = b'"\\{}['
_FEATURES = re.compile(rb'"features"\s*:\s*\[\s*\Z')
_OWN_MEMBER = re.compile(rb'"wsi_parse"\s*:\s*')
# White space, and the separator before each value of a JSON text sequence.
_BETWEEN = b" \t\r\n\x1e"
_COLLECTION = "FeatureCollection"


def parsed(text: bytes) -> Any:  # noqa: ANN401 - parsed JSON
    """Parse JSON; if a name occurs twice, the last one counts, and bare NaN and Infinity are numbers.

    Raises
    ------
    ValueError
        The text is not JSON, or is nested too deeply.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # QuPath v0.4 writes bare NaN, which is not JSON.
        pass
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError:
        raise
    except UnicodeDecodeError:
        raise ValueError("its text is not in UTF-8, but in another encoding, such as Latin-1") from None
    except ValueError:
        # Python converts no text of thousands of digits, because that takes long.
        raise ValueError("it has a number of thousands of digits") from None


def unparsed(value: Any) -> bytes:  # noqa: ANN401 - parsed JSON
    """Write JSON without white space."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # orjson refuses integers of more than 64 bits and halves of surrogate pairs; the standard library does not.
        return json.dumps(value, separators=(",", ":")).encode()


_BETWEEN_TWO = "there is unexpected text between two features"
_REMOVE_NULL = "Remove null from the list."
_OTHER = "the list contains values that are not features"
_NULL = "the list of features contains null"
_TOO_LARGE = "it has a value that is larger than any annotation"
_NULLS = re.compile(rb"[\[,\s]*null\b")


def provenance_at_start(path: Path) -> dict[str, Any]:
    """Return the member ``wsi_parse`` if it stands near the beginning of a file, as in ours; else an empty dict."""
    try:
        head = next(pieces(path), b"")
    except UsageError:
        return {}
    own = _OWN_MEMBER.search(head)
    if own is None:
        return {}
    try:
        found, _ = json.JSONDecoder().raw_decode(head[own.end() :].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class Features:
    """The features of a file, in their order; iterate once.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    members : dict
        The members of a collection other than its features; complete when the iteration is over.
    roots : int
        How many JSON values follow one another in the file; GeoJSON has one.
    untyped : bool
        Whether a collection has no type FeatureCollection; known when the iteration is over.
    bare : bool
        Whether the feature that was yielded last is a whole JSON value, not part of a collection or list.
    several_lists : bool
        Whether a collection has more than one list of features; known when the iteration is over.
    bytes_read : int
        Bytes of the unpacked text that were read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members: dict[str, Any] = {}
        self.roots = 0
        self.untyped = False
        self.bare = False
        self.several_lists = False
        self.bytes_read = 0
        self._count = self._empty = 0
        # Braces that are open around a feature: 0 in a list, 1 in a collection, -1 before the first character.
        self._base = -1
        self._depth = 0
        self._in_string = self._escaped = False
        self._buffer = b""
        # Position in the buffer from which on the text was not handled yet.
        self._begin = 0
        self._in_features = False
        self._around: list[bytes] = []
        self._around_bytes = 0

    @property
    def in_collection(self) -> bool:
        """Whether the feature that was yielded last is in a FeatureCollection."""
        return self._base == 1 and not self.bare

    def __iter__(self) -> Iterator[bytes]:
        """Yield the text of each feature.

        Raises
        ------
        UsageError
            The file cannot be read, is empty, ends in the middle, or is not valid GeoJSON.
        """
        for piece in pieces(self.path):
            self.bytes_read += len(piece)
            yield from self._cut(piece)
            if len(self._buffer) - self._begin > MAX_VALUE_BYTES:
                raise self._invalid(_TOO_LARGE)
        self._check_end()

    def _cut(self, piece: bytes) -> Iterator[bytes]:
        old = len(self._buffer) - self._begin
        self._buffer, self._begin = self._buffer[self._begin :] + piece, 0
        if self._base < 0 and not self._start():
            return
        positions, steps = self._braces(np.frombuffer(self._buffer, np.uint8)[old:])
        depths = self._depth + np.cumsum(steps)
        self._depth = int(depths[-1]) if len(depths) else self._depth
        # Braces that are nested deeper belong to a feature.
        outer = np.flatnonzero(depths + (steps < 0) <= self._base + 1)
        for position, step, depth in _in_turn(positions[outer] + old, steps[outer], depths[outer]):
            if step > 0 and depth == self._base + 1:
                self._begin_feature(position)
            elif step < 0 and depth == self._base:
                text = self._buffer[self._begin : position + 1]
                self._begin = position + 1
                if self._in_features:
                    self._count += 1
                    self._empty += len(text) < _MIN_FEATURE_BYTES
                    if self._empty > _MAX_EMPTY:
                        raise self._invalid(_OTHER)
                    yield text
                else:
                    self._keep(text)
            elif depth == 0:
                self._keep(self._buffer[self._begin : position + 1])
                self._begin = position + 1
                yield from self._end_root()
            elif depth < 0:
                raise self._invalid("there is a closing brace without an opening one")

    def _start(self) -> bool:
        """Look at the first character; returns False if there is none yet."""
        if self._buffer.startswith(_BOMS_OF_OTHERS) or b"\0" in self._buffer[:4]:
            raise UsageError(
                f"{self.path.name} is not valid GeoJSON: its text is in UTF-16 or UTF-32, but must be in UTF-8.",
                "Save it as UTF-8.",
            )
        begin = self._buffer.removeprefix(_BOM).lstrip()
        if not begin:
            return False
        if begin[0] not in (_OPEN, _LIST):
            raise UsageError(
                f"{self.path.name} is not valid GeoJSON: it does not begin with {{ or [.", "Export it as GeoJSON."
            )
        self._base = int(begin[0] == _OPEN)
        # The buffer keeps its length, so that nothing is scanned twice.
        self._buffer = b" " * (len(self._buffer) - len(begin)) + begin
        return True

    def _braces(self, text: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return positions and steps (1, -1) of braces outside of strings, and remember how the text ends."""
        positions = np.flatnonzero((text == _QUOTE) | (text == _OPEN) | (text == _CLOSE))
        found = text[positions]
        quote = found == _QUOTE
        if self._escaped or (text == _ESCAPE).any():
            quote &= ~self._are_escaped(text, positions)
        inside = (np.cumsum(quote) + self._in_string) % 2 == 1
        if len(inside):
            self._in_string = bool(inside[-1])
        brace = ~inside & (found != _QUOTE)
        return positions[brace], np.where(found[brace] == _OPEN, 1, -1)

    def _are_escaped(self, text: NDArray[np.uint8], positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which positions follow an odd number of backslashes."""
        slash = np.flatnonzero(text == _ESCAPE)
        first = np.ones(len(slash), bool)
        first[1:] = np.diff(slash) > 1
        run = slash - slash[first][np.cumsum(first) - 1]
        odd = run % 2 == 0
        if self._escaped and len(slash) and slash[0] == 0:
            # The run of backslashes began in the previous piece.
            odd[np.cumsum(first) == 1] ^= True
        escaping = np.zeros(len(text) + 1, bool)
        escaping[slash[odd] + 1] = True
        escaping[0] |= self._escaped and not (len(slash) and slash[0] == 0)
        self._escaped = bool(escaping[-1]) if len(text) else self._escaped
        return escaping[positions]

    def _begin_feature(self, position: int) -> None:
        """Handle the text before a feature (or another value) that begins at a position of the buffer."""
        between = self._buffer[self._begin : position]
        self._begin = position
        bare = between.strip()
        if self._in_features and bare == b",":
            return
        if self._base == 0:
            if self._in_features or bare != b"[":
                raise self._invalid(_reason(bare, _BETWEEN_TWO))
            self._keep(between)
            self._in_features, self.roots = True, 1
            return
        if self._in_features and not bare.startswith(b"]"):
            raise self._invalid(_reason(bare, _BETWEEN_TWO))
        self._keep(between)
        self._in_features = bool(_FEATURES.search(between))

    def _keep(self, text: bytes) -> None:
        """Keep text that is not a feature until the value ends."""
        self._around.append(text)
        self._around_bytes += len(text) + _OVERHEAD_BYTES
        if self._around_bytes > _MAX_AROUND_BYTES:
            raise self._invalid(_TOO_LARGE)

    def _end_root(self) -> Iterator[bytes]:
        """Parse a whole JSON value without its features; if it is a feature or a geometry itself, yield it."""
        text, last = b"".join(self._around).lstrip(_BETWEEN), self._around[-1]
        self._around, self._in_features = [], False
        self.roots += 1
        try:
            root = parsed(text)
        except ValueError as error:
            raise self._invalid(_reason(last, str(error))) from error
        kind = root.get("type")
        if isinstance(root.get("features"), list) and str(kind or _COLLECTION).lower() == _COLLECTION.lower():
            self.untyped |= kind != _COLLECTION
            self.several_lists |= _lists_of(text) > 1
            if root["features"]:
                raise self._invalid(_NULL if None in root["features"] else _OTHER)
            self.members |= {name: root[name] for name in root if name not in ("type", "features")}
        elif "geometry" in root or (isinstance(kind, str) and kind != _COLLECTION):
            self._count += 1
            self.bare = True
            yield text
            self.bare = False
        elif "features" in root:
            raise UsageError(f"{self.path.name} is not valid GeoJSON: its features are not a list.", "Export it again.")
        else:
            raise UsageError(
                f"{self.path.name} is not valid GeoJSON: it has neither features nor a geometry.", "Export it again."
            )

    def _check_end(self) -> None:
        rest = self._buffer[self._begin :].strip()
        if self._base < 0:
            raise UsageError(f"{self.path.name} is empty.", REPEAT)
        if self._depth or self._in_string:
            raise self._truncated()
        if self._base == 1 and rest:
            raise self._invalid("there is more text after the end")
        if self._base == 0:
            whole = b"".join(self._around) + rest
            try:
                more = parsed(whole)
            except ValueError as error:
                raise (
                    self._invalid(_reason(rest, str(error))) if rest.endswith(b"]") else self._truncated()
                ) from error
            if more:
                raise self._invalid(_NULL if None in more else _OTHER)
            self.roots = 1

    def _truncated(self) -> UsageError:
        return UsageError(f"{self.path.name} is incomplete: it ends after {self._count:,} features.", REPEAT)

    def _invalid(self, reason: str) -> UsageError:
        return UsageError(
            f"{self.path.name} is not valid GeoJSON after {self._count:,} features: {reason}.",
            _REMOVE_NULL if reason == _NULL else REPEAT,
        )


def _in_turn(*columns: NDArray[np.int64]) -> Iterator[tuple[int, ...]]:
    """Yield the rows of columns as plain numbers, of which few are held at once."""
    for start in range(0, len(columns[0]), _ROWS_AT_ONCE):
        yield from zip(*(column[start : start + _ROWS_AT_ONCE].tolist() for column in columns), strict=True)


def _lists_of(text: bytes) -> int:
    """Return how many members of a JSON object are called features; the text was parsed before."""
    if text.count(b'"features"') < 2:
        return 1
    root: list[tuple[str, Any]] = json.loads(text, object_pairs_hook=list)
    return sum(name == "features" for name, _ in root)


def _reason(text: bytes, otherwise: str) -> str:
    """Return why text after a feature is not valid: it begins with null, or the reason `otherwise`."""
    return _NULL if _NULLS.match(text) else otherwise
