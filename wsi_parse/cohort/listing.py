"""The slides of a cohort, from folders, globs or lists; all problems are reported together before the cohort starts."""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from wsi_parse.cohort.cohort_slide import CohortSlide, Problem, cut, reasons
from wsi_parse.cohort.list_file import LISTS, SPREADSHEETS, read_list
from wsi_parse.cohort.paths import check_local, find_path, find_slide
from wsi_parse.errors import UsageError, WsiParseError
from wsi_parse.files import CHECK_RIGHTS
from wsi_parse.gates import check_input, check_outputs, exists
from wsi_parse.run.folders import COHORT_FILES, check_outside, output_folders
from wsi_parse.slides import list_slides
from wsi_parse.text import for_terminal

_GLOB = re.compile(r"[*?\[]")
# So many rows are named in messages.
_MAX_SHOWN = 5
# Of a name that is no name of a file, so many letters are kept.
_MAX_NAME = 255
# Between the folders of a path, also of one that is not of this system.
_PARTS = re.compile(r"[/\\]")


@dataclass
class Listing:
    """The valid rows of a cohort, the problems of the others, and what the user should know of the reading."""

    slides: list[CohortSlide] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Row:
    """A row on its way: where it stands, its values, and why it cannot be processed."""

    position: str
    values: dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)
    problem: WsiParseError | None = None
    # As they stand in the list.
    paths: tuple[str, ...] = ()

    @property
    def content(self) -> str:
        """All that the row says, to compare it with others."""
        path = str(Path(self.values["path"]).absolute()) if "path" in self.values else ""
        return json.dumps([self.values | {"path": path}, self.extra], sort_keys=True, default=str)

    def named(self) -> str:
        """Return the id of the row, or where it stands."""
        return cut(str(self.values.get("id") or self.position))


def list_cohort(sources: str | Path | Sequence[str | Path], out: str | Path) -> Listing:
    """Find the slides that a user names.

    Parameters
    ----------
    sources : str, Path or several
        Folders, globs, slides, and lists (.csv, .tsv, .txt, .parquet) with the columns
        :data:`wsi_parse.cohort.columns.LIST_COLUMNS`; paths in a list are relative to the folder of the list. Other
        columns travel to the table of the cohort.
    out : str or Path
        The output folder: its folders of slides are named when the slides are listed.

    Returns
    -------
    Listing
        A row that cannot be processed is a problem of its own and does not end the cohort. A row that stands twice is
        taken once.

    Raises
    ------
    UsageError
        If a list cannot be read at all, no slide is named, or the tables would be written into the folder of a slide.

    Examples
    --------
    >>> import os
    >>> from tempfile import TemporaryDirectory
    >>> from wsi_parse.synthetic import SyntheticSlide, write_svs_like
    >>> with TemporaryDirectory() as folder:
    ...     write_svs_like(Path(folder, "a.svs"), SyntheticSlide(700, 600, seed=3))
    ...     _ = Path(folder, "slides.csv").write_text(f"id,path,prompts{os.linesep}first,a.svs,nuclei")
    ...     listing = list_cohort(f"{folder}/slides.csv", f"{folder}/out")
    >>> [(row.id, row.path.name, row.prompts) for row in listing.slides]
    [('first', 'a.svs', ('nuclei',))]
    """
    listing, rows, named = Listing(), [], []
    for source in map(str, [sources] if isinstance(sources, str | Path) else sources):
        if Path(source).suffix.lower() in LISTS and not (exists(source) and Path(source).is_dir()):
            _check_tables(Path(source), Path(out))
            found, notes = _rows_of_list(Path(source))
            listing.notes += notes
            rows += found
        else:
            named += _paths_of(source)
    rows += _rows_of_paths(named, alone=not rows)
    if not rows:
        raise UsageError(
            "There are no slides.", "Give a folder, a pattern such as 'data/*.svs', or a list with a column 'path'."
        )
    rows = _once(rows, listing)
    for row in rows:
        if row.problem is None:
            check_outside(Path(out), Path(row.values["path"]))
    _name_rows([row for row in rows if row.problem is None], Path(out))
    _check_rows(rows, listing, Path(out))
    _separate_equal_ids(rows, listing)
    return listing


def _check_tables(path: Path, out: Path) -> None:
    """Refuse a list that stands where a table of the cohort will be written."""
    check_outputs(
        {f"The table {name} of the cohort": out / name for name in COHORT_FILES}, {f"the list {path.name}": path}
    )


def _paths_of(source: str) -> list[Path]:
    """Return what a user names on the command line: a path, or all that match a pattern."""
    check_local(source)
    path = Path(source)
    if path.suffix.lower() in SPREADSHEETS:
        raise UsageError(
            f"{path.name} is the file of a spreadsheet program, not a list that can be read.",
            "Save the sheet as CSV (Save as, CSV UTF-8), and give that file.",
        )
    if exists(path) or not _GLOB.search(source):
        return [path]
    anchor = Path(path.anchor or ".")
    try:
        found = sorted(anchor.glob(str(path.relative_to(path.anchor)) if path.anchor else source))
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror or error}.", CHECK_RIGHTS) from error
    except (ValueError, NotImplementedError, IndexError) as error:
        raise UsageError(f"{source} is not a pattern: {error}.", "Write it as 'data/*.svs', in quotes.") from error
    if not found:
        # A folder that may not be read matches nothing, too.
        fixed = next(folder for folder in path.parents if not _GLOB.search(str(folder)))
        check_input(fixed, "a folder", folder=True)
        raise UsageError(f"No file matches {source}.", "Check the pattern.")
    return found


