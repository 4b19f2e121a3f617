"""read_list: the rows of a list of slides, as people have them: CSV in its many forms, TSV, plain text, Parquet."""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet

from wsi_parse.cohort.columns import LIST_COLUMNS, extra_names
from wsi_parse.errors import UsageError, closest, did_you_mean
from wsi_parse.files import CHECK_RIGHTS
from wsi_parse.gates import check_input
from wsi_parse.text import for_terminal

#: Endings of lists.
LISTS = (".csv", ".tsv", ".txt", ".parquet")
#: Endings of tables that people have, and that are no list; what to do with them.
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
_MAX_BYTES = 32_000_000
_MAX_ROWS = 200_000
# In many countries spreadsheets separate fields by semicolons.
_DELIMITERS = "\t;,|"
_SEPARATOR_LINE = re.compile(r"\s*\"?sep=(.)\"?[^\r\n]*(?:\r\n|\r|\n|\Z)", re.IGNORECASE)
# What programs write where there is nothing.
_MISSING = {"na", "n/a", "#n/a", "nan", "null", "none", "-", "--"}
# A group may have such a name.
_TEXT_COLUMNS = ("group",)
# pandas writes its index without a name, and reads it so.
_INDEX = re.compile(r"|unnamed: \d+|__index_level_\d+__", re.IGNORECASE)
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Rows of Parquet that are read at a time.
_BATCH_ROWS = 32
# A name of ours of so many letters is too short to tell a slip from another word.
_SHORT = 4
# Bytes by which an encoding without a mark is recognised.
_LOOKED_AT = 200
_SAVE_AS = "Save it as CSV (in a spreadsheet: Save as, CSV UTF-8), and give that file."


@dataclass(frozen=True)
class ListRow:
    """One row of a list.

    Parameters
    ----------
    position : str
        For messages: "line 4 of slides.csv".
    values : dict
        Of the columns that mean something, where they are not missing.
    extra : dict
        Of all other columns, by their names in the table of the cohort.
    problem : str
        Why the row cannot be read, as a part of a sentence; empty if it can.
    """

    position: str
    values: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class _Table:
    """A table as it stands in its file.

    Parameters
    ----------
    columns : list of str
    rows : iterator of (position, cells or problem)
    note : str
    """

    columns: list[str]
    rows: Iterator[tuple[str, Sequence[Any] | str]]
    note: str = ""


def read_list(path: Path) -> tuple[list[ListRow], list[str]]:
    """Read a list of slides.

    Parameters
    ----------
    path : Path

    Returns
    -------
    rows : list of ListRow
        Without empty ones.
    notes : list of str
        What the user should know of the reading: the encoding, columns that are not used.

    Raises
    ------
    UsageError
        The file cannot be read, has no column `path`, or has no row.
    """
    check_input(path, "a list of slides", max_bytes=_MAX_BYTES)
    try:
        table = _parquet(path) if path.suffix.lower() == ".parquet" else _text(path)
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror or error}.", CHECK_RIGHTS) from error
    except csv.Error as error:
        raise UsageError(f"The first line of {path.name} {_csv_problem(error)}.", _SAVE_AS) from error
    except pyarrow.ArrowException as error:
        raise UsageError(f"{path.name} cannot be read: {for_terminal(error)[:300]}.", _SAVE_AS) from error
    names = _names(path, table.columns)
    rows: list[ListRow] = []
    for position, cells in table.rows:
        if (row := _row(position, cells, names)) is not None:
            rows.append(row)
        if len(rows) > _MAX_ROWS:
            raise UsageError(f"{path.name} has more than {_MAX_ROWS:,} rows.", "Divide it into several lists.")
    if not rows:
        raise UsageError(f"{path.name} has no rows.", "Add a row for each slide.")
    return rows, [table.note] * bool(table.note) + _column_notes(path, table.columns, names)


