"""The evaluate command: figures on the screen, and the files and pictures that they are written to."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from wsi_parse.cli.help import OBJECTS, OUTPUT, SLIDE
from wsi_parse.cli.options import Json, Mpp, Roi
from wsi_parse.errors import UsageError, WsiParseError
from wsi_parse.files import try_writing
from wsi_parse.text import RESEARCH_ONLY

if TYPE_CHECKING:
    from wsi_parse.evaluate import Evaluation, EvaluationOptions
    from wsi_parse.evaluate.inputs import FilePair

_MAX_LINES = 8


def evaluate(
    truth: Annotated[
        Path,
        typer.Option(
            "--truth",
            rich_help_panel=SLIDE,
            metavar="PATH",
            help="Corrected GeoJSON file, or a folder of them.",
            show_default=False,
        ),
    ],
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
    wsi-parse evaluate --truth corrected.geojson --pred wsi-parse-out/slide
        Compare what you corrected in QuPath with the result.
    wsi-parse evaluate --truth corrected --pred wsi-parse-out
        Compare two folders: files are paired by the names of the slides.
    wsi-parse evaluate --truth t.geojson --pred p.geojson --overlay d.png
        Draw the differences.
    """
    from wsi_parse.evaluate.options import EvaluationOptions, objects_of

    kind = None if objects is None else objects_of(objects)
    options = EvaluationOptions(mpp, radius, 0.5, kind, roi, roi_class, keep_unsure)
    outputs = Outputs(out_json, out_csv, overlay)
    raise typer.Exit(compare_files(truth, pred, options, outputs, as_json=as_json))


class Outputs(NamedTuple):
    """Where results are written; None writes nothing."""

    json: Path | None = None
    csv: Path | None = None
    overlay: Path | None = None


def compare_files(
    truth: Path, pred: Path, options: "EvaluationOptions", outputs: Outputs, *, as_json: bool = False
) -> int:
    """Compare files; one that has no partner or cannot be read does not stop the others.

    Returns
    -------
    int
        Exit code: 0 all compared, 1 a file could not be compared, or there was nothing to compare.

    Raises
    ------
    UsageError
        Before any work, if a result cannot be written.
    """
    from wsi_parse.evaluate.inputs import file_pairs

    _try_outputs(path for path in outputs if path is not None)
    if outputs.overlay is not None and outputs.overlay.suffix.lower() != ".png":
        raise UsageError(
            f"The picture is a PNG file, but {outputs.overlay} does not end in .png.",
            "Choose a name that ends in .png.",
        )
    console = Console(quiet=as_json)
    pairs, problems = file_pairs(truth, pred)
    evaluations: list[Evaluation] = []
    pictures: list[Path] = []
    for pair in pairs:
        picture = _picture_of(pair, outputs.overlay, several=len(pairs) > 1)
        try:
            evaluation = _compared(pair, options, picture)
        except WsiParseError as error:
            if len(pairs) == 1:
                raise
            problems.append(f"{pair.name}: {error}")
            continue
        _print(evaluation, console)
        evaluations.append(evaluation)
        pictures += [] if picture is None or evaluation.is_empty() else [picture]
    if evaluations and all(one.is_empty() for one in evaluations):
        # Scores of nothing would read as perfect.
        evaluations = []
        problems.append(
            "No file has objects to compare, so nothing was compared. Check --objects, --roi and the notes above."
        )
    written = _write(evaluations, outputs, console, as_json=as_json)
    for problem in problems:
        typer.echo(f"wsi-parse: {problem}", err=True)
    files = ", ".join(map(str, [*written, *pictures] if evaluations else []))
    console.print(f"{f'→ {files}  ' if files else ''}({RESEARCH_ONLY})", highlight=False, markup=False, soft_wrap=True)
    return 1 if problems else 0


def _write(evaluations: "list[Evaluation]", outputs: Outputs, console: Console, *, as_json: bool) -> list[Path]:
    """Print the sum of several, and write what was asked for; return the files."""
    from wsi_parse.evaluate import summed
    from wsi_parse.evaluate.tables import to_dict, write_csv, write_json

    if not evaluations:
        return []
    if len(evaluations) > 1:
        _print(summed(evaluations), console)
    if as_json:
        typer.echo(json.dumps(to_dict(evaluations), allow_nan=False))
    if outputs.json is not None:
        write_json(evaluations, outputs.json)
    if outputs.csv is not None:
        write_csv(evaluations, outputs.csv)
    return [path for path in (outputs.json, outputs.csv) if path is not None]


