"""The run command: slides one after the other, a table for each, and an exit code."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

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
from wsi_parse.cli.screen import slide_display
from wsi_parse.cli.signals import exit_code
from wsi_parse.cli.terminal import (
    kept_traceback,
    messages,
    safe,
    say,
    say_caution,
    show_failure,
    show_traceback,
    text_of,
)
from wsi_parse.cli.text import counted, describe_estimate
from wsi_parse.errors import UsageError
from wsi_parse.files import check_can_be_folder
from wsi_parse.progress import Silent
from wsi_parse.text import RESEARCH_ONLY, RESEARCH_ONLY_SENTENCE

if TYPE_CHECKING:
    from wsi_parse.run.manifest import RunManifest
    from wsi_parse.run.resolve import Request
    from wsi_parse.settings import RunSettings

RESULTS = (
    "The results are in OUT/SLIDE: annotations.geojson (drag it onto the slide in QuPath), objects.parquet, "
    f"report.html (open it in a browser), overlay.png, tissue.geojson and run.json. {RESEARCH_ONLY_SENTENCE}"
)


def run(
    slides: Annotated[
        list[Path],
        typer.Argument(metavar="SLIDES", help="Slide files, or folders that contain slides.", show_default=False),
    ],
    prompt: Prompts = None,
    threshold: Threshold = None,
    cell_expansion: CellExpansion = None,
    model: Model = None,
    mpp: Mpp = None,
    roi: Roi = None,
    out: Out = Path("wsi-parse-out"),
    formats: Formats = None,
    keep: Keep = None,
    dry_run: DryRun = False,
    weights: Weights = None,
    organ: Organ = None,
    field_um: FieldUm = None,
    override_mpp: OverrideMpp = False,
    name: Name = None,
    frame: CoordinateFrame = None,
    strict: Strict = False,
    as_json: Json = False,
    cluster: ClusterName = None,
    workers: Workers = None,
    share_group: ShareGroup = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Find objects in slides. This is the default command.

    The results are in OUT/SLIDE: annotations.geojson (drag it onto the slide in QuPath), objects.parquet,
    report.html (open it in a browser), overlay.png, tissue.geojson and run.json. If the command was interrupted, run
    it again: it continues where it stopped. Research use only, not for clinical decisions.

    Examples
    --------
    wsi-parse slide.svs --prompt "neoplastic cells"
        Find tumour cells; the result is in wsi-parse-out/slide.
    wsi-parse a.svs b.ndpi folder --prompt nuclei -o out --dry-run
        Check several slides, and show how long they would take.
    wsi-parse slide.svs -p nuclei --cell-expansion 5 --keep predictions
        Grow nuclei to cells; a run with another threshold or distance then takes seconds.
    """
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
    raise typer.Exit(run_slides(slides, out, settings, dry_run=dry_run, as_json=as_json, strict=strict))


def run_slides(
    paths: list[Path], out: Path, settings: "RunSettings", *, dry_run: bool, as_json: bool, strict: bool = False
) -> int:
    """Segment all slides, or show what a run would do; a slide that fails does not stop the others.

    Returns
    -------
    int
        Exit code: 0 all done, 1 a slide failed or, if it is strict, there is a caution; 2 the call is wrong for all.
    """
    from wsi_parse.run.folders import output_folders
    from wsi_parse.run.resolve import resolve
    from wsi_parse.slides import list_slides

    console = messages(muted=as_json)
    _check_no_list(paths)
    slides = list_slides(paths)
    check_settings(settings, len(slides))
    check_can_be_folder(out)
    # Once for all slides: a cohort never mixes models.
    request = resolve(settings, require_weights=not dry_run)
    for note in request.notes:
        say(console, note)
    failed = doubtful = wrong_calls = 0
    process = _plan if dry_run else _segment
    for slide, folder in zip(slides, output_folders(slides, out), strict=True):
        try:
            doubtful += bool(process(slide, folder, request, console, as_json=as_json))
        except KeyboardInterrupt as error:
            console.print(
                f"\nInterrupted at {safe(slide.name)}. Finished work is kept. Run the same command again to continue.",
                highlight=False,
                soft_wrap=True,
            )
            raise typer.Exit(exit_code(error)) from None
        except Exception as error:
            if len(slides) == 1 and isinstance(error, UsageError):
                raise
            failed += 1
            wrong_calls += isinstance(error, UsageError)
            if as_json:
                typer.echo(
                    json.dumps(
                        {"slide": slide.name, "state": "failed", "error": text_of(error) + kept_traceback(error)}
                    )
                )
                show_traceback(error)
            else:
                show_failure(slide.name, error)
    if failed and len(slides) > 1:
        console.print(f"{failed} of {counted(len(slides), 'slide')} failed.", highlight=False)
    if strict and doubtful:
        console.print(
            f"There are cautions about {counted(doubtful, 'slide')}: with --strict, this is exit code 1.",
            highlight=False,
        )
    if wrong_calls == len(slides):
        return 2
    return 1 if failed or (strict and doubtful) else 0


