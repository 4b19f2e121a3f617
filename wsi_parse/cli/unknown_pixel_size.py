"""What preview does with a slide that has no pixel size: rulers beside nuclei, an estimate, and the next command."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from wsi_parse.cautions import DAMAGED_DESCRIPTION
from wsi_parse.text import for_terminal

if TYPE_CHECKING:
    from wsi_parse.settings import RunSettings
    from wsi_parse.tissue.pixel_size_estimate import PixelSizeEstimate

RULERS_NAME = "pixel_size.png"
# Tissue is found with any pixel size; nothing that is reported depends on it.
_ASSUMED_MPP = 0.5


def lacks_pixel_size(path: Path, settings: "RunSettings") -> bool:
    """Return whether neither the slide nor the user gives a pixel size."""
    from wsi_parse.slides import SlideOptions, open_slide

    if settings.slide.mpp is not None or settings.slide.override_mpp:
        return False
    with open_slide(path, SlideOptions(reader=settings.slide.reader)) as slide:
        return slide.info.pixel_size is None


def help_with_pixel_size(path: Path, out: Path, settings: "RunSettings", *, as_json: bool) -> None:
    """Draw crops with rulers, and print the estimate and the command that comes next."""
    facts = _draw_and_estimate(path, out, settings)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    from wsi_parse.pictures.rulers import HOW_TO_READ

    typer.echo(f"{facts['slide']} has no pixel size. {facts['sentence']}")
    for caution in facts["cautions"]:
        typer.echo(f"caution {for_terminal(caution)}")
    if facts["picture"]:
        typer.echo(f"→ {facts['picture']}  ({HOW_TO_READ})")
        typer.echo(f"Then continue with that number: {facts['next']}")


def _draw_and_estimate(path: Path, out: Path, settings: "RunSettings") -> dict[str, Any]:
    from wsi_parse.pictures.rulers import draw_rulers
    from wsi_parse.run.folders import output_folders
    from wsi_parse.slides import SlideOptions, open_slide
    from wsi_parse.tissue.dense_fields import dense_fields
    from wsi_parse.tissue.detection import detect_tissue
    from wsi_parse.tissue.pixel_size_estimate import estimate_pixel_size

    with open_slide(path, SlideOptions(_ASSUMED_MPP, override_mpp=True, reader=settings.slide.reader)) as slide:
        if settings.slide.name is not None:
            slide.info = replace(slide.info, name=settings.slide.name)
        fields = dense_fields(slide, detect_tissue(slide, settings.tissue))
        estimate = estimate_pixel_size(fields)
        picture = None
        if fields:
            folder = output_folders([path], out)[0]
            folder.mkdir(parents=True, exist_ok=True)
            picture = folder / RULERS_NAME
            draw_rulers(slide, fields, _sentence(estimate), estimate.mpp if estimate else None, picture)
        return {
            "slide": slide.name,
            "cautions": [str(caution) for caution in slide.info.cautions if caution.code == DAMAGED_DESCRIPTION],
            "mpp": None,
            "estimated_mpp": _rounded(estimate.mpp) if estimate else None,
            "low_mpp": _rounded(estimate.low) if estimate else None,
            "high_mpp": _rounded(estimate.high) if estimate else None,
            "sentence": _sentence(estimate) if fields else "No tissue was found, so that nothing can be measured.",
            "picture": str(picture) if picture else None,
            "next": f"wsi-parse preview {shlex.quote(str(path))} --mpp {_rounded(estimate.mpp) if estimate else 'µm'}",
        }


def _sentence(estimate: "PixelSizeEstimate | None") -> str:
    if estimate is None:
        return "It cannot be told from the nuclei: too few are seen, or they are seen too badly."
    return f"By the size of its nuclei, it is about {estimate}."


def _rounded(mpp: float) -> float:
    return float(f"{mpp:.2g}")
