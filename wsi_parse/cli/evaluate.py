"""The evaluate command: figures on the screen, and where they are written."""

from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from wsi_parse.errors import UsageError, WsiParseError
from wsi_parse.evaluate import Evaluation, EvaluationOptions, Figures, compare, summed
from wsi_parse.evaluate.evaluation import EXTRA, MISSED
from wsi_parse.evaluate.inputs import FilePair, file_pairs
from wsi_parse.evaluate.tables import ALL, write_csv, write_json
from wsi_parse.files import try_writing
from wsi_parse.notice import RESEARCH_ONLY
from wsi_parse.pictures.differences import draw_disagreements

_MAX_LINES = 8


def do_evaluate(
    truth: Path, pred: Path, options: EvaluationOptions, json: Path | None, csv: Path | None, overlay: Path | None
) -> int:
    """Compare files; what has no partner or cannot be read does not stop the others.

    Returns
    -------
    int
        Exit code: 0 all compared, 1 some not, or nothing was there to compare.

    Raises
    ------
    UsageError
        Before any work, where a result could not be written.
    """
    _try_outputs([path for path in (json, csv, overlay) if path is not None])
    if overlay is not None and overlay.suffix.lower() != ".png":
        raise UsageError(f"{overlay} would be a PNG by another name.", "Say a name that ends in .png.")
    console = Console()
    pairs, problems = file_pairs(truth, pred)
    evaluations: list[Evaluation] = []
    pictures: list[Path] = []
    for pair in pairs:
        picture = overlay if overlay is None or len(pairs) == 1 else overlay.with_stem(f"{overlay.stem}-{pair.name}")
        try:
            one = _compared(pair, options, picture)
        except WsiParseError as error:
            if len(pairs) == 1:
                raise
            problems.append(f"{pair.name}: {error}")
            continue
        _print(one, console)
        evaluations.append(one)
        pictures += [] if picture is None or one.is_empty() else [picture]
    if evaluations and all(one.is_empty() for one in evaluations):
        # Scores of nothing would read as perfect.
        evaluations = []
        problems.append(
            "Nothing was compared: no file has an object that counts. See --objects, --within, and the notes."
        )
    if len(evaluations) > 1:
        _print(summed(evaluations), console)
    if evaluations and json is not None:
        write_json(evaluations, json)
    if evaluations and csv is not None:
        write_csv(evaluations, csv)
    for problem in problems:
        typer.echo(f"wsi-parse: {problem}", err=True)
    written = [str(path) for path in (json, csv, *pictures) if path is not None and evaluations]
    console.print(
        f"{'→ ' + ', '.join(written) + '  ' if written else ''}({RESEARCH_ONLY})",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    return 1 if problems else 0


def _compared(pair: FilePair, options: EvaluationOptions, picture: Path | None) -> Evaluation:
    comparison = compare(*pair.read(), options, pair.name)
    evaluation = comparison.evaluation()
    if picture is not None and not evaluation.is_empty():
        draw_disagreements(comparison, picture)
    return evaluation


def _try_outputs(paths: list[Path]) -> None:
    """Refuse paths that nothing can be written to."""
    for path in paths:
        if path.is_dir():
            raise UsageError(f"{path} is a folder.", "Name a file in it.")
        try:
            try_writing(path.parent)
        except OSError as error:
            reason = error.strerror or str(error)
            remedy = "Make its folder first, or name another."
            raise UsageError(f"{path} cannot be written: {reason}.", remedy) from error


def _print(one: Evaluation, console: Console) -> None:
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


def _objects(one: Evaluation) -> Table:
    return _table(
        one,
        ("objects", "truth", "pred", "error", "prec.", "recall", "F1", "near F1"),
        ("truth", "pred", "count_error", "precision", "recall", "f1", "centre_f1"),
    )


def _outlines(one: Evaluation) -> Table:
    return _table(
        one,
        ("outlines", "SQ", "PQ", "AJI", "Dice", "IoU", "area error"),
        ("sq", "pq", "aji", "dice", "iou", "area_error"),
    )


def _table(one: Evaluation, titles: tuple[str, ...], keys: tuple[str, ...]) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for number, title in enumerate(titles):
        table.add_column(title, justify="right" if number else "left", no_wrap=True)
    rows: list[tuple[str, Figures]] = [*one.classes.items(), (ALL, one.everything)]
    for name, figures in rows:
        told = figures.to_dict()
        table.add_row(escape(name), *(_number(key, told[key]) for key in keys))
    return table


def _number(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    if key in ("truth", "pred"):
        return f"{value:,.0f}"
    return f"{value:+.2%}" if key.endswith("_error") else f"{value:.3f}"


def _confused(one: Evaluation) -> list[str]:
    other = [
        (count, truth, pred)
        for (truth, pred), count in one.confusion.items()
        if truth != pred and truth != EXTRA and pred != MISSED
    ]
    missed = sum(count for (_, pred), count in one.confusion.items() if pred == MISSED)
    extra = sum(count for (truth, _), count in one.confusion.items() if truth == EXTRA)
    lines = [f"Missed {missed:,} · extra {extra:,} · of another class {sum(count for count, *_ in other):,}"]
    lines += [f"  {truth} → {pred}: {count:,}" for count, truth, pred in sorted(other, reverse=True)[:_MAX_LINES]]
    return [*lines, *(["  …"] if len(other) > _MAX_LINES else [])]


def _reviewed(one: Evaluation) -> list[str]:
    if one.review is None:
        return []
    counts = one.review.counts()
    told = " · ".join(f"{counts[name]:,} {name}" for name in ("kept", "reshaped", "reclassified", "deleted", "added"))
    both = counts["reshaped_and_reclassified"]
    return [f"By id: {told}{f' ({both:,} reshaped and reclassified)' if both else ''}"]
