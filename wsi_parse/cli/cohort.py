"""The cohort command: problems first, a line for each slide as it ends, then where the summary is."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from wsi_parse.cli.options import FLAG, Config, DryRun, Json, Model, Out, Overrides, Prompts, Workers
from wsi_parse.cli.screen import CohortScreen
from wsi_parse.cli.text import counted
from wsi_parse.errors import WsiParseError
from wsi_parse.notice import RESEARCH_ONLY
from wsi_parse.progress import duration

if TYPE_CHECKING:
    from wsi_parse.cohort import Choice, Listing
    from wsi_parse.run.resolve import Request
    from wsi_parse.settings import RunSettings


def cohort(
    slides: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCES",
            help="Folders, patterns such as 'data/*.svs', or lists of slides (.csv, .tsv, .parquet).",
            show_default=False,
        ),
    ],
    out: Out,
    prompt: Prompts = None,
    model: Model = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="NAME",
            help="Where the work is done: local, slurm, pbs, lsf, or the address of a Dask scheduler, tcp://HOST:PORT.",
        ),
    ] = None,
    workers: Workers = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="ID", help="Process only the slide with this id. Repeat the option for several."
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=0, help="Process at most N slides; 0: only write the tables."),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", metavar=FLAG, help="Also process slides that failed before.")
    ] = False,
    config: Config = None,
    overrides: Overrides = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Segment many slides: one folder for each slide, one table for all. A failure does not stop the others.

    A list has the column path, and may have the columns id, mpp, organ, prompts (separated by ;), roi and group.

    If the command was interrupted, run it again: it continues where it stopped. Several commands may work in the
    same folder at the same time.
    """
    from wsi_parse.cohort import Choice, list_cohort
    from wsi_parse.settings import RunSettings

    settings = RunSettings.load(
        config,
        overrides or (),
        prompts=tuple(prompt or ()),
        model={"name": model},
        compute={"cluster": cluster, "workers": workers},
    )
    choice = Choice(tuple(only or ()), limit, retry_failed)
    console = Console(stderr=True, quiet=as_json)
    listing = list_cohort(slides, out)
    if dry_run:
        raise typer.Exit(_plan(listing, settings, choice, console, as_json=as_json))
    raise typer.Exit(_run(listing, out, settings, choice, console, as_json=as_json))


def _run(
    listing: "Listing", out: Path, settings: "RunSettings", choice: "Choice", console: Console, *, as_json: bool
) -> int:
    """Process the slides; return 0 if every slide that was chosen is done, 1 if one failed."""
    from wsi_parse.cohort import run_cohort

    try:
        with CohortScreen(console) as screen:
            outcomes = run_cohort(listing, out, settings, screen, choice)
    except KeyboardInterrupt:
        console.print("\nInterrupted. Finished work is kept. Run the same command again to continue.", highlight=False)
        raise typer.Exit(130) from None
    if as_json:
        for outcome in outcomes:
            typer.echo(outcome.model_dump_json())
    counts = {state: sum(outcome.state == state for outcome in outcomes) for state in ("done", "failed", "open")}
    states = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    console.print(f"{states} → {escape(str(out / 'summary.md'))}  ({RESEARCH_ONLY})", highlight=False, soft_wrap=True)
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    return 1 if any(not choice.only or outcome.id in choice.only for outcome in failed) else 0


def _plan(listing: "Listing", settings: "RunSettings", choice: "Choice", console: Console, *, as_json: bool) -> int:
    """Estimate each slide, and all of them; return 0 if no slide has a problem, 1 otherwise."""
    from wsi_parse.cohort import Outcome, decide, selected_rows

    screen = CohortScreen(console)
    decided = decide(listing, settings, require_weights=False)
    for note in decided.notes:
        screen.note(note)
    problems = [Outcome.of_problem(problem) for problem in decided.listing.problems]
    rows = selected_rows(decided.listing, choice)[: choice.limit]
    tiles, seconds, disk_mb = 0, 0.0, 0.0
    for row in rows:
        try:
            figures = _estimate(row.path, decided.request(row))
        except WsiParseError as error:
            problems.append(Outcome.of_error(row, error, Path(row.id)))
            continue
        tiles += figures["tiles"]
        seconds += figures["expected_seconds"]
        disk_mb = max(disk_mb, figures["expected_disk_mb"])
        if as_json:
            typer.echo(json.dumps({"id": row.id, "slide": row.path.name, **figures}))
        time = duration(figures["expected_seconds"])
        console.print(f"{escape(row.id)}: {counted(figures['tiles'], 'tile')} · {time}", highlight=False)
    for problem in problems:
        if as_json:
            typer.echo(problem.model_dump_json())
        screen.note(f"failed {problem.id} ({problem.error_stage}): {problem.error}")
    at_once, model = decided.settings.compute.slides_at_once, decided.settings.model.name
    console.print(
        f"{counted(len(rows), 'slide')} · {counted(tiles, 'tile')} · about {duration(seconds)} on this CPU with "
        f"{model} · up to {disk_mb * at_once / 1000:.1f} GB of disk space for {at_once} slides at once",
        highlight=False,
    )
    return 1 if problems else 0


def _estimate(path: Path, request: "Request") -> dict[str, Any]:
    from wsi_parse.run.estimate import estimate_cost
    from wsi_parse.run.prepared import resolve_run

    prepared = resolve_run(path, request)
    with prepared.slide:
        return estimate_cost(prepared, prepared.passes(prepared.tissue()))
