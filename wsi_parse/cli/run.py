"""The run command: slides one after the other, a table for each, and an exit code."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from wsi_parse.cli.options import (
    Config,
    DryRun,
    FieldUm,
    Json,
    Model,
    Mpp,
    Organ,
    Out,
    OverrideMpp,
    Overrides,
    Prompts,
    Roi,
    Weights,
    Workers,
)
from wsi_parse.cli.screen import Screen
from wsi_parse.cli.text import counted, describe_estimate
from wsi_parse.errors import UsageError, WsiParseError
from wsi_parse.notice import RESEARCH_ONLY
from wsi_parse.progress import Silent

if TYPE_CHECKING:
    from wsi_parse.run.manifest import RunManifest
    from wsi_parse.run.resolve import Request
    from wsi_parse.settings import RunSettings

RESULTS = (
    "The results are in OUT/SLIDE: annotations.geojson (drag it onto the slide in QuPath), objects.parquet, "
    f"overlay.png, tissue.geojson and run.json. {RESEARCH_ONLY.capitalize()}."
)


def run(
    slides: Annotated[
        list[Path],
        typer.Argument(metavar="SLIDES", help="Slide files, or folders that contain slides.", show_default=False),
    ],
    prompt: Prompts = None,
    model: Model = None,
    weights: Weights = None,
    organ: Organ = None,
    field_um: FieldUm = None,
    out: Out = Path("wsi-parse-out"),
    mpp: Mpp = None,
    override_mpp: OverrideMpp = False,
    roi: Roi = None,
    cell_expansion: Annotated[
        float | None,
        typer.Option("--cell-expansion", metavar="µm", help="Grow each nucleus by this distance to make a cell."),
    ] = None,
    frame: Annotated[
        str | None,
        typer.Option(
            "--frame",
            metavar="NAME",
            help="Where the coordinates start: qupath (at the slide's bounds, as in QuPath) or level0 (at the corner "
            "of level 0).",
        ),
    ] = None,
    workers: Workers = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="Output format: geojson, parquet, dicom, ome-zarr or spatialdata. Repeat the option for several. "
            "Without it, geojson and parquet are written.",
        ),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Segment slides. This is the default command."""
    from wsi_parse.settings import RunSettings

    settings = RunSettings.load(
        config,
        overrides or (),
        prompts=tuple(prompt or ()),
        slide={"mpp": mpp, "override_mpp": override_mpp or None, "roi": roi},
        model={"name": model, "weights": weights, "organ": organ, "field_um": field_um},
        objects={"cell_expansion_um": cell_expansion},
        export={"frame": frame, "formats": tuple(formats) if formats else None},
        compute={"workers": workers},
    )
    raise typer.Exit(run_slides(slides, out, settings, dry_run=dry_run, as_json=as_json))


def run_slides(paths: list[Path], out: Path, settings: "RunSettings", *, dry_run: bool, as_json: bool) -> int:
    """Segment all slides, or show what a run would do; a slide that fails does not stop the others.

    Returns
    -------
    int
        Exit code: 0 all done, 1 a slide failed.
    """
    from wsi_parse.run.folders import output_folders
    from wsi_parse.run.resolve import resolve
    from wsi_parse.slides import list_slides

    console = Console(stderr=True, quiet=as_json)
    slides = list_slides(paths)
    # Once for all slides: a cohort never mixes models.
    request = resolve(settings, require_weights=not dry_run)
    for note in request.notes:
        console.print(note, highlight=False, markup=False)
    failed = 0
    process = _plan if dry_run else _segment
    for slide, folder in zip(slides, output_folders(slides, out), strict=True):
        try:
            process(slide, folder, request, console, as_json=as_json)
        except UsageError:
            raise
        except WsiParseError as error:
            failed += 1
            if as_json:
                typer.echo(json.dumps({"slide": slide.name, "state": "failed", "error": str(error)}))
            else:
                console.print(f"[red]failed[/red] {escape(str(error))}", highlight=False)
        except KeyboardInterrupt:
            console.print(
                f"\nInterrupted at {escape(slide.name)}. Finished work is kept. "
                "Run the same command again to continue.",
                highlight=False,
            )
            raise typer.Exit(130) from None
    if failed and len(slides) > 1:
        console.print(f"{failed} of {counted(len(slides), 'slide')} failed.", highlight=False)
    return 1 if failed else 0


def _segment(slide: Path, folder: Path, request: "Request", console: Console, *, as_json: bool) -> None:
    from wsi_parse.run.pipeline import run_slide

    if as_json:
        manifest = run_slide(slide, folder, request, Silent())
        typer.echo(json.dumps({"folder": str(folder), **manifest.model_dump(mode="json")}))
        return
    with Screen(console, slide.name) as screen:
        manifest = run_slide(slide, folder, request, screen)
    _print_result(manifest, folder, console)


def _print_result(manifest: "RunManifest", folder: Path, console: Console) -> None:
    table = Table(show_edge=False, pad_edge=False)
    columns = ("prompt", "objects", "per mm²", *(("of them unsure",) if manifest.unsure else ()))
    for name in columns:
        table.add_column(name, justify="left" if name == "prompt" else "right")
    for name, count in manifest.counts.items():
        row = (name, f"{count:,}", f"{manifest.per_mm2.get(name, 0):,.0f}", f"{manifest.unsure.get(name, 0):,}")
        table.add_row(*map(escape, row[: len(columns)]))
    console.print(table)
    for name, facts in manifest.existence.items():
        if isinstance(sentence := facts.get("sentence"), str) and sentence:
            console.print(f"{name}: {sentence}", highlight=False, markup=False)
    console.print(
        f"tissue {manifest.tissue_mm2:.3g} mm² · model {manifest.model['name']} ({manifest.model['licence']}) · "
        f"peak memory {(manifest.peak_memory_mb or 0) / 1000:.2f} GB",
        highlight=False,
    )
    stages = " · ".join(f"{name} {seconds:.1f} s" for name, seconds in manifest.seconds.items())
    console.print(stages, highlight=False)
    console.print(written_line(manifest, folder), highlight=False, markup=False, soft_wrap=True)


def written_line(manifest: "RunManifest", folder: Path) -> str:
    """Say which file to open and what to do with it, if a format says so; else which files there are."""
    for facts in manifest.formats.values():
        if facts.get("how_to_open") and facts.get("files"):
            return f"→ {folder / facts['files'][0]}  ({facts['how_to_open']}; {RESEARCH_ONLY})"
    return f"→ {folder / ', '.join(manifest.outputs)}  ({RESEARCH_ONLY})"


def _plan(slide: Path, folder: Path, request: "Request", console: Console, *, as_json: bool) -> None:
    from wsi_parse.run.estimate import estimate_cost
    from wsi_parse.run.prepared import resolve_run

    prepared = resolve_run(slide, request)
    with prepared.slide:
        tissue = prepared.tissue()
        figures = estimate_cost(prepared, prepared.passes(tissue))
        size = prepared.slide.pixel_size
    if as_json:
        typer.echo(json.dumps({"slide": slide.name, "folder": str(folder), "tissue_mm2": tissue.area_mm2, **figures}))
        return
    for note in prepared.notes:
        console.print(note, highlight=False, markup=False)
    console.print(
        f"[bold]{escape(slide.name)}[/bold] {size.x_um:.4g} µm per pixel ({size.source}) · "
        f"tissue {tissue.area_mm2:.3g} mm² · {describe_estimate(figures)} → {escape(str(folder))}",
        highlight=False,
        soft_wrap=True,
    )
