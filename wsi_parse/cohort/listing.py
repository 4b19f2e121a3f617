"""The slides of a cohort, from folders, globs or lists; all problems are reported together before the cohort starts."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from wsi_parse.errors import UsageError, WsiParseError, did_you_mean
from wsi_parse.files import CHECK_RIGHTS
from wsi_parse.run.folders import output_folders
from wsi_parse.settings import RunSettings
from wsi_parse.slides import list_slides

#: Columns of a list; only `path` is required.
COLUMNS = ("path", "id", "mpp", "organ", "prompts", "roi", "group")
_LISTS = (".csv", ".tsv", ".parquet")
_GLOB = re.compile(r"[*?\[]")
# Such an id is a valid folder name on every system.
_ID = re.compile(r"[^./\\:*?\"<>|\x00-\x1f][^/\\:*?\"<>|\x00-\x1f]{0,119}")


class CohortSlide(BaseModel):
    """One row of a cohort.

    Parameters
    ----------
    id : str
        The name of its output folder.
    path : Path
    mpp : float, optional
        Microns per level-0 pixel, if the file has no pixel size.
    organ : str, optional
    prompts : tuple of str
        Replace those of the cohort; separated by semicolons in a list.
    roi : Path, optional
    group : str, optional
        The summary counts each group together: a patient, an arm, a centre.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    id: str
    path: Path
    mpp: float | None = Field(None, gt=0, allow_inf_nan=False)
    organ: str | None = None
    prompts: tuple[str, ...] = ()
    roi: Path | None = None
    group: str | None = None

    @field_validator("id")
    @classmethod
    def _names_a_folder(cls, value: str) -> str:
        if not _ID.fullmatch(value) or value.endswith((".", " ")):
            raise ValueError(
                "is not a valid folder name: use at most 120 letters, no slash, no colon and no leading dot"
            )
        return value

    @field_validator("prompts", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:  # noqa: ANN401 - what a list holds
        return tuple(part.strip() for part in value.split(";") if part.strip()) if isinstance(value, str) else value

    def settings(self, common: RunSettings) -> RunSettings:
        """Return the settings of the cohort with those of this row."""
        return RunSettings.model_validate(
            {
                **common.model_dump(),
                "prompts": self.prompts or common.prompts,
                "slide": common.slide.model_dump() | _given(mpp=self.mpp, roi=self.roi),
                "model": common.model.model_dump() | _given(organ=self.organ),
            }
        )


@dataclass(frozen=True)
class Problem:
    """A row that cannot be processed.

    Parameters
    ----------
    id : str
        Of the row, or its position in the list if it has none.
    error : WsiParseError
    slide : str
        Name of the file.
    group : str, optional
    """

    id: str
    error: WsiParseError
    slide: str = ""
    group: str | None = None


@dataclass
class Listing:
    """The valid rows of a cohort, and the problems of the others."""

    slides: list[CohortSlide] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def list_cohort(sources: str | Path | Sequence[str | Path], out: str | Path) -> Listing:
    """Find the slides that a user names.

    Parameters
    ----------
    sources : str, Path or several
        Folders, globs, slides, and lists (.csv, .tsv, .parquet) with the columns :data:`COLUMNS`; paths in a list
        are relative to the folder of the list.
    out : str or Path
        The output folder: its folders of slides are named when the slides are listed.

    Raises
    ------
    UsageError
        If a list cannot be read, or no slide is named.

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
    rows: list[tuple[str, dict[str, Any]]] = []
    named = [sources] if isinstance(sources, str | Path) else sources
    for source in map(str, named):
        if Path(source).suffix.lower() in _LISTS:
            rows += _rows_of_list(Path(source))
        else:
            rows += [(str(path), {"path": path}) for path in _slides_of(source)]
    if not rows:
        raise UsageError(
            "There are no slides.", "Give a folder, a pattern such as 'data/*.svs', or a list with a column 'path'."
        )
    unnamed = [values for _, values in rows if values.get("path") and not values.get("id")]
    folders = output_folders([Path(values["path"]) for values in unnamed], Path(out))
    for values, folder in zip(unnamed, folders, strict=True):
        values["id"] = folder.name
    return _checked(rows)


def _slides_of(source: str) -> list[Path]:
    path = Path(source)
    try:
        is_pattern = not path.exists() and _GLOB.search(source)
        anchor = Path(path.anchor or ".")
        inside = str(path.relative_to(path.anchor)) if path.anchor else source
        found = sorted(anchor.glob(inside)) if is_pattern else []
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror or error}.", CHECK_RIGHTS) from error
    if is_pattern:
        if not found:
            raise UsageError(f"No file matches {source}.", "Check the pattern.")
        return list_slides(found)
    return list_slides([path])


def _rows_of_list(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Read a list; return for each row its position and its values that are not empty."""
    try:
        rows = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"The list {path.name} cannot be read: {reason}.", CHECK_RIGHTS) from error
    except (UnicodeDecodeError, csv.Error, pyarrow.ArrowException) as error:
        raise UsageError(
            f"The list {path.name} cannot be read: {error}.", "Give a CSV, TSV or Parquet file."
        ) from error
    columns = list(dict.fromkeys(name for row in rows for name in row))
    unknown = [repr(name) for name in columns if name not in COLUMNS]
    if "path" not in columns or unknown:
        problem = f"has unknown columns: {', '.join(unknown)}" if unknown else "has no column 'path'"
        meant = [did_you_mean(name, COLUMNS) for name in columns if name not in COLUMNS]
        remedy = " ".join(filter(None, [*meant, f"Use these columns: {', '.join(COLUMNS)}."]))
        raise UsageError(f"The list {path.name} {problem}.", remedy)
    found = []
    for number, row in enumerate(rows, 2):
        values = {name: value for name, value in row.items() if value not in (None, "")}
        if not values:
            continue
        for name in ("path", "roi"):
            if name in values:
                values[name] = path.parent / Path(str(values[name])).expanduser()
        found.append((f"row {number} of {path.name}", values))
    return found


