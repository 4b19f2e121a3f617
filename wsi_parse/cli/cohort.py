"""The cohort command: problems first, a line for each slide as it ends, then where the summary is."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from wsi_parse.cli.help import COMPUTE
from wsi_parse.cli.options import (
    CellExpansion,
    ClusterName,
    Config,
    CoordinateFrame,
    DryRun,
    FieldUm,
    Formats,
    Json,
    Keep,
    Model,
    Mpp,
    Name,
    Organ,
    Out,
    OverrideMpp,
    Overrides,
    Prompts,
    Roi,
    ShareGroup,
    Strict,
    Threshold,
    Weights,
    Workers,
)
from wsi_parse.cli.request import check_settings, settings_of
from wsi_parse.cli.screen import CohortScreen, cohort_display
from wsi_parse.cli.signals import exit_code
from wsi_parse.cli.terminal import messages, safe, show_traceback
from wsi_parse.cli.text import counted
from wsi_parse.files import check_can_be_folder
from wsi_parse.progress import duration
from wsi_parse.text import RESEARCH_ONLY

if TYPE_CHECKING:
    from wsi_parse.cohort import Choice, Listing
    from wsi_parse.settings import RunSettings


def cohort(
    slides: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCES",
            help="Folders, patterns such as 'data/*.svs', or lists of slides (.csv, .tsv, .txt, .parquet).",
            show_default=False,
        ),
    ],
    out: Out,
    prompt: Prompts = None,
    threshold: Threshold = None,
    cell_expansion: CellExpansion = None,
    model: Model = None,
    formats: Formats = None,
    keep: Keep = None,
    cluster: ClusterName = None,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", rich_help_panel=COMPUTE, help="Also process slides that failed before."),
    ] = False,
    dry_run: DryRun = False,
    weights: Weights = None,
    organ: Organ = None,
    field_um: FieldUm = None,
    mpp: Mpp = None,
    override_mpp: OverrideMpp = False,
    roi: Roi = None,
    name: Name = None,
    frame: CoordinateFrame = None,
    strict: Strict = False,
    workers: Workers = None,
    share_group: ShareGroup = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="ID",
            rich_help_panel=COMPUTE,
            help="Process only the slide with this id. Repeat the option for several.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            metavar="N",
            min=0,
            rich_help_panel=COMPUTE,
            help="Process at most N slides; 0: only write the tables.",
        ),
    ] = None,
    as_json: Json = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Find objects in many slides: one folder for each slide, one table for all. A failure does not stop the others.

    A list has the column path, and may have the columns id, mpp, organ, prompts (separated by ;), roi and group; they
    replace the options of the same name. Other columns are copied to the table. If the command was interrupted, run
    it again: it continues where it stopped. Several commands may work in the same folder at the same time.

    Examples
    --------
    wsi-parse cohort slides.csv -o out --prompt nuclei --dry-run
        Open all slides; show all problems, the time and the disk space.
    wsi-parse cohort 'data/*.svs' -o out --prompt nuclei
        Process all slides of a pattern; the table is out/cohort.csv.
    wsi-parse cohort slides.csv -o out -p nuclei --retry-failed
        Try those again that failed, after you repaired the cause.
    """
    from wsi_parse.cohort import Choice, list_cohort

    settings = settings_of(
        config,
        overrides,
        prompt,
        mpp=mpp,
        override_mpp=override_mpp,
        roi=roi,
        name=name,
        model=model,
        weights=weights,
        organ=organ,
        field_um=field_um,
        threshold=threshold,
        cell_expansion=cell_expansion,
        formats=formats,
        keep=keep,
        frame=frame,
        cluster=cluster,
        workers=workers,
        share_group=share_group,
    )
    choice = Choice(tuple(only or ()), limit, retry_failed)
    console = messages(muted=as_json)
    listing = list_cohort(slides, out)
    check_settings(settings, len(listing.slides))
    check_can_be_folder(out)
    if dry_run:
        failed, doubtful = _plan(listing, out, settings, choice, console, as_json=as_json)
    else:
        failed, doubtful = _run(listing, out, settings, choice, console, as_json=as_json)
    if strict and doubtful:
        console.print(
            f"There are cautions about {counted(doubtful, 'slide')}: with --strict, this is exit code 1.",
            highlight=False,
        )
    raise typer.Exit(1 if failed or (strict and doubtful) else 0)


