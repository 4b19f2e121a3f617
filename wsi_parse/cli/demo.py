"""The demo command: the embedded model on a painted slide, with how much of the truth it found, or on real tissue."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from wsi_parse.cli.options import Out
from wsi_parse.cli.run import run_slides
from wsi_parse.cli.terminal import messages, say, text_of
from wsi_parse.prompts import Prompt
from wsi_parse.text import for_terminal

_MATCH_UM = 6.0
# Prompt -> class of the painted truth. Only kinds that the model tells apart: it takes painted epithelial nuclei for
# inflammatory ones.
_CLASSES = {"neoplastic cells": "neoplastic", "inflammatory cells": "inflammatory"}
_MPP = 0.25
# What the model is good at on normal skin; classes of its nuclei are mostly unsure.
_REAL_PROMPTS = ("nuclei",)
_ANNOTATIONS = "annotations.geojson"


Real = Annotated[
    bool,
    typer.Option(
        "--real",
        help="Take a piece of real tissue in place of the painted slide: skin from OpenSlide's test data (CC0, 2 MB), "
        "downloaded once into the cache. If it cannot be downloaded, the painted slide is used.",
    ),
]


def demo(out: Out = Path("demo-out"), real: Real = False) -> None:
    """Show everything on a small slide, from the slide to a report; without a network, unless --real is given.

    The slide is painted, with known cells, and the result is compared with them. With --real it is a piece of skin.

    Examples
    --------
    wsi-parse demo
        Write slide, truth and results to demo-out.
    wsi-parse demo --real
        Find the nuclei in real tissue, which is downloaded the first time.
    wsi-parse demo -o /tmp/demo
        Write everything to another folder.
    """
    console = messages()
    slide = _fetched(console) if real else None
    if slide is None:
        _painted_demo(out, console)
    else:
        _real_demo(slide, out, console)


def _fetched(console: Console) -> Path | None:
    """Return the path of the real slide, or say why it is not there."""
    from wsi_parse.cli.real_slide import SKIN, is_cached, real_slide
    from wsi_parse.errors import DownloadError

    if not is_cached():
        say(console, f"Downloading {SKIN.name} ({SKIN.bytes / 1e6:.1f} MB, CC0) from {SKIN.server} into the cache.")
    try:
        return real_slide()
    except DownloadError as error:
        say(console, f"There is no real slide: {text_of(error)} The demo goes on with the painted one.")
        return None


def _real_demo(slide: Path, out: Path, console: Console) -> None:
    """Find the nuclei of real tissue; there is no truth to compare with."""
    folder = _segmented(slide, out, _REAL_PROMPTS, organ="skin")
    say(
        console,
        "This is skin without a tumor (OpenSlide's test data, CC0), and nobody has marked its nuclei: judge by eye. "
        "How accurate the model was where that is known: wsi-parse models mini",
    )
    _say_where(console, slide, folder)


def _painted_demo(out: Path, console: Console) -> None:
    """Paint a slide, find two kinds of its cells, and compare them with the truth."""
    from wsi_parse.synthetic import demo_slide

    out.mkdir(parents=True, exist_ok=True)
    slide, truth = out / "demo.svs", out / "demo_truth.geojson"
    if not (slide.exists() and truth.exists()):
        with console.status("Painting a synthetic slide …"):
            demo_slide(slide, truth=truth)
    folder = _segmented(slide, out, tuple(_CLASSES), organ="painted")
    console.print(f"Compared with the painted truth; centres match within {_MATCH_UM:g} µm:", highlight=False)
    console.print(_comparison(folder / _ANNOTATIONS, truth))
    say(
        console,
        "Painted cells are not real tissue: the demo shows that everything works together, but not how accurate the "
        "model is. To see that: wsi-parse models mini; to see real tissue: wsi-parse demo --real",
    )
    _say_where(console, slide, folder)


def _segmented(slide: Path, out: Path, prompts: tuple[str, ...], *, organ: str) -> Path:
    """Segment the slide with the embedded model, and return the folder of its results."""
    from wsi_parse.run.folders import output_folders
    from wsi_parse.settings import RunSettings

    settings = RunSettings.load(prompts=prompts, model={"name": "mini", "organ": organ})
    if code := run_slides([slide], out, settings, dry_run=False, as_json=False):
        raise typer.Exit(code)
    return output_folders([slide], out)[0]


def _say_where(console: Console, slide: Path, folder: Path) -> None:
    """Say what to open: the report, or slide and annotations in QuPath."""
    from wsi_parse.report.page import REPORT_NAME

    report, annotations = folder / REPORT_NAME, folder / _ANNOTATIONS
    console.print(
        for_terminal(f"Open {report} in a browser; or open {slide} in QuPath and drag {annotations} onto it."),
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _comparison(annotations: Path, truth: Path) -> Table:
    """Compare the objects of each prompt with the painted nuclei of that class."""
    import numpy as np

    from wsi_parse.evaluate import f1_score, match_centres
    from wsi_parse.evaluate.class_centres import class_centres_um

    table = Table(show_edge=False, pad_edge=False)
    for name in ("prompt", "painted", "found", "matched", "F1"):
        table.add_column(name, justify="left" if name == "prompt" else "right")
    found, known = class_centres_um(annotations, _MPP), class_centres_um(truth, _MPP)
    none = np.empty((0, 2))
    for prompt, painted_class in _CLASSES.items():
        ours, theirs = found.get(Prompt.parse(prompt).class_name, none), known.get(painted_class, none)
        matched = len(match_centres(ours, theirs, _MATCH_UM))
        f1 = f1_score(matched, len(ours), len(theirs))
        table.add_row(prompt, f"{len(theirs):,}", f"{len(ours):,}", f"{matched:,}", f"{f1:.2f}")
    return table