def _names(path: Path, columns: Sequence[str]) -> list[str | None]:
    """Return what each column means: a name of ours as such, another one as in the table, None for no name."""
    ours = [column.lower() for column in columns if column.lower() in LIST_COLUMNS]
    if twice := next((name for name in ours if ours.count(name) > 1), None):
        raise UsageError(f"{path.name} has the column {twice!r} twice.", "Give each column its own name.")
    if "path" not in ours:
        meant = closest("path", columns)
        shown = ", ".join(for_terminal(column)[:40] for column in columns[:12] if column)
        raise UsageError(
            f"{path.name} has no column 'path'; its first line is: {shown}.",
            "Write the names of the columns into the first line, separated by commas, semicolons or tabs; the one with "
            f"the slides is called path.{f' Is it {for_terminal(meant)!r}?' if meant else ''}",
        )
    others = [column for column in columns if column.lower() not in LIST_COLUMNS and not _INDEX.fullmatch(column)]
    extra = iter(extra_names(others))
    return [
        column.lower() if column.lower() in LIST_COLUMNS else None if _INDEX.fullmatch(column) else next(extra)
        for column in columns
    ]


def _column_notes(path: Path, columns: Sequence[str], names: Sequence[str | None]) -> list[str]:
    """Say which columns may be mistyped, and which have another name in the table.

    Raises
    ------
    UsageError
        A name is that of a column that means something, but for a slip of the pen.
    """
    notes = []
    unused = [name for name in LIST_COLUMNS if name not in names]
    slips = [column for column, name in zip(columns, names, strict=True) if name and _is_slip(column, unused)]
    if slips:
        raise UsageError(
            f"{path.name} has unknown columns: {', '.join(map(repr, map(for_terminal, slips)))}.",
            f"{' '.join(did_you_mean(column, unused) for column in slips)} Correct the name; a column that is only to "
            "be copied needs a name that is less similar.",
        )
    for column, name in zip(columns, names, strict=True):
        if name is None or name in LIST_COLUMNS:
            continue
        if meant := did_you_mean(column, unused):
            notes.append(
                f"The column {for_terminal(column)!r} of {path.name} changes nothing, and is copied to the table. "
                f"{meant}"
            )
        if name != column:
            notes.append(
                f"The column {for_terminal(column)!r} of {path.name} is called {for_terminal(name)!r} in the table, "
                "which has a column of that name."
            )
    return notes


def _is_slip(column: str, unused: Sequence[str]) -> bool:
    """Return whether a name can hardly mean anything but one of ours; short names resemble many words."""
    meant = closest(column, unused)
    if meant is None or column.lower() in LIST_COLUMNS:
        return False
    is_plural = column.lower() in (f"{meant}s", meant.removesuffix("s"))
    return is_plural or (len(meant) > _SHORT and abs(len(meant) - len(column)) <= 1)


def _row(position: str, cells: Sequence[Any] | str, names: Sequence[str | None]) -> ListRow | None:
    """Sort the cells of a row; None if all are empty."""
    if isinstance(cells, str):
        return ListRow(position, problem=cells)
    cells = [cell.strip() if isinstance(cell, str) else cell for cell in cells]
    more = [cell for cell in cells[len(names) :] if cell not in (None, "")]
    if all(cell in (None, "") for cell in cells):
        return None
    if more:
        problem = f"has {len(cells)} fields, but the first line names {len(names)}: a value that contains the "
        return ListRow(position, problem=problem + "separator must stand in quotes")
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=False):
        if name in LIST_COLUMNS:
            if not _is_missing(name, cell):
                # Where one is missing, pandas makes 7.0 of 7.
                is_whole = isinstance(cell, float) and cell.is_integer()
                values[name] = int(cell) if is_whole and name != "mpp" else cell
        elif name is not None:
            is_plain = isinstance(cell, str | bool | int | float)
            extra[name] = None if cell in (None, "") else cell if is_plain else str(cell)
    return ListRow(position, values, extra)


def _is_missing(name: str, cell: object) -> bool:
    if isinstance(cell, float) and cell != cell:
        return True
    return cell is None or cell == "" or (name not in _TEXT_COLUMNS and str(cell).lower() in _MISSING)


