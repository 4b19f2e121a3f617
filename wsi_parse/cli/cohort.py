"""The cohort command: problems first, a line a slide as it ends, where the summary is."""

import json
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from wsi_parse.cli.screen import Bars
from wsi_parse.cli.show import duration
from wsi_parse.cohort import Choice, Listing, Outcome, list_cohort, run_cohort, selected_rows, with_model
from wsi_parse.errors import WsiParseError
from wsi_parse.notice import RESEARCH_ONLY
from wsi_parse.run.estimate import estimate_cost
from wsi_parse.run.prepared import resolve_run
from wsi_parse.settings import RunSettings


def do_cohort(
    sources: list[str], out: Path, settings: RunSettings, choice: Choice, *, dry_run: bool, as_json: bool
) -> int:
    """Do a cohort, or say what it would be.

    Returns
    -------
    int
        Exit code: 0 every slide that was selected_rows is done, 1 one failed.
    """
    console = Console(stderr=True, quiet=as_json)
    listing = list_cohort(sources, out)
    if dry_run:
        return _plan(listing, settings, choice, console, as_json=as_json)
    try:
        with CohortScreen(console) as screen:
            outcomes = run_cohort(listing, out, settings, screen, choice)
    except KeyboardInterrupt:
        console.print("\nInterrupted. What is done is kept: the same command goes on from there.", highlight=False)
        raise typer.Exit(130) from None
    if as_json:
        for outcome in outcomes:
            typer.echo(outcome.model_dump_json())
    counts = {state: sum(outcome.state == state for outcome in outcomes) for state in ("done", "failed", "open")}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    console.print(f"{told} → {out / 'summary.md'}  ({RESEARCH_ONLY})", highlight=False, soft_wrap=True)
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    return 1 if any(not choice.only or outcome.id in choice.only for outcome in failed) else 0


class CohortScreen(Bars):
    """A bar of slides and a bar of tiles on the terminal's error stream; a context manager."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._slides = self._bars.add_task("slides", total=None, visible=False)
        self._tiles = self._bars.add_task("tiles", total=0, visible=False)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(text, highlight=False, markup=False)

    def checked(self, todo: int, problems: list[Outcome]) -> None:
        """Print all problems together."""
        for problem in problems:
            self._failed(problem)
        if problems:
            self.note(f"{len(problems)} cannot be done, {todo} can: going on with those.")
        self._bars.update(self._slides, total=todo, visible=True)

    def tiles(self, count: int, *, found: bool) -> None:
        """Move the bar of tiles."""
        if found:
            task = self._bars.tasks[self._tiles]
            self._bars.update(self._tiles, total=(task.total or 0) + count, visible=True)
        else:
            self._bars.advance(self._tiles, count)

    def ended(self, outcome: Outcome) -> None:
        """Print a line of a slide."""
        self._bars.advance(self._slides)
        if outcome.state == "failed":
            self._failed(outcome)
            return
        counts = ", ".join(f"{count:,} {prompt}" for prompt, count in outcome.counts.items())
        self._console.print(
            f"[green]done[/green]   {escape(outcome.id)}: {counts} · {duration(outcome.seconds or 0)}", highlight=False
        )

    def _failed(self, outcome: Outcome) -> None:
        self._console.print(
            f"[red]failed[/red] {escape(outcome.id)} ({outcome.where}): {escape(outcome.error or '')}",
            highlight=False,
            soft_wrap=True,
        )


def _plan(listing: Listing, settings: RunSettings, choice: Choice, console: Console, *, as_json: bool) -> int:
    """Say what each slide would cost, and all of them."""
    screen = CohortScreen(console)
    listing, decided = with_model(listing, settings, screen.note, require_weights=False)
    problems = [Outcome.of_problem(problem) for problem in listing.problems]
    rows = selected_rows(listing, choice)[: choice.limit]
    tiles, seconds, disk = 0, 0.0, 0.0
    for row in rows:
        try:
            prepared = resolve_run(row.path, row.settings(decided), require_weights=False)
            with prepared.slide:
                figures = estimate_cost(prepared, prepared.passes(prepared.tissue()))
        except WsiParseError as error:
            problems.append(Outcome.of_error(row, error, Path(row.id)))
            continue
        tiles += figures["tiles"]
        seconds += figures["expected_seconds"]
        disk = max(disk, figures["expected_disk_mb"])
        if as_json:
            typer.echo(json.dumps({"id": row.id, "slide": row.path.name, **figures}))
        console.print(
            f"{escape(row.id)}: {figures['tiles']:,} tiles · {duration(figures['expected_seconds'])}", highlight=False
        )
    for problem in problems:
        if as_json:
            typer.echo(problem.model_dump_json())
        screen.note(f"failed {problem.id} ({problem.error_stage}): {problem.error}")
    at_once = decided.compute.slides_at_once
    console.print(
        f"{len(rows)} slides · {tiles:,} tiles · about {duration(seconds)} on this CPU with {decided.model.name} · "
        f"up to {disk * at_once / 1000:.1f} GB of disk while {at_once} are under way",
        highlight=False,
    )
    return 1 if problems else 0
