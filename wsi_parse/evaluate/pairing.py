"""Which result is of which image: by what files are called, and by the slide that a result says it was made of.

The rules are those of `import_wsi_parse.groovy`, the other way round: `export_corrections.groovy` calls a file like the
image in QuPath ("x.svs", "x.scn - Series 1"), a folder of results is called "x", or "x-svs" where names clash.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wsi_parse.annotations.stream import pieces
from wsi_parse.errors import UsageError
from wsi_parse.files import MANIFEST_NAME

# What the export script makes of them.
_NOT_IN_FILE_NAMES = re.compile(r'[\\/:*?"<>|]')
_ENDING = re.compile(r"(\.ome)?\.[a-z]\w{1,4}$", re.IGNORECASE)
_OWN_MEMBER = re.compile(rb'"wsi_parse"\s*:\s*')
_SERIES = (" - ", " [")


@dataclass(frozen=True)
class ResultName:
    """A result, or a corrected file.

    Parameters
    ----------
    key : str
        Name of the file without .geojson, or of the run folder.
    slide : str
        Name of the slide as the result says it, as it would be in the name of a file; "" where it does not.
    """

    key: str
    slide: str = ""

    def names(self) -> set[str]:
        """What it goes by."""
        return {self.key, self.slide} - {""}


def pair_results(truths: Iterable[ResultName], preds: Iterable[ResultName]) -> list[tuple[str, str]]:
    """Pair what belongs together: the closest names first.

    Parameters
    ----------
    truths, preds : iterable of ResultName
        No key twice.

    Returns
    -------
    list of (str, str)
        Keys of the truth and of the prediction, in the order of the truth.

    Raises
    ------
    UsageError
        Where one could belong to several.

    >>> truths = [ResultName("x.scn - Series 1"), ResultName("a.svs")]
    >>> pair_results(truths, [ResultName("a-svs", "a.svs"), ResultName("x", "x.scn")])
    [('x.scn - Series 1', 'x'), ('a.svs', 'a-svs')]
    """
    left, others = {one.key: one for one in truths}, {one.key: one for one in preds}
    order, found = list(left), dict[str, str]()
    for belong in (_same_name, _same_series, _same_but_endings):
        links = [(one, other) for one in left.values() for other in others.values() if belong(one, other)]
        _refuse_several(links)
        for one, other in links:
            found[one.key] = other.key
            del left[one.key], others[other.key]
    return [(key, found[key]) for key in order if key in found]


def _refuse_several(links: list[tuple[ResultName, ResultName]]) -> None:
    for turn, side, what in ((0, "prediction", "results"), (1, "truth", "corrected files")):
        groups: dict[str, list[str]] = {}
        for link in links:
            groups.setdefault(link[turn].key, []).append(link[1 - turn].key)
        for key, several in groups.items():
            if len(several) > 1:
                raise UsageError(
                    f"{key} could belong to several {what} of the {side}: {', '.join(sorted(several))}.",
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
    """Endings are taken off slides, and off keys that may be images; never off two keys: "a.x1" is not "a.x2"."""
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
    """Return the slide's name as the manifest of a run says it, else the file's own member; "" where neither does."""
    name = _told(folder / MANIFEST_NAME) if folder is not None else ""
    return _NOT_IN_FILE_NAMES.sub("_", name or _told(files[0]))


def _told(path: Path) -> str:
    """Return what a file says near its beginning; what is wrong with it, reading it says later."""
    try:
        begin = next(pieces(path), b"")
    except UsageError:
        return ""
    own = _OWN_MEMBER.search(begin)
    if path.name != MANIFEST_NAME:
        begin = begin[own.end() :] if own else b""
    try:
        return str(json.JSONDecoder().raw_decode(begin.decode("utf-8", "replace"))[0]["slide"]["name"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
