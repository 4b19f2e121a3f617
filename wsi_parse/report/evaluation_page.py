"""The page of an evaluation: what the reviewer changed, then how well the files agree, class by class."""

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from wsi_parse.evaluate.evaluation import Evaluation, summed
from wsi_parse.evaluate.tables import ALL, OBJECT_FIGURES, OUTLINE_FIGURES, largest_classes
from wsi_parse.files import write_text
from wsi_parse.report.render import render

# Of a picture in the page, and of all of them together.
_PICTURE_PX, _QUALITY = 1600, 85
_MAX_PICTURES = 20
# Rows of each table; the other files have all.
_MAX_ROWS = 200
_OBJECTS = dict(
    zip(
        OBJECT_FIGURES,
        ("truth", "predicted", "error of the count", "precision", "recall", "F1", "F1 of centres"),
        strict=True,
    )
)
_OUTLINES = dict(zip(OUTLINE_FIGURES, ("SQ", "PQ", "AJI", "Dice", "IoU", "error of the area"), strict=True))


def write_evaluation_page(evaluations: Sequence[Evaluation], path: Path, pictures: Sequence[Path | None] = ()) -> None:
    """Write the page of one evaluation, or of several with their sum first.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        At least one.
    path : Path
        Written atomically.
    pictures : sequence of Path or None
        The picture of the differences of each, to be shown smaller; see
        :func:`wsi_parse.pictures.differences.draw_disagreements`.
    """
    several = len(evaluations) > 1
    parts = [_part(one, picture) for one, picture in zip(evaluations, _each(pictures, len(evaluations)), strict=True)]
    if several:
        parts.insert(0, _part(summed(list(evaluations)), None))
    write_text(path, render("evaluation.html.j2", parts=parts, objects=_OBJECTS, outlines=_OUTLINES, shown=_shown))


def _each(pictures: Sequence[Path | None], count: int) -> list[Path | None]:
    first = list(pictures)[:_MAX_PICTURES]
    return first + [None] * (count - len(first))


def _part(one: Evaluation, picture: Path | None) -> dict[str, Any]:
    """Gather what the page says of an evaluation."""
    facts = one.to_dict()
    rows = sorted(largest_classes(one, _MAX_ROWS))
    confused = sorted((row for row in facts["confusion"] if row["truth"] != row["pred"]), key=lambda row: -row["count"])
    return {
        "name": one.name,
        "is_empty": one.is_empty(),
        "sentence": None if one.review is None else one.review.sentence,
        "review": facts["review"],
        "rows": [(name, facts["classes"][name]) for name in rows] + [(ALL, facts["all"])],
        "confused": confused[:_MAX_ROWS],
        "notes": one.notes,
        "jpeg": "" if picture is None else _jpeg(picture),
    }


def _shown(key: str, value: float | None) -> str:
    """Write a figure: counts as such, errors with their sign."""
    if value is None:
        return "–"
    if key in ("truth", "pred"):
        return f"{value:,.0f}"
    return f"{value:+.1%}" if key.endswith("_error") else f"{value:.3f}"


def _jpeg(picture: Path) -> str:
    buffer = BytesIO()
    with Image.open(picture, formats=["PNG"]) as opened:
        smaller = opened.convert("RGB")
    smaller.thumbnail((_PICTURE_PX, _PICTURE_PX), Image.Resampling.LANCZOS)
    smaller.save(buffer, "JPEG", quality=_QUALITY)
    return b64encode(buffer.getvalue()).decode()