def _check_no_list(paths: list[Path]) -> None:
    """Refuse a table of slides, which no reader opens."""
    for path in paths:
        if path.suffix.lower() in {".csv", ".tsv"} and path.is_file():
            raise UsageError(
                f"{path} is a list, not a slide.",
                f"A list of slides is processed with: wsi-parse cohort {path} -o OUT",
            )


def _segment(slide: Path, folder: Path, request: "Request", console: Console, *, as_json: bool) -> int:
    """Process a slide, and return the number of cautions."""
    from wsi_parse.run.pipeline import run_slide

    if as_json:
        manifest = run_slide(slide, folder, request, Silent())
        typer.echo(json.dumps({"folder": str(folder), **manifest.model_dump(mode="json")}))
        return len(manifest.cautions)
    with slide_display(console, slide.name) as progress:
        manifest = run_slide(slide, folder, request, progress)
    _print_result(manifest, folder, console)
    return len(manifest.cautions)


def _print_result(manifest: "RunManifest", folder: Path, console: Console) -> None:
    from wsi_parse.report.page import REPORT_NAME
    from wsi_parse.run.reuse import maps_line

    table = Table(show_edge=False, pad_edge=False)
    columns = ("prompt", "objects", "per mm²", *(("of them unsure",) if manifest.unsure else ()))
    for name in columns:
        table.add_column(name, justify="left" if name == "prompt" else "right")
    for name, count in manifest.counts.items():
        row = (name, f"{count:,}", f"{manifest.per_mm2.get(name, 0):,.0f}", f"{manifest.unsure.get(name, 0):,}")
        table.add_row(*map(safe, row[: len(columns)]))
    console.print(table)
    for name, facts in manifest.existence.items():
        if isinstance(sentence := facts.get("sentence"), str) and sentence:
            console.print(f"{safe(name)}: {safe(sentence)}", highlight=False)
    console.print(
        f"tissue {manifest.tissue_mm2:.3g} mm² · model {manifest.model['name']} ({manifest.model['licence']}) · "
        f"peak memory {(manifest.peak_memory_mb or 0) / 1000:.2f} GB",
        highlight=False,
    )
    # What all workers took together is in the manifest; here it would be read as a part of the total.
    stages = [f"{name} {seconds:.1f} s" for name, seconds in manifest.seconds.items() if "all workers" not in name]
    console.print(" · ".join(stages), highlight=False, soft_wrap=True)
    console.print(safe(written_line(manifest, folder)), highlight=False, soft_wrap=True)
    if REPORT_NAME in manifest.outputs:
        console.print(
            safe(f"→ {folder / REPORT_NAME}  (look at the result in a browser)"), highlight=False, soft_wrap=True
        )
    if maps := maps_line(manifest, folder):
        console.print(safe(maps), highlight=False, soft_wrap=True)


def written_line(manifest: "RunManifest", folder: Path) -> str:
    """Say which file to open and what to do with it, if a format says so; else which files there are."""
    for facts in manifest.formats.values():
        if facts.get("how_to_open") and facts.get("files"):
            return f"→ {folder / facts['files'][0]}  ({facts['how_to_open']}; {RESEARCH_ONLY})"
    return f"→ {folder / ', '.join(manifest.outputs)}  ({RESEARCH_ONLY})"


def _plan(slide: Path, folder: Path, request: "Request", console: Console, *, as_json: bool) -> int:
    """Show what a run would do, and return the number of cautions that are known before."""
    from wsi_parse.run.outlook import Outlook

    outlook = Outlook.of(slide, folder, request)
    prepared, reuse, figures = outlook.prepared, outlook.reuse, outlook.figures
    size = prepared.slide.pixel_size
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "slide": slide.name,
                    "folder": str(folder),
                    "tissue_mm2": outlook.tissue_mm2,
                    "cautions": [caution.to_dict() for caution in outlook.cautions],
                    **figures,
                }
            )
        )
        return len(outlook.cautions)
    for note in (*prepared.notes, *filter(None, [reuse.sentence])):
        say(console, note)
    for caution in outlook.cautions:
        say_caution(console, caution)
    todo = "nothing to predict" if reuse.predicts_nothing else describe_estimate(figures, at_most=reuse.has_maps)
    console.print(
        f"[bold]{safe(slide.name)}[/bold]: {size.x_um:.4g} µm per pixel ({safe(size.source)}) · "
        f"tissue {outlook.tissue_mm2:.3g} mm² · {todo} → {safe(str(folder))}",
        highlight=False,
        soft_wrap=True,
    )
    return len(outlook.cautions)
