"""The tables of a cohort, one row per slide, and its summary; each is written atomically."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from wsi_parse.cohort.outcome import Outcome
from wsi_parse.files import atomic, write_text
from wsi_parse.text import RESEARCH_ONLY

_FIRST = {
    "id": pa.string(),
    "group": pa.string(),
    "slide": pa.string(),
    "state": pa.string(),
    "tissue_mm2": pa.float64(),
    "tiles": pa.int64(),
}
_LAST = {
    "seconds": pa.float64(),
    "peak_memory_mb": pa.float64(),
    "model": pa.string(),
    "ended_utc": pa.string(),
    "error": pa.string(),
    "error_stage": pa.string(),
    "error_place": pa.string(),
}
TABLE, SUMMARY = "cohort.csv", "summary.md"


def write_tables(outcomes: Sequence[Outcome], out: Path) -> None:
    """Write cohort.csv, cohort.parquet and summary.md."""
    schema = _schema(outcomes)
    rows = [_row(outcome) for outcome in outcomes]
    table = pa.Table.from_pylist(rows, schema.with_metadata({"notice": RESEARCH_ONLY}))
    with atomic(out / "cohort.parquet") as temporary:
        pyarrow.parquet.write_table(table, temporary)
    text = io.StringIO()
    writer = csv.DictWriter(text, schema.names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.to_pylist())
    write_text(out / TABLE, text.getvalue())
    write_text(out / SUMMARY, summary(outcomes))


def _schema(outcomes: Sequence[Outcome]) -> pa.Schema:
    columns = dict(_FIRST)
    for prompt in prompts_of(outcomes):
        columns |= {f"count {prompt}": pa.int64(), f"per mm2 {prompt}": pa.float64()}
        if any(prompt in outcome.unsure for outcome in outcomes):
            columns[f"unsure {prompt}"] = pa.int64()
    return pa.schema(list((columns | _LAST).items()))


def _row(outcome: Outcome) -> dict[str, Any]:
    plain = outcome.model_dump(exclude={"counts", "per_mm2", "unsure", "limitations", "cautions"})
    for name, values in (("count", outcome.counts), ("per mm2", outcome.per_mm2), ("unsure", outcome.unsure)):
        plain |= {f"{name} {prompt}": value for prompt, value in values.items()}
    return plain


def prompts_of(outcomes: Sequence[Outcome]) -> list[str]:
    """Return all prompts that were counted, in the order of their first occurrence."""
    return list(dict.fromkeys(prompt for outcome in outcomes for prompt in outcome.counts))


def summary(outcomes: Sequence[Outcome]) -> str:
    """Write the summary of a cohort as Markdown."""
    done, failed, left = (
        [outcome for outcome in outcomes if outcome.state == state] for state in ("done", "failed", "open")
    )
    parts = [f"# Cohort of {_slides(len(outcomes))}", f"*{RESEARCH_ONLY[:1].upper()}{RESEARCH_ONLY[1:]}.*"]
    states = [f"{len(done)} done"] + [
        f"{len(some)} {name}" for some, name in ((failed, "failed"), (left, "open")) if some
    ]
    parts.append(
        f"**{', '.join(states)}.**" + (" Run the same command again to process the open slides." if left else "")
    )
    if failed:
        parts += ["## Failed", _table(("slide", "stage", "error"), [_failure(outcome) for outcome in failed])]
        parts.append("Correct the causes, then run the same command again with `--retry-failed`.")
    prompts = prompts_of(done)
    if done:
        parts += ["## Objects", _table(("group", "slides", "tissue mm²", *prompts), _groups(done, prompts))]
        parts.append("Number of objects, and density per mm² of tissue, over all slides of the group.")
        parts += dict.fromkeys(one for outcome in done for one in outcome.limitations)
        parts += ["## Cost", _cost(done)]
    return "\n\n".join(parts) + "\n"


def _failure(outcome: Outcome) -> tuple[str, ...]:
    return outcome.id, outcome.where, (outcome.error or "").replace("\n", " ")


def _groups(done: Sequence[Outcome], prompts: Sequence[str]) -> list[tuple[str, ...]]:
    names = sorted({outcome.group or "" for outcome in done})
    rows = []
    for name in [*names, None] if len(names) > 1 else [None]:
        ours = [outcome for outcome in done if name is None or (outcome.group or "") == name]
        title = "all" if name is None else name or "(none)"
        tissue = sum(outcome.tissue_mm2 or 0 for outcome in ours)
        cells = []
        for prompt in prompts:
            counted = [outcome for outcome in ours if prompt in outcome.counts]
            count, area = sum(o.counts[prompt] for o in counted), sum(o.tissue_mm2 or 0 for o in counted)
            unsure = sum(o.unsure.get(prompt, 0) for o in counted)
            inside = [f"{count / area:,.0f}/mm²"] if area else []
            inside += [f"{unsure:,} of them unsure"] if unsure else []
            cells.append(f"{count:,} ({', '.join(inside)})" if inside else f"{count:,}")
        rows.append((title, f"{len(ours):,}", f"{tissue:,.1f}", *cells))
    return rows


def _cost(done: Sequence[Outcome]) -> str:
    seconds = sorted(outcome.seconds or 0 for outcome in done)
    memory = max(outcome.peak_memory_mb or 0 for outcome in done)
    longest = max(done, key=lambda outcome: outcome.seconds or 0)
    return (
        f"The slides took {sum(seconds) / 60:,.1f} minutes in total: "
        f"{seconds[len(seconds) // 2]:,.0f} s for the median slide, "
        f"{seconds[-1]:,.0f} s for the longest ({longest.id}). Peak memory: {memory / 1000:.2f} GB. "
        f"Model: {', '.join(sorted({outcome.model or '' for outcome in done}))}."
    )


def _slides(count: int) -> str:
    return f"{count:,} slide{'' if count == 1 else 's'}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in escaped]
    return "\n".join([lines[0], f"|{' --- |' * len(head)}", *lines[1:]])
