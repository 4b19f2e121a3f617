"""The evaluate command: figures on the screen, and the files and pictures that they are written to."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from wsi_parse.cli.evaluation_outputs import Outputs
from wsi_parse.cli.evaluation_tables import print_evaluation
from wsi_parse.cli.help import OBJECTS, OUTPUT, SLIDE
from wsi_parse.cli.options import Json, Mpp, Roi
from wsi_parse.cli.slide_of_pair import check_slide, ground_of
from wsi_parse.errors import WsiParseError
from wsi_parse.text import RESEARCH_ONLY, for_terminal

if TYPE_CHECKING:
    from wsi_parse.evaluate import Evaluation, EvaluationOptions
    from wsi_parse.evaluate.inputs import FilePair

_MAX_PROBLEMS = 20


def evaluate(
    pred: Annotated[
        Path,
        typer.Option(
            "--pred",
            rich_help_panel=SLIDE,
            metavar="PATH",
            help="Predicted GeoJSON file, a folder of them, or a folder of results.",
            show_default=False,
        ),
    ],
    truth: Annotated[
        Path | None,
        typer.Option(
            "--truth",
            rich_help_panel=SLIDE,
            metavar="PATH",
            help="Corrected GeoJSON file, or a folder of them. Default: the newest corrections that a run kept aside "
            "in its folder of results.",
            show_default=False,
        ),
    ] = None,
    objects: Annotated[
        str | None,
        typer.Option(
            "--objects",
            rich_help_panel=OBJECTS,
            metavar="NAME",
            help="Which objects to compare: all, cells, nuclei (of cells) or regions. Default: all.",
        ),
    ] = None,
    radius: Annotated[
        str,
        typer.Option(
            "--radius",
            rich_help_panel=OBJECTS,
            metavar="LENGTH",
            help="Two centres match if they are closer than this, for example 6um or 12px.",
        ),
    ] = "6um",
    roi: Roi = None,
    roi_class: Annotated[
        str | None,
        typer.Option(
            "--roi-class",
            rich_help_panel=SLIDE,
            metavar="CLASS",
            help="Class of the annotations in the truth that are the regions of interest, for example Reviewed.",
        ),
    ] = None,
    keep_unsure: Annotated[
        bool,
        typer.Option(
            "--keep-unsure",
            rich_help_panel=OBJECTS,
            help='Treat "X: Unsure" as a class of its own. Without this, it counts as X.',
        ),
    ] = False,
    overlay: Annotated[
        Path | None,
        typer.Option(
            "--overlay", rich_help_panel=OUTPUT, metavar="FILE", help="Draw the differences as a PNG picture."
        ),
    ] = None,
    slide: Annotated[
        Path | None,
        typer.Option(
            "--slides",
            rich_help_panel=OUTPUT,
            metavar="PATH",
            help="The slide, or a folder of slides: the picture is drawn on its tissue.",
        ),
    ] = None,
    out_json: Annotated[
        Path | None,
        typer.Option(
            "--out-json", rich_help_panel=OUTPUT, metavar="FILE", help="Write all figures and the lists of ids as JSON."
        ),
    ] = None,
    out_csv: Annotated[
        Path | None,
        typer.Option(
            "--out-csv",
            rich_help_panel=OUTPUT,
            metavar="FILE",
            help="Write the figures as CSV, one row for each class.",
        ),
    ] = None,
    out_html: Annotated[
        Path | None,
        typer.Option(
            "--out-html",
            rich_help_panel=OUTPUT,
            metavar="FILE",
            help="Write a page that opens in a browser: what the reviewer changed, then the figures. With --overlay, "
            "the picture is in it.",
        ),
    ] = None,
    mpp: Mpp = None,
    as_json: Json = False,
) -> None:
    """Compare results with corrected ones: Dice, F1, PQ, AJI, confused classes, changes by a reviewer.

    Files are paired by name, or by the slide that a folder of results belongs to. With regions of interest, only
    objects whose centroid lies in one of them count. Without --objects, cells are compared by their nuclei if the
    other file has only nuclei.

    The exit code is 1 if a file has no partner or cannot be compared, or if there is nothing to compare.

    Examples
    --------
    wsi-parse evaluate --truth t.geojson --pred p.geojson --out-html page.html
        Compare what you corrected in QuPath with the result, and write a page.
    wsi-parse evaluate --pred wsi-parse-out/slide
        Compare with what you saved over the annotations there, before the slide was run again.
    wsi-parse evaluate --truth corrected --pred wsi-parse-out
        Compare two folders: files are paired by the names of the slides.
    """
    from wsi_parse.evaluate.options import EvaluationOptions, objects_of

    kind = None if objects is None else objects_of(objects)
    options = EvaluationOptions(mpp, radius, 0.5, kind, roi, roi_class, keep_unsure)
    outputs = Outputs(out_json, out_csv, overlay, out_html)
    raise typer.Exit(compare_files(truth, pred, options, outputs, slide, as_json=as_json))


def compare_files(
    truth: Path | None,
    pred: Path,
    options: "EvaluationOptions",
    outputs: Outputs,
    slide: Path | None = None,
    *,
    as_json: bool = False,
) -> int:
    """Compare files; one that has no partner or cannot be read does not stop the others.

    Returns
    -------
    int
        Exit code: 0 all compared, 1 a file could not be compared, or there was nothing to compare.

    Raises
    ------
    UsageError
        Before any work, if a result cannot be written, or would replace an input or another result.
    """
    from wsi_parse.evaluate.inputs import file_pairs

    outputs.check({"--truth": truth, "--pred": pred, "--roi": options.roi, "--slides": slide})
    console = Console(quiet=as_json)
    pairs, problems = file_pairs(truth, pred)
    check_slide(slide, outputs, several=len(pairs) > 1)
    outputs.check_files(pairs, options.roi)
    for kept in outputs.keep_others(pairs):
        typer.echo(f"wsi-parse: {for_terminal(kept)}", err=True)
    evaluations: list[Evaluation] = []
    pictures: list[Path | None] = []
    for pair in pairs:
        picture = outputs.picture_of(pair, several=len(pairs) > 1)
        try:
            evaluation = _compared(pair, options, picture, slide)
        except WsiParseError as error:
            if len(pairs) == 1:
                raise
            problems.append(f"{pair.name}: {error}")
            continue
        print_evaluation(evaluation, console)
        evaluations.append(evaluation)
        pictures.append(None if evaluation.is_empty() else picture)
    if evaluations and all(one.is_empty() for one in evaluations):
        # Scores of nothing would read as perfect.
        evaluations = []
        problems.append(
            "No file has objects to compare, so nothing was compared. Check --objects, --roi and the notes above."
        )
    written = _write(evaluations, outputs, pictures, console, as_json=as_json)
    for problem in problems[:_MAX_PROBLEMS]:
        typer.echo(f"wsi-parse: {for_terminal(problem)}", err=True)
    if len(problems) > _MAX_PROBLEMS:
        typer.echo(f"wsi-parse: {len(problems) - _MAX_PROBLEMS:,} more files could not be compared.", err=True)
    files = ", ".join(map(for_terminal, [*written, *filter(None, pictures)] if evaluations else []))
    console.print(f"{f'→ {files}  ' if files else ''}({RESEARCH_ONLY})", highlight=False, markup=False, soft_wrap=True)
    return 1 if problems else 0


def _write(
    evaluations: "list[Evaluation]",
    outputs: Outputs,
    pictures: "list[Path | None]",
    console: Console,
    *,
    as_json: bool,
) -> list[Path]:
    """Print the sum of several, and write what was asked for; return the files."""
    from wsi_parse.evaluate import summed
    from wsi_parse.evaluate.tables import to_dict, write_csv, write_json

    if not evaluations:
        return []
    if len(evaluations) > 1:
        print_evaluation(summed(evaluations), console)
    if as_json:
        typer.echo(json.dumps(to_dict(evaluations), allow_nan=False))
    if outputs.json is not None:
        write_json(evaluations, outputs.json)
    if outputs.csv is not None:
        write_csv(evaluations, outputs.csv)
    if outputs.html is not None:
        from wsi_parse.report.evaluation_page import write_evaluation_page

        write_evaluation_page(evaluations, outputs.html, pictures)
    return [path for path in (outputs.json, outputs.csv, outputs.html) if path is not None]


def _compared(pair: "FilePair", options: "EvaluationOptions", picture: Path | None, slide: Path | None) -> "Evaluation":
    from wsi_parse.evaluate import compare
    from wsi_parse.pictures.differences import draw_disagreements

    truth, pred = pair.read()
    comparison = compare(truth, pred, options, pair.name)
    comparison = replace(comparison, notes=(*pair.notes, *comparison.notes))
    evaluation = comparison.evaluation()
    if picture is not None and not evaluation.is_empty():
        try:
            with ground_of(slide, pair.name, truth, pred, options.mpp) as ground:
                draw_disagreements(comparison, picture, ground)
        except WsiParseError as error:
            # The figures are there, whatever is wrong with the slide.
            draw_disagreements(comparison, picture, None)
            evaluation = replace(evaluation, notes=(*evaluation.notes, f"The picture is without tissue: {error}"))
    return evaluation