def _csv(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8-sig")
    head = text.partition("\n")[0]
    # In many countries spreadsheets separate fields by semicolons.
    delimiter = max("\t;,", key=head.count)
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter, restkey="")
    rows = []
    for row in reader:
        more = row.pop("", None)
        if more:
            raise csv.Error(f"row {reader.line_num} has more fields than the first line has names")
        rows.append({(name or "").strip().lower(): (value or "").strip() for name, value in row.items()})
    return rows or [dict.fromkeys((name.strip().lower() for name in head.split(delimiter)), "")]


def _parquet(path: Path) -> list[dict[str, Any]]:
    return [
        {name.lower(): value for name, value in row.items()} for row in pyarrow.parquet.read_table(path).to_pylist()
    ]


def _checked(rows: Iterable[tuple[str, dict[str, Any]]]) -> Listing:
    listing, positions = Listing(), {}
    for position, values in rows:
        name = str(values.get("id") or position)
        slide, group = Path(str(values.get("path", ""))).name, values.get("group")
        try:
            row = CohortSlide.model_validate(values)
        except ValidationError as error:
            reasons = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            problem = UsageError(f"{position[:1].upper()}{position[1:]} is invalid: {reasons}.", "Correct the list.")
            listing.problems.append(Problem(name, problem, slide, None if group is None else str(group)))
            continue
        listing.slides.append(row)
        positions[id(row)] = position
    # Two rows with the same id would write into one folder; some file systems ignore case.
    counts = Counter(row.id.lower() for row in listing.slides)
    duplicates = [row for row in listing.slides if counts[row.id.lower()] > 1]
    for row in duplicates:
        others = ", ".join(positions[id(other)] for other in duplicates if other.id.lower() == row.id.lower())
        doubled = UsageError(f"The id {row.id!r} occurs more than once: {others}.", "Give each row its own id.")
        listing.problems.append(Problem(row.id, doubled, row.path.name, row.group))
    listing.slides = [row for row in listing.slides if counts[row.id.lower()] == 1]
    return listing


def _given(**values: Any) -> dict[str, Any]:  # noqa: ANN401 - settings of any type
    return {name: value for name, value in values.items() if value is not None}
