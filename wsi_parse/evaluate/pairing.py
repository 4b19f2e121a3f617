"""Pairing: which result belongs to which image, by file names and by the slide that a result names.

The rules mirror those of `import_wsi_parse.groovy`: `export_corrections.groovy` names a file like the image in QuPath
("x.svs", "x.scn - Series 1"), and the folder of a result is named "x", or "x-svs" if names clash.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wsi_parse.annotations.pieces import pieces
from wsi_parse.errors import UsageError
from wsi_parse.files import MANIFEST_NAME

# The export script replaces these characters by an underscore.
_NOT_IN_FILE_NAMES = re.compile(r'[\\/:*?"<>|]')
_ENDING = re.compile(r"(\.ome)?\.[a-z]\w{1,4}$", re.IGNORECASE)
_OWN_MEMBER = re.compile(rb'"wsi_parse"\s*:\s*')
_SERIES = (" - ", " [")


@dataclass(frozen=True)
class ResultName:
    """The names of a result, or of a corrected file.

    Parameters
    ----------
    key : str
        Name of the file without .geojson, or of the run folder.
    slide : str
        Name of the slide that the result names, in the form of a file name; "" if it names none.
    """

    key: str
    slide: str = ""

    def names(self) -> set[str]:
        """Return the names it may be found by."""
        return {self.key, self.slide} - {""}


def pair_results(truths: Iterable[ResultName], preds: Iterable[ResultName]) -> list[tuple[str, str]]:
    """Pair results with files, the closest names first.

    Parameters
    ----------
    truths, preds : iterable of ResultName
        No key occurs twice.

    Returns
    -------
    list of (str, str)
        Keys of the truth and of the prediction, in the order of the truth.

    Raises
    ------
    UsageError
        If one could belong to several others.

    >>> truths = [ResultName("x.scn - Series 1"), ResultName("a.svs")]
    >>> pair_results(truths, [ResultName("a-svs", "a.svs"), ResultName("x", "x.scn")])
    [('x.scn - Series 1', 'x'), ('a.svs', 'a-svs')]
    """
    left, others = {one.key: one for one in truths}, {one.key: one for one in preds}
    order, found = list(left), dict[str, str]()
    for matches in (_same_name, _same_series, _same_but_endings):
        links = [(one, other) for one in left.values() for other in others.values() if matches(one, other)]
        _refuse_several(links)
        for one, other in links:
            found[one.key] = other.key
            del left[one.key], others[other.key]
    return [(key, found[key]) for key in order if key in found]


def _refuse_several(links: list[tuple[ResultName, ResultName]]) -> None:
    for turn, which, what in ((0, "prediction", "results"), (1, "truth", "corrected files")):
        groups: dict[str, list[str]] = {}
        for link in links:
            groups.setdefault(link[turn].key, []).append(link[1 - turn].key)
        for key, several in groups.items():
            if len(several) > 1:
                raise UsageError(
                    f"{key} could belong to several {what} of the {which}: {', '.join(sorted(several))}.",
                    "Compare them one by one: --truth FILE --pred FOLDER.",
                )


def _same_name(one: ResultName, other: ResultName) -> bool:
    return bool(one.names() & other.names())


def _same_series(one: ResultName, other: ResultName) -> bool:
    return any(
        first.key.startswith(tuple(second.slide + mark for mark in _SERIES))
        for first, second in ((one, other), (other, one))
        if second.slide
    )


def _same_but_endings(one: ResultName, other: ResultName) -> bool:
    """Compare without endings of slides and images; two keys keep theirs, because "a.x1" is not "a.x2"."""
    if _bare(one.key) == other.key or one.key == _bare(other.key):
        return True
    return any(
        _bare(second.slide) in map(_bare, first.names())
        for first, second in ((one, other), (other, one))
        if second.slide
    )


def _bare(name: str) -> str:
    return _ENDING.sub("", name)


def slide_of(files: tuple[Path, ...], folder: Path | None) -> str:
    """Return the name of the slide from the manifest of a run, else from the file; "" if neither has it."""
    name = _slide_name(folder / MANIFEST_NAME) if folder is not None else ""
    return _NOT_IN_FILE_NAMES.sub("_", name or _slide_name(files[0]))


def _slide_name(path: Path) -> str:
    """Return the slide's name near the beginning of a file; errors are left to the reader of the whole file."""
    try:
        head = next(pieces(path), b"")
    except UsageError:
        return ""
    own = _OWN_MEMBER.search(head)
    if path.name != MANIFEST_NAME:
        head = head[own.end() :] if own else b""
    try:
        return str(json.JSONDecoder().raw_decode(head.decode("utf-8", "replace"))[0]["slide"]["name"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
