"""The summary of a cohort, to read: what failed, what to look at, and the densities of each group, slide by slide."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from wsi_parse.cohort.outcome import Outcome
from wsi_parse.text import RESEARCH_ONLY_SENTENCE, for_markdown

# Larger numbers are written without decimals.
_LARGE = 100
# So many rows are shown of a table that has one for each slide; cohort.csv has all.
_MAX_ROWS = 200


def summary(outcomes: Sequence[Outcome]) -> str:
    """Write the summary of a cohort as Markdown."""
    done, failed, left = (
        [outcome for outcome in outcomes if outcome.state == state] for state in ("done", "failed", "open")
    )
    parts = [f"# Cohort of {_slides(len(outcomes))}", f"*{RESEARCH_ONLY_SENTENCE}*"]
    states = [f"{len(done)} done"] + [
        f"{len(some)} {name}" for some, name in ((failed, "failed"), (left, "open")) if some
    ]
    parts.append(
        f"**{', '.join(states)}.**" + (" Run the same command again to process the open slides." if left else "")
    )
    if failed:
        parts += [
            "## Failed",
            _table(("slide", "stage", "error"), [_failure(outcome) for outcome in failed], _MAX_ROWS),
        ]
        parts.append("Correct the causes, then run the same command again with `--retry-failed`.")
    cautions = [(outcome.id, one) for outcome in done for one in outcome.cautions]
    if cautions:
        counts = Counter(one["code"] for _, one in cautions)
        shown = ", ".join(f"{for_markdown(code)} ({count})" for code, count in counts.most_common())
        rows = [(for_markdown(name), for_markdown(f"{one['text']} {one['remedy']}")) for name, one in cautions]
        parts += ["## Cautions", f"Look at these slides before you use the results: {shown}."]
        parts.append(_table(("slide", "caution"), rows, _MAX_ROWS))
    if done:
        parts += ["## Objects", _objects(done), _HOW_TO_READ]
        parts += dict.fromkeys(for_markdown(one) for outcome in done for one in outcome.limitations)
        parts += ["## Cost", _cost(done)]
    return "\n\n".join(parts) + "\n"


_HOW_TO_READ = (
    "Densities are objects per mm² of tissue. They are summarised by slide: the median over the slides of a group, and "
    "in brackets the interquartile range (from three slides on) and the number of slides. Each slide counts once, "
    "however large it is."
)


def prompts_of(outcomes: Sequence[Outcome]) -> list[str]:
    """Return all prompts that were counted, in the order of their first occurrence."""
    return list(dict.fromkeys(prompt for outcome in outcomes for prompt in outcome.counts))


def _failure(outcome: Outcome) -> tuple[str, ...]:
    return for_markdown(outcome.id), for_markdown(outcome.where), for_markdown(outcome.error or "")


def _objects(done: Sequence[Outcome]) -> str:
    """Make a row for each group, and one for all slides."""
    prompts, names = prompts_of(done), sorted({outcome.group or "" for outcome in done})
    shown = map(for_markdown, prompts)
    head = ("group", "slides", "tissue mm²", *(part for prompt in shown for part in (prompt, f"{prompt} per mm²")))
    rows = []
    for name in [*names, None] if len(names) > 1 else [None]:
        ours = [outcome for outcome in done if name is None or (outcome.group or "") == name]
        title = "all" if name is None else for_markdown(name) or "(none)"
        tissue = [outcome.tissue_mm2 for outcome in ours if outcome.tissue_mm2 is not None]
        cells = [part for prompt in prompts for part in _cells(ours, prompt)]
        rows.append((title, f"{len(ours):,}", median_and_range(tissue), *cells))
    return _table(head, rows)


def _cells(ours: Sequence[Outcome], prompt: str) -> tuple[str, str]:
    """Return the objects of a prompt in a group, and their density by slide."""
    count = sum(outcome.counts.get(prompt, 0) for outcome in ours)
    unsure = sum(outcome.unsure.get(prompt, 0) for outcome in ours)
    densities = [outcome.per_mm2[prompt] for outcome in ours if prompt in outcome.per_mm2]
    return f"{count:,} ({unsure:,} of them unsure)" if unsure else f"{count:,}", median_and_range(densities)


def median_and_range(values: Sequence[float]) -> str:
    """Write the median of values, their interquartile range from three values on, and how many there are.

    >>> median_and_range([10, 20, 30, 1000]), median_and_range([10.0]), median_and_range([])
    ('25 (17.5 to 272, n = 4)', '10 (n = 1)', '')
    """
    if not values:
        return ""
    low, middle, high = map(_short, np.percentile(np.asarray(values, float), (25, 50, 75)))
    return f"{middle} ({low} to {high}, n = {len(values)})" if len(values) > 2 else f"{middle} (n = {len(values)})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= _LARGE else f"{value:.3g}"


def _cost(done: Sequence[Outcome]) -> str:
    seconds = sorted(outcome.seconds or 0 for outcome in done)
    memory = max(outcome.peak_memory_mb or 0 for outcome in done)
    longest = max(done, key=lambda outcome: outcome.seconds or 0)
    return (
        f"The slides took {sum(seconds) / 60:,.1f} minutes in total: "
        f"{seconds[len(seconds) // 2]:,.0f} s for the median slide, "
        f"{seconds[-1]:,.0f} s for the longest ({for_markdown(longest.id)}). Peak memory: {memory / 1000:.2f} GB. "
        f"Model: {for_markdown(', '.join(sorted({outcome.model or '' for outcome in done})))}."
    )


def _slides(count: int) -> str:
    return f"{count:,} slide{'' if count == 1 else 's'}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], most: int | None = None) -> str:
    """Write a table; text from outside is escaped already."""
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows[:most])]
    left = len(rows) - (most or len(rows))
    more = [f"| and {left:,} more in cohort.csv |{' |' * (len(head) - 1)}"] if left > 0 else []
    return "\n".join([lines[0], f"|{' --- |' * len(head)}", *lines[1:], *more])
