"""The page of a verification: one HTML file without anything from elsewhere, with all numbers and two pictures."""

import base64
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_parse.evaluate.field_scores import FieldScores
from wsi_parse.text import for_html

_MAX_PICTURE_PX = 1200
_TRUE, _FOUND = (20, 110, 200), (230, 90, 0)
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "body{color:#222;background:#fff}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;"
    "border-bottom:1px solid #ccc;overflow-wrap:anywhere}th{font-weight:600;width:16rem}img{max-width:100%;height:auto}"
    ".failed{color:#a00;font-weight:600}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}th,td{border-color:#444}.failed{color:#f88}}"
)
_STEPS = {
    "weights": "Weights",
    "prediction": "One painted field",
    "tiles": "Tiles with a truth",
    "slide": "One slide",
    "memory": "Memory of this process",
    "machine": "Machine",
    "versions": "Versions",
}


def page_of(facts: Mapping[str, Any], scores: FieldScores | None, overlay: Path | None) -> str:
    """Return the page.

    Parameters
    ----------
    facts : mapping
        As in the JSON.
    scores : FieldScores or None
        Its first field is shown.
    overlay : Path or None
        Picture of the slide.
    """
    return "\n".join(_lines(facts, scores, overlay)) + "\n"


def _lines(facts: Mapping[str, Any], scores: FieldScores | None, overlay: Path | None) -> Iterator[str]:
    title = f"Verification of {for_html(facts['model'])}"
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body><main><h1>{title}</h1>"
    yield f"<p>{for_html(facts['notice'])}</p>"
    failed = [for_html(_STEPS.get(name, name)) for name in facts["failed"]]
    yield f'<p class="failed">Failed: {", ".join(failed)}.</p>' if failed else "<p>No step failed.</p>"
    left_out = [heading for name, heading in _STEPS.items() if "left_out" in facts.get(name, ())]
    if left_out:
        yield f"<p>Left out: {', '.join(left_out)}.</p>"
    yield f"<p>{for_html(facts['licence'])}; {for_html(facts['purpose'])}.</p>"
    if facts.get("published"):
        yield f"<p>{for_html(facts['published'])}</p>"
    yield _table({name: value for name, value in facts.items() if name not in (*_STEPS, "failed", "published")})
    for name, heading in _STEPS.items():
        if name in facts:
            yield f"<h2>{heading}</h2>{_table(facts[name])}"
        if name == "tiles" and scores is not None and scores.shown is not None:
            caption = "The first field with a truth: blue is the true outline, orange the predicted one."
            yield _picture(Image.fromarray(_outlined(*scores.shown)), caption)
        if name == "slide" and overlay is not None:
            with Image.open(overlay) as picture:
                yield _picture(picture.convert("RGB"), "The slide with its objects.")
    yield "</main></body></html>"


def _table(values: Mapping[str, Any]) -> str:
    rows = (
        f"<tr><th scope=row>{for_html(name.replace('_', ' '))}</th><td>{_cell(value)}</td></tr>"
        for name, value in values.items()
    )
    return f"<table>{''.join(rows)}</table>"


def _cell(value: Any) -> str:  # noqa: ANN401 - a value of JSON
    if isinstance(value, Mapping):
        return (
            "; ".join(f"{for_html(str(name).replace('_', ' '))} {_cell(each)}" for name, each in value.items()) or "–"
        )
    if isinstance(value, list | tuple):
        return "<br>".join(map(_cell, value)) or "–"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "–" if value is None else for_html(f"{value:,.4g}" if isinstance(value, float) else value)


def _picture(picture: Image.Image, caption: str) -> str:
    picture.thumbnail((_MAX_PICTURE_PX, _MAX_PICTURE_PX))
    packed = io.BytesIO()
    picture.save(packed, "JPEG", quality=85)
    data = base64.b64encode(packed.getvalue()).decode("ascii")
    return (
        f'<figure><img alt="{caption}" src="data:image/jpeg;base64,{data}"><figcaption>{caption}</figcaption></figure>'
    )


def _outlined(pixels: NDArray[np.uint8], truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Draw the rims of both masks."""
    out = pixels.copy()
    for mask, colour in ((truth, _TRUE), (found, _FOUND)):
        inner = mask.copy()
        inner[1:] &= mask[:-1]
        inner[:-1] &= mask[1:]
        inner[:, 1:] &= mask[:, :-1]
        inner[:, :-1] &= mask[:, 1:]
        out[mask & ~inner] = colour
    return out
