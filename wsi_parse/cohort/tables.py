"""The tables of a cohort, one row per slide, and its page; each is written atomically."""

import csv
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from wsi_parse.cohort.columns import FIRST, LAST, OF_PROMPT, prompt_names
from wsi_parse.cohort.multiqc import multiqc_json
from wsi_parse.cohort.outcome import Outcome
from wsi_parse.cohort.own_files import remove_own, replace_own
from wsi_parse.cohort.page import cohort_page
from wsi_parse.cohort.summary import prompts_of, summary
from wsi_parse.progress import report_traceback
from wsi_parse.run.folders import COHORT_FILES
from wsi_parse.text import RESEARCH_ONLY, for_csv

CSV_TABLE, PARQUET_TABLE, SUMMARY, MULTIQC, PAGE = COHORT_FILES
_MARKS = Path(".cohort") / "tables"
# What of an outcome is not a column of its own.
_NO_COLUMNS = {"counts", "per_mm2", "unsure", "staining", "limitations", "cautions", "extra"}


def write_tables(outcomes: Sequence[Outcome], out: Path, *, page: bool = False) -> list[str]:
    """Write cohort.csv, cohort.parquet, summary.md and wsi_parse_mqc.json; one that a person changed is kept aside.

    Text from outside is escaped in all but cohort.parquet, which holds it as it is.

    Parameters
    ----------
    outcomes : sequence of Outcome
    out : Path
        The folder of the cohort.
    page : bool
        Whether cohort.html is written, too: it takes longer, as each overlay is opened once.

    Returns
    -------
    list of str
        What was kept aside, in sentences.

    Raises
    ------
    OSError
        One of them cannot be written; the others are.
    """
    table = table_of(outcomes)
    contents: dict[str, Callable[[], bytes]] = {
        CSV_TABLE: lambda: _as_csv(table),
        PARQUET_TABLE: lambda: _as_parquet(table),
        SUMMARY: lambda: summary(outcomes).encode(),
        MULTIQC: lambda: multiqc_json(outcomes),
    }
    notes, failure = [], None
    if page:
        try:
            html = cohort_page(outcomes, out).encode()
            contents[PAGE] = lambda: html
        except Exception as error:  # noqa: BLE001 - the tables are written, and it is told
            report_traceback(error)
            remove_page(out)
            notes.append(f"{PAGE} could not be made ({type(error).__name__}: {error}); the tables are complete.")
    for name, content in contents.items():
        try:
            notes.append(replace_own(out / name, content(), out / _MARKS))
        except OSError as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return [note for note in notes if note]


def remove_page(out: Path) -> None:
    """Remove the page of an earlier call, which new tables would contradict; one that a person changed stays."""
    with suppress(OSError):
        remove_own(out / PAGE, out / _MARKS)


def _as_csv(table: pa.Table) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(for_csv, table.column_names))
    writer.writerows(zip(*(map(_cell, column.to_pylist()) for column in table.columns), strict=True))
    return text.getvalue().encode()


def _as_parquet(table: pa.Table) -> bytes:
    content = io.BytesIO()
    pyarrow.parquet.write_table(table, content)
    return content.getvalue()


def table_of(outcomes: Sequence[Outcome]) -> pa.Table:
    """Make the table of a cohort.

    Returns
    -------
    pyarrow.Table
        The columns of :mod:`wsi_parse.cohort.columns`; the columns of a prompt carry it as it was understood in their
        metadata. The other columns of the list come last.
    """
    names = prompt_names(prompts_of(outcomes))
    rows = [_row(outcome, names) for outcome in outcomes]
    fields = [pa.field(name, _type(kind)) for name, kind in FIRST.items()]
    for prompt, name in names.items():
        fields += [
            pa.field(f"{start}_{name}", _type(kind), metadata={"prompt": prompt})
            for start, kind in _of(prompt, outcomes)
        ]
    fields += [pa.field(name, _type(kind)) for name, kind in LAST.items()]
    for name in dict.fromkeys(name for outcome in outcomes for name in outcome.extra):
        kind = _type_of([row.get(name) for row in rows])
        fields.append(pa.field(name, kind))
        if kind == pa.string():
            for row in rows:
                row[name] = None if row.get(name) is None else str(row[name])
    return pa.Table.from_pylist(rows, pa.schema(fields, metadata={"notice": RESEARCH_ONLY}))


def _row(outcome: Outcome, names: dict[str, str]) -> dict[str, Any]:
    plain = outcome.model_dump(exclude=_NO_COLUMNS)
    plain["n_unsure"] = outcome.n_unsure
    plain["cautions"] = "; ".join(dict.fromkeys(caution["code"] for caution in outcome.cautions)) or None
    for start, values in (("count", outcome.counts), ("per_mm2", outcome.per_mm2), ("unsure", outcome.unsure)):
        plain |= {f"{start}_{names[prompt]}": value for prompt, value in values.items() if prompt in names}
    return outcome.extra | plain


def _of(prompt: str, outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    """Return the columns of a prompt; the unsure ones only where there are any."""
    has_unsure = any(prompt in outcome.unsure for outcome in outcomes)
    return [(start, kind) for start, kind in OF_PROMPT.items() if has_unsure or start != "unsure"]


def _type(name: str) -> pa.DataType:
    return pa.type_for_alias(name)


def _type_of(values: Sequence[Any]) -> pa.DataType:
    """Return the type of a column of the list: numbers stay numbers if they were numbers in the list."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int} and all(value is None or abs(value) < 2**63 for value in values):
        return pa.int64()
    return pa.float64() if kinds and kinds <= {int, float} else pa.string()


def _cell(value: Any) -> Any:  # noqa: ANN401 - a cell of any type
    return for_csv(value) if isinstance(value, str) else value
