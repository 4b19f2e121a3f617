"""The main command: slides one after the other, a table at the end, an exit code that tells."""

import json
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from wsi_parse.cli.screen import Screen
from wsi_parse.cli.show import in_words
from wsi_parse.errors import UsageError, WsiParseError
from wsi_parse.exporters.parts import INDEX_NAME
from wsi_parse.notice import RESEARCH_ONLY
from wsi_parse.progress import Progress, Silent
from wsi_parse.registry import MODELS
from wsi_parse.run.estimate import estimate_cost
from wsi_parse.run.folders import output_folders
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.pipeline import segment_slide
from wsi_parse.run.prepared import resolve_run
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import RunSettings
from wsi_parse.slides import list_slides


def run_slides(paths: list[Path], out: Path, settings: RunSettings, *, dry_run: bool, as_json: bool) -> int:
    """Do all slides; one that fails does not stop the others.

    Returns
    -------
    int
        Exit code: 0 all done, 1 a slide failed.
    """
    console = Console(stderr=True, quiet=as_json)
    slides = list_slides(paths)
    # Once for all slides: a cohort never mixes models.
    request = resolve(settings, require_weights=not dry_run)
    settings, notes = request.settings, request.notes
    for note in notes:
        console.print(note, highlight=False, markup=False)
    if not dry_run:
        # What every slide would fail on is said once, before any.
        MODELS.get(settings.model.name).find_weights(settings.model)
    failed = 0
    for slide, folder in zip(slides, output_folders(slides, out), strict=True):
        try:
            if dry_run:
                _plan(slide, folder, settings, console, notes, as_json=as_json)
            else:
                _segment(slide, folder, settings, console, notes, as_json=as_json)
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
                f"\nInterrupted at {escape(slide.name)}. What is done is kept: the same command goes on from there.",
                highlight=False,
            )
            raise typer.Exit(130) from None
    if failed and len(slides) > 1:
        console.print(f"{failed} of {len(slides)} slides failed.", highlight=False)
    return 1 if failed else 0


def _segment(
    slide: Path, folder: Path, settings: RunSettings, console: Console, said: tuple[str, ...], *, as_json: bool
) -> None:
    if as_json:
        manifest = segment_slide(slide, folder, settings, Silent())
        typer.echo(json.dumps({"folder": str(folder), **manifest.model_dump(mode="json")}))
        return
    with Screen(console, slide.name, said) as screen:
        progress: Progress = screen
        manifest = segment_slide(slide, folder, settings, progress)
    _print_result(manifest, folder, console)


def _print_result(manifest: RunManifest, folder: Path, console: Console) -> None:
    table = Table(show_edge=False, pad_edge=False)
    columns = ("prompt", "objects", "per mm²", *(("of them unsure",) if manifest.unsure else ()))
    for name in columns:
        table.add_column(name, justify="left" if name == "prompt" else "right")
    for name, count in manifest.counts.items():
        row = (name, f"{count:,}", f"{manifest.per_mm2.get(name, 0):,.0f}", f"{manifest.unsure.get(name, 0):,}")
        table.add_row(*row[: len(columns)])
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


def written_line(manifest: RunManifest, folder: Path) -> str:
    """Say what was written: the annotations for QuPath where there are, and what to do with them."""
    names = list(manifest.outputs)
    shown = [name for name in names if name.startswith("annotations") and name.endswith((".geojson", ".geojson.gz"))]
    if not shown:
        return f"→ {folder / ', '.join(names)}  ({RESEARCH_ONLY})"
    if INDEX_NAME not in names:
        return f"→ {folder / shown[0]}  (drag it onto the slide in QuPath; {RESEARCH_ONLY})"
    more = f"the first of {len(shown)} parts, listed in {INDEX_NAME}: drag each onto the slide in QuPath"
    return f"→ {folder / shown[0]}  ({more}; {RESEARCH_ONLY})"


def _plan(
    slide: Path, folder: Path, settings: RunSettings, console: Console, said: tuple[str, ...], *, as_json: bool
) -> None:
    prepared = resolve_run(slide, settings, require_weights=False)
    with prepared.slide:
        tissue = prepared.tissue()
        passes = prepared.passes(tissue)
        figures = estimate_cost(prepared, passes)
        size = prepared.slide.pixel_size
    if as_json:
        typer.echo(json.dumps({"slide": slide.name, "folder": str(folder), "tissue_mm2": tissue.area_mm2, **figures}))
        return
    for note in prepared.notes:
        if note not in said:
            console.print(note, highlight=False, markup=False)
    console.print(
        f"[bold]{escape(slide.name)}[/bold] {size.x_um:.4g} um/px ({size.source}) · tissue {tissue.area_mm2:.3g} mm² · "
        f"{in_words(figures)} → {folder}",
        highlight=False,
        soft_wrap=True,
    )
