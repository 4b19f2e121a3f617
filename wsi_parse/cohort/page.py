"""cohort.html: the page of a cohort, made of its outcomes and of small pictures of the overlays; no slide is read."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from wsi_parse.cohort.cohort_slide import cut
from wsi_parse.cohort.distributions import MAX_GROUPS, group_name, grouped_measures
from wsi_parse.cohort.measures import LIMIT, Outlier, measures_of, outliers, shown_prompts, unsure_share
from wsi_parse.cohort.outcome import Outcome
from wsi_parse.cohort.summary import prompts_of
from wsi_parse.cohort.thumbnails import Thumbnail, bytes_each, thumbnail_of
from wsi_parse.gates import exists
from wsi_parse.report.page import REPORT_NAME
from wsi_parse.report.render import render
from wsi_parse.run.outputs import OVERLAY_NAME

#: Rows of the table of the page; cohort.csv has all.
MAX_ROWS = 5_000
# Of each list of failures, cautions and outliers.
_MAX_LISTED = 500
# Other columns of the list of slides that are shown.
_MAX_EXTRA = 30
_THUMBNAILS = Path(".cohort") / "thumbnails"


@dataclass(frozen=True)
class Row:
    """A slide on the page.

    Parameters
    ----------
    number : int
        Its position.
    outcome : Outcome
    report : str
        Address of its page, relative to this one; empty if it has none.
    thumbnail : Thumbnail or None
    outliers : list of Outlier
    """

    number: int
    outcome: Outcome
    report: str
    thumbnail: Thumbnail | None
    outliers: list[Outlier]

    @property
    def group(self) -> str:
        """Name of its group."""
        return group_name(self.outcome)

    @property
    def unsure_share(self) -> float | None:
        """Part of its objects whose class is unsure."""
        return unsure_share(self.outcome)

    @property
    def caution_codes(self) -> list[str]:
        """What was questioned, each once."""
        return list(dict.fromkeys(str(one["code"]) for one in self.outcome.cautions))

    @property
    def kinds(self) -> str:
        """What the page filters by."""
        flags = {self.outcome.state: True, "caution": self.outcome.cautions, "outlier": self.outliers}
        return " ".join(name for name, value in flags.items() if value)


@dataclass(frozen=True)
class CautionGroup:
    """A caution, and where it stands.

    Parameters
    ----------
    code, remedy : str
    found : list of (Row, str)
        Each slide with the sentence about it.
    """

    code: str
    remedy: str
    found: list[tuple[Row, str]]


def cohort_page(outcomes: Sequence[Outcome], out: Path) -> str:
    """Write the page of a cohort.

    Parameters
    ----------
    outcomes : sequence of Outcome
        As the tables have them.
    out : Path
        The folder of the cohort. Overlays and reports are looked for in the folders of the slides; thumbnails are kept.

    Returns
    -------
    str
        HTML.
    """
    measures = measures_of(outcomes)
    standing_out = outliers(measures)
    rows = _rows(outcomes, out, standing_out)
    extra = list(dict.fromkeys(name for outcome in outcomes for name in outcome.extra))
    prompts, groups = shown_prompts(outcomes), {group_name(outcome) for outcome in outcomes}
    return render(
        "cohort.html.j2",
        package="wsi_parse.cohort",
        script=(files("wsi_parse.cohort") / "templates" / "cohort.js").read_text(encoding="utf-8"),
        rows=rows[:MAX_ROWS],
        total=len(rows),
        states={state: sum(outcome.state == state for outcome in outcomes) for state in ("done", "failed", "open")},
        failed=[row for row in rows if row.outcome.state == "failed"],
        cautions=_cautions(rows),
        outliers=[(rows[one.index], one) for one in standing_out],
        limit=LIMIT,
        limitations=list(dict.fromkeys(text for outcome in outcomes for text in outcome.limitations)),
        listed=_MAX_LISTED,
        distributions=grouped_measures(outcomes, measures),
        groups=sorted(groups) if len(groups) > 1 else [],
        groups_left=max(0, len(groups) - MAX_GROUPS),
        prompts=prompts,
        prompts_left=len(prompts_of(outcomes)) - len(prompts),
        has_unsure=any(outcome.unsure for outcome in outcomes),
        extra=extra[:_MAX_EXTRA],
        extra_left=max(0, len(extra) - _MAX_EXTRA),
        models=sorted({outcome.model for outcome in outcomes if outcome.model}),
        cell=_cell,
    )


def _rows(outcomes: Sequence[Outcome], out: Path, standing_out: Sequence[Outlier]) -> list[Row]:
    of_index: dict[int, list[Outlier]] = defaultdict(list)
    for one in standing_out:
        of_index[one.index].append(one)
    max_bytes = bytes_each(sum(outcome.state == "done" for outcome in outcomes[:MAX_ROWS]))
    rows = []
    for number, outcome in enumerate(outcomes):
        report, thumbnail = "", None
        if outcome.state == "done":
            # An id is the name of a folder, and nothing of it is taken for an address.
            report = f"./{quote(outcome.id, safe='')}/{REPORT_NAME}" if exists(out / outcome.id / REPORT_NAME) else ""
            if max_bytes and number < MAX_ROWS:
                thumbnail = thumbnail_of(out / outcome.id / OVERLAY_NAME, out / _THUMBNAILS / outcome.id, max_bytes)
        rows.append(Row(number, outcome, report, thumbnail, of_index[number]))
    return rows


def _cautions(rows: Sequence[Row]) -> list[CautionGroup]:
    """Put the same cautions of all slides together, the most frequent first."""
    found: dict[tuple[str, str], list[tuple[Row, str]]] = defaultdict(list)
    for row in rows:
        for one in row.outcome.cautions:
            found[str(one["code"]), str(one.get("remedy") or "")].append((row, str(one["text"])))
    return [CautionGroup(*key, each) for key, each in sorted(found.items(), key=lambda item: -len(item[1]))]


def _cell(value: Any) -> str:  # noqa: ANN401 - what a list holds
    """Return a cell of the list for the page."""
    return "" if value is None else cut(str(value))