def _picture_of(pair: "FilePair", overlay: Path | None, *, several: bool) -> Path | None:
    """Return the picture of a pair: one of several has the name of its pair."""
    return overlay.with_stem(f"{overlay.stem}-{pair.name}") if overlay is not None and several else overlay


def _compared(pair: "FilePair", options: "EvaluationOptions", picture: Path | None) -> "Evaluation":
    from wsi_parse.evaluate import compare
    from wsi_parse.pictures.differences import draw_disagreements

    comparison = compare(*pair.read(), options, pair.name)
    evaluation = comparison.evaluation()
    if picture is not None and not evaluation.is_empty():
        draw_disagreements(comparison, picture)
    return evaluation


def _try_outputs(paths: Iterable[Path]) -> None:
    """Refuse paths that cannot be written."""
    for path in paths:
        if path.is_dir():
            raise UsageError(f"{path} is a folder.", "Give the name of a file.")
        try:
            try_writing(path.parent)
        except OSError as error:
            reason = error.strerror or str(error)
            remedy = "Create its folder first, or choose another file."
            raise UsageError(f"{path} cannot be written: {reason}.", remedy) from error


def _print(one: "Evaluation", console: Console) -> None:
    console.print(f"[bold]{escape(one.name)}[/bold]", highlight=False)
    if one.is_empty():
        for line in one.notes:
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        console.print()
        return
    console.print(_objects(one))
    console.print(_outlines(one))
    for line in (*_confused(one), *_reviewed(one), *one.notes):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print()


def _objects(one: "Evaluation") -> Table:
    return _table(
        one,
        ("objects", "truth", "pred", "error", "prec.", "recall", "F1", "centre F1"),
        ("truth", "pred", "count_error", "precision", "recall", "f1", "centre_f1"),
    )


def _outlines(one: "Evaluation") -> Table:
    return _table(
        one,
        ("outlines", "SQ", "PQ", "AJI", "Dice", "IoU", "area error"),
        ("sq", "pq", "aji", "dice", "iou", "area_error"),
    )


def _table(one: "Evaluation", titles: tuple[str, ...], keys: tuple[str, ...]) -> Table:
    from wsi_parse.evaluate.tables import ALL

    table = Table(show_edge=False, pad_edge=False)
    for number, title in enumerate(titles):
        table.add_column(title, justify="right" if number else "left", no_wrap=True)
    for name, figures in [*one.classes.items(), (ALL, one.everything)]:
        values = figures.to_dict()
        table.add_row(escape(name), *(_number(key, values[key]) for key in keys))
    return table


def _number(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    if key in ("truth", "pred"):
        return f"{value:,.0f}"
    return f"{value:+.2%}" if key.endswith("_error") else f"{value:.3f}"


def _confused(one: "Evaluation") -> list[str]:
    from wsi_parse.evaluate.evaluation import EXTRA, MISSED

    other = [
        (count, truth, pred)
        for (truth, pred), count in one.confusion.items()
        if truth != pred and truth != EXTRA and pred != MISSED
    ]
    missed = sum(count for (_, pred), count in one.confusion.items() if pred == MISSED)
    extra = sum(count for (truth, _), count in one.confusion.items() if truth == EXTRA)
    lines = [f"Missed {missed:,} · extra {extra:,} · other class {sum(count for count, *_ in other):,}"]
    lines += [f"  {truth} → {pred}: {count:,}" for count, truth, pred in sorted(other, reverse=True)[:_MAX_LINES]]
    return [*lines, *(["  …"] if len(other) > _MAX_LINES else [])]


def _reviewed(one: "Evaluation") -> list[str]:
    if one.review is None:
        return []
    counts = one.review.counts()
    changes = " · ".join(
        f"{counts[name]:,} {name}" for name in ("kept", "reshaped", "reclassified", "deleted", "added")
    )
    both = counts["reshaped_and_reclassified"]
    return [f"Changes, by id: {changes}{f' ({both:,} reshaped and reclassified)' if both else ''}"]