def _text(path: Path) -> _Table:
    data = path.read_bytes()
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise UsageError(f"{path.name} is the file of a spreadsheet program, whatever its name ends in.", _SAVE_AS)
    text, encoding = decode(data)
    # Files that were put together have a mark each.
    text, note = text.lstrip("\ufeff"), ""
    if encoding in ("cp1252", "latin-1"):
        note = f"{path.name} is not UTF-8; it was read as Windows-1252. If letters look wrong, save it as CSV UTF-8."
    elif not encoding.startswith("utf-8"):
        note = f"{path.name} was read as {encoding.upper()}."
    if not text.strip():
        raise UsageError(f"{path.name} is empty.", "Write a line with names of columns, and a row for each slide.")
    lines_before, delimiter = 0, ""
    if separator := _SEPARATOR_LINE.match(text):
        text, delimiter, lines_before = text[separator.end() :], separator[1], 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or _delimiter(text), strict=True)
    columns = next((cells for cells in reader if any(cell.strip() for cell in cells)), [])
    while columns and not columns[-1].strip():
        columns.pop()
    return _Table([column.strip() for column in columns], _csv_rows(path.name, reader, lines_before), note)


def decode(data: bytes) -> tuple[str, str]:
    """Decode a text file whose encoding nobody tells.

    Returns
    -------
    text : str
    encoding : str
        A name of Python: by the mark at the beginning, else UTF-8, else (every second byte is 0) UTF-16, else
        Windows-1252.

    >>> decode("Größe".encode("cp1252")), decode("path".encode("utf-16-le"))
    (('Größe', 'cp1252'), ('path', 'utf-16-le'))
    """
    marked = next((name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), None)
    if marked:
        return data.decode(marked, "replace"), marked
    even, odd = data[:_LOOKED_AT:2].count(0), data[1:_LOOKED_AT:2].count(0)
    is_wide = even + odd > len(data[:_LOOKED_AT]) // 4
    guesses = ["utf-16-le" if odd > even else "utf-16-be"] if is_wide else []
    for encoding in (*guesses, "utf-8", "cp1252"):
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1"), "latin-1"


def _delimiter(text: str) -> str:
    """Return the separator that finds the column of the slides in the first line, and the most columns."""

    def found(delimiter: str) -> tuple[bool, int]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        names = [cell.strip().lower() for cell in next((cells for cells in reader if any(cells)), [])]
        return "path" in names, len(names)

    return max(_DELIMITERS, key=found)


def _csv_rows(name: str, reader: Any, lines_before: int) -> Iterator[tuple[str, Sequence[Any] | str]]:  # noqa: ANN401
    """Yield rows with the line that each begins in; a row that is not CSV is a problem, not the end."""
    while True:
        position = f"line {reader.line_num + 1 + lines_before} of {name}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield position, _csv_problem(error)
        else:
            yield position, cells


def _csv_problem(error: csv.Error) -> str:
    """Say what is wrong with a line, as the end of a sentence."""
    if "unexpected end" in str(error):
        return "opens a quote that is never closed, so that nothing after it could be read"
    if "expected after" in str(error):
        return "closes a quote within a field"
    return f"is not valid CSV ({error})"


def _parquet(path: Path) -> _Table:
    file = pyarrow.parquet.ParquetFile(path)
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    size = sum(group.column(number).total_uncompressed_size for group in groups for number in range(group.num_columns))
    if size > _MAX_BYTES:
        raise UsageError(f"{path.name} is too large for a list of slides.", "Divide it into several lists.")
    return _Table([str(name).strip() for name in file.schema_arrow.names], _parquet_rows(path.name, file))


def _parquet_rows(name: str, file: Any) -> Iterator[tuple[str, Sequence[Any] | str]]:  # noqa: ANN401 - ParquetFile
    """Yield rows a few at a time: one long text that is stored once may stand in all of them."""
    number = 0
    for batch in file.iter_batches(_BATCH_ROWS):
        for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            number += 1
            is_long = any(isinstance(cell, str) and len(cell) > csv.field_size_limit() for cell in cells)
            yield f"row {number} of {name}", "has a field that is too long" if is_long else list(cells)