def _run(
    listing: "Listing", out: Path, settings: "RunSettings", choice: "Choice", console: Console, *, as_json: bool
) -> tuple[int, int]:
    """Process the slides; of those that were chosen, return how many failed, and how many have cautions."""
    from wsi_parse.cohort import run_cohort

    try:
        with cohort_display(console, muted=as_json) as screen:
            outcomes = run_cohort(listing, out, settings, screen, choice)
    except KeyboardInterrupt as error:
        console.print(
            "\nInterrupted. Finished work is kept. Run the same command again to continue.",
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(exit_code(error)) from None
    if as_json:
        for outcome in outcomes:
            typer.echo(outcome.model_dump_json())
    counts = {state: sum(outcome.state == state for outcome in outcomes) for state in ("done", "failed", "open")}
    states = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    written = out / ("cohort.html" if settings.export.report else "summary.md")
    console.print(f"{states} → {safe(str(written))}  ({RESEARCH_ONLY})", highlight=False, soft_wrap=True)
    chosen = [outcome for outcome in outcomes if not choice.only or outcome.id in choice.only]
    return sum(outcome.state == "failed" for outcome in chosen), sum(bool(outcome.cautions) for outcome in chosen)


def _plan(
    listing: "Listing", out: Path, settings: "RunSettings", choice: "Choice", console: Console, *, as_json: bool
) -> tuple[int, int]:
    """Estimate each slide, and all of them; return how many have a problem, and how many have cautions."""
    from wsi_parse.cohort import Outcome, decide, few_are_missing, selected_rows
    from wsi_parse.gates import suggestions
    from wsi_parse.run.outlook import Outlook

    screen = CohortScreen(console, Console(stderr=True, quiet=as_json))
    decided = decide(listing, settings, require_weights=False)
    for note in decided.notes:
        screen.note(note)
    problems = [Outcome.of_problem(problem) for problem in decided.listing.problems]
    rows = selected_rows(decided.listing, choice)[: choice.limit]
    slides, doubtful, tiles, seconds, disk_mb = 0, 0, 0, 0.0, 0.0
    figures: dict[str, Any] = {}
    few_missing = few_are_missing(rows)
    for row in rows:
        try:
            with suggestions(wanted=few_missing):
                outlook = Outlook.of(row.path, out / row.id, decided.request(row))
        except Exception as error:  # noqa: BLE001 - the other slides are estimated
            show_traceback(error)
            problems.append(Outcome.of_error(row, error, Path(row.id)))
            continue
        slides += 1
        doubtful += bool(outlook.cautions)
        if as_json:
            cautions = [caution.to_dict() for caution in outlook.cautions]
            typer.echo(json.dumps({"id": row.id, "slide": row.path.name, "cautions": cautions, **outlook.figures}))
        for caution in outlook.cautions:
            screen.note(f"{row.id}: Caution: {caution}")
        if outlook.reuse.predicts_nothing:
            console.print(f"{safe(row.id)}: nothing to predict", highlight=False)
            continue
        figures = outlook.figures
        tiles += figures["tiles"]
        seconds += figures["expected_seconds"]
        disk_mb = max(disk_mb, figures["expected_disk_mb"])
        time = f"{'at most ' if outlook.reuse.has_maps else ''}{duration(figures['expected_seconds'])}"
        console.print(f"{safe(row.id)}: {counted(figures['tiles'], 'tile')} · {time}", highlight=False)
    screen.checked(slides, problems)
    if as_json:
        for problem in problems:
            typer.echo(problem.model_dump_json())
    at_once, model_name = decided.settings.compute.slides_at_once, decided.settings.model.name
    source = f" ({figures['expected_by']})" if figures else ""
    console.print(
        f"{counted(slides, 'slide')} · {counted(tiles, 'tile')} · about {duration(seconds)} of prediction on this "
        f"machine with {model_name}{source} · up to {disk_mb * at_once / 1000:.1f} GB of disk space for {at_once} "
        "slides at once",
        highlight=False,
        soft_wrap=True,
    )
    return len(problems), doubtful