def _rows_of_paths(paths: list[Path], *, alone: bool) -> list[_Row]:
    """Find the slides at paths; one that leads to none is a problem, unless it is all that there is."""
    problems: list[_Row] = []
    try:
        slides = list_slides(paths)
    except WsiParseError as first:
        good = []
        for path in paths:
            try:
                list_slides([path])
            except WsiParseError as error:
                problems.append(_Row(str(path), {"path": path}, problem=error))
            else:
                good.append(path)
        if alone and not good:
            raise first
        slides = list_slides(good)
    return [*(_Row(str(path), {"path": path}) for path in slides), *problems]


def _rows_of_list(path: Path) -> tuple[list[_Row], list[str]]:
    """Read a list; paths become those of this machine."""
    found, notes = read_list(path)
    rows = []
    for row in found:
        named = [str(row.values[name]) for name in ("path", "roi") if name in row.values]
        paths = (*named, *(str(path.parent / text) for text in named))
        one = _Row(row.position, dict(row.values), row.extra, paths=paths)
        rows.append(one)
        try:
            if row.problem:
                raise UsageError(f"{_at_start(row.position)} {row.problem}.", "Correct the list.")
            if "path" not in one.values:
                raise UsageError(f"{_at_start(row.position)} names no slide.", "Fill in the column path.")
            one.values["path"] = find_slide(str(one.values["path"]), path.parent)
            if "roi" in one.values:
                one.values["roi"] = find_path(str(one.values["roi"]), path.parent)
        except UsageError as error:
            if not error.message.startswith(_at_start(row.position)):
                error = UsageError(f"{_at_start(row.position)}: {error.message}", error.remedy)
            one.problem = error
    return rows, notes


def _once(rows: list[_Row], listing: Listing) -> list[_Row]:
    """Take rows that say the same once."""
    first: dict[str, _Row] = {}
    notes = []
    for row in rows:
        earlier = first.setdefault(row.content if row.values else row.position, row)
        if earlier is not row:
            notes.append(f"{_at_start(row.position)} says the same as {for_terminal(earlier.position)}")
    listing.notes += [f"{note}; it is taken once." for note in notes[:_MAX_SHOWN]]
    if len(notes) > _MAX_SHOWN:
        listing.notes.append(f"{len(notes) - _MAX_SHOWN:,} more rows say the same as others; they are taken once, too.")
    return list(first.values())


def _name_rows(rows: list[_Row], out: Path) -> None:
    """Name the rows without an id after their slides; a slide with several rows gets a name for each."""
    unnamed = [row for row in rows if not row.values.get("id")]
    folders = output_folders([Path(row.values["path"]) for row in unnamed], out)
    counts = Counter(folder.name.casefold() for folder in folders)
    for row, folder in zip(unnamed, folders, strict=True):
        # Of the content, so that the order of the rows does not matter.
        content = hashlib.sha256(row.content.encode("utf-8", "replace")).hexdigest()[:6]
        is_shared = counts[folder.name.casefold()] > 1
        row.values["id"] = f"{folder.name}-{content}" if is_shared else folder.name


def _check_rows(rows: list[_Row], listing: Listing, out: Path) -> None:
    for row in rows:
        slide, group = str(row.values.get("path", "")), row.values.get("group")
        try:
            if row.problem is not None:
                raise row.problem
            valid = CohortSlide(**row.values, extra=row.extra)
            check_outside(out / valid.id, valid.path)
        except (ValidationError, WsiParseError) as error:
            if isinstance(error, ValidationError):
                error = UsageError(f"{_at_start(row.position)} is not valid: {reasons(error)}.", "Correct the list.")
            group, name = None if group is None else str(group), _PARTS.split(slide)[-1][:_MAX_NAME]
            paths = (*row.paths, *(str(row.values[key]) for key in ("path", "roi") if key in row.values))
            listing.problems.append(Problem(row.named(), error, name, group, row.extra, paths))
        else:
            listing.slides.append(valid)


def _separate_equal_ids(rows: list[_Row], listing: Listing) -> None:
    """Move rows with one id to the problems: they would write into one folder."""
    counts = Counter(map(_same, (row.id for row in listing.slides)))
    positions: dict[str, list[str]] = {}
    for row in rows:
        positions.setdefault(_same(row.named()), []).append(row.position)
    for slide in listing.slides:
        if counts[_same(slide.id)] > 1:
            found = positions[_same(slide.id)]
            more = f" and {len(found) - _MAX_SHOWN:,} more" if len(found) > _MAX_SHOWN else ""
            others = f"{', '.join(found[:_MAX_SHOWN])}{more}"
            error = UsageError(f"The id {slide.id!r} occurs more than once: {others}.", "Give each row its own id.")
            listing.problems.append(Problem.of(slide, error))
    listing.slides = [row for row in listing.slides if counts[_same(row.id)] == 1]


def _same(name: str) -> str:
    """Return a name so that it equals those that some file systems take for the same."""
    return unicodedata.normalize("NFC", name).casefold()


def _at_start(position: str) -> str:
    """Begin a sentence with a position; a path keeps its letters."""
    shown = for_terminal(position)
    return f"{shown[:1].upper()}{shown[1:]}" if shown.startswith(("line ", "row ")) else shown
