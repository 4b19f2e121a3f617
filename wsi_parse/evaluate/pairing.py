"""Pairing: which result belongs to which image, by file names and by the slide that a result names.

The rules mirror those of `import_wsi_parse.groovy`: `export_corrections.groovy` names a file like the image in QuPath
("x.svs", "x.scn - Series 1"), and the folder of a result is named "x", or "x-svs" if names clash.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wsi_parse.annotations.stream import provenance_at_start
from wsi_parse.errors import ManifestError, UsageError
from wsi_parse.files import MANIFEST_NAME, read_manifest

# The export script replaces these characters by an underscore.
_NOT_IN_FILE_NAMES = re.compile(r'[\\/:*?"<>|]')
_ENDING = re.compile(r"(\.ome)?\.[a-z]\w{1,4}$", re.IGNORECASE)
_SERIES = (" - ", " [")
_MAX_LISTED = 6


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
    for names_of in (_names, _names_of_series, _names_without_endings):
        links = _links(left, others, names_of)
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
                    f"{key} could belong to several {what} of the {which}: {_listed(several)}.",
                    "Compare them one by one: --truth FILE --pred FOLDER.",
                )


# What a result is called, and what it looks for: they match if one is called what the other looks for.
_Names = tuple[set[str], set[str]]


def _links(
    truths: Mapping[str, ResultName], preds: Mapping[str, ResultName], names_of: Callable[[ResultName], _Names]
) -> list[tuple[ResultName, ResultName]]:
    """Return the pairs that match, in time that grows with the number of results and not with its square."""
    called: dict[str, list[str]] = {}
    looking: dict[str, list[str]] = {}
    for key, other in preds.items():
        for index, names in zip((called, looking), names_of(other), strict=True):
            for name in names:
                index.setdefault(name, []).append(key)
    links = []
    for one in truths.values():
        names, wanted = names_of(one)
        found = {key for name in wanted for key in called.get(name, ())}
        found |= {key for name in names for key in looking.get(name, ())}
        links += [(one, preds[key]) for key in sorted(found)]
    return links


def _names(one: ResultName) -> _Names:
    return one.names(), one.names()


def _names_of_series(one: ResultName) -> _Names:
    """Return names of series: x.scn - Series 1 looks for the slide x.scn."""
    series = {one.key[: found.start()] for mark in _SERIES for found in re.finditer(re.escape(mark), one.key)}
    return {one.slide} - {""}, series


def _names_without_endings(one: ResultName) -> _Names:
    """Compare without endings of slides and images; two keys keep theirs, because "a.x1" is not "a.x2"."""
    # The marks keep names of different kinds apart.
    called = {f"key {one.key}"} | ({f"slide {_bare(one.slide)}"} if one.slide else set())
    return called, {f"key {_bare(one.key)}", *(f"slide {_bare(name)}" for name in one.names())}


def _listed(names: list[str]) -> str:
    more = ", …" if len(names) > _MAX_LISTED else ""
    return ", ".join(sorted(names)[:_MAX_LISTED]) + more


def _bare(name: str) -> str:
    return _ENDING.sub("", name)


def slide_of(files: tuple[Path, ...], folder: Path | None) -> str:
    """Return the name of the slide from the manifest of a run, else from the file; "" if neither has it."""
    name = _slide_name(folder / MANIFEST_NAME) if folder is not None else ""
    return _NOT_IN_FILE_NAMES.sub("_", name or _slide_name(files[0]))


def _slide_name(path: Path) -> str:
    """Return the slide's name near the beginning of a file; errors are left to the reader of the whole file."""
    try:
        found = read_manifest(path.parent) or {} if path.name == MANIFEST_NAME else provenance_at_start(path)
        return str(found["slide"]["name"])
    except (ManifestError, KeyError, TypeError):
        return ""
