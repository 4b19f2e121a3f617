"""Commands that only show: a slide, a preview, the models, the settings."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
import yaml
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from wsi_parse.compute.plan import PassPlan
from wsi_parse.errors import WeightsError
from wsi_parse.geometry import Box
from wsi_parse.models.weights import Weights
from wsi_parse.pictures.overlay import draw_preview
from wsi_parse.registry import MODELS
from wsi_parse.run.estimate import estimate_cost
from wsi_parse.run.folders import output_folders
from wsi_parse.run.prepared import PreparedRun, resolve_run
from wsi_parse.run.provenance import model_provenance, slide_provenance
from wsi_parse.settings import ModelSettings, RunSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.tissue.mask import TissueMask


def in_words(figures: dict[str, Any]) -> str:
    """Put :func:`estimate_cost` into words."""
    time = duration(figures["expected_seconds"])
    return (
        f"{figures['tiles']:,} tiles in {figures['blocks']:,} blocks · about {time} on this CPU with {figures['model']}"
    )


def duration(seconds: float) -> str:
    """Put seconds into the two units that matter.

    >>> duration(59.6), duration(3 * 3600 + 125), duration(90000)
    ('1 min 0 s', '3 h 2 min', '1 d 1 h')
    """
    left = round(seconds)
    for (large, size), (small, part) in pairwise((("d", 86400), ("h", 3600), ("min", 60), ("s", 1))):
        if left >= size:
            return f"{left // size} {large} {left % size // part} {small}"
    return f"{left} s"


def show_slide(path: Path, mpp: float | None, *, override_mpp: bool, as_json: bool) -> None:
    """Show what is known of a slide."""
    with open_slide(path, SlideOptions(mpp, override_mpp)) as slide:
        facts = slide_provenance(slide)
        facts["objective_power"] = slide.info.objective_power
        levels = [
            {"width": level.width, "height": level.height, "downsample": level.downsample_x}
            for level in slide.info.levels
        ]
    if as_json:
        typer.echo(json.dumps({**facts, "levels": levels}))
        return
    table = Table(show_header=False, show_edge=False)
    for name, value in facts.items():
        table.add_row(name, "not known" if value is None else str(value))
    for index, level in enumerate(levels):
        table.add_row(f"level {index}", f"{level['width']} x {level['height']} px, 1 : {level['downsample']:g}")
    console = Console()
    console.print(table)
    if facts["mpp_x_um"] is None:
        console.print("A run needs the pixel size: give --mpp.", highlight=False)


def show_preview(path: Path, out: Path, settings: RunSettings, *, as_json: bool) -> None:
    """Draw tissue and tiles; say what a run would cost."""
    prepared = resolve_run(path, settings, require_weights=False)
    folder = output_folders([path], out)[0]
    with prepared.slide:
        tissue = prepared.tissue()
        passes = prepared.passes(tissue)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / "preview.png"
        draw_preview(prepared.slide, tissue, [box for item in passes for box in _cores_level0(item)], target)
        choices = {field_um: _at_field(prepared, tissue, field_um) for field_um in prepared.spec.fields_um}
    figures = {
        "tissue_mm2": round(tissue.area_mm2, 4),
        **estimate_cost(prepared, passes),
        "fields_um": {f"{field_um:g}": told for field_um, told in choices.items()},
        "notes": list(prepared.notes),
        "picture": str(target),
    }
    if as_json:
        typer.echo(json.dumps(figures))
        return
    for note in prepared.notes:
        typer.echo(note)
    typer.echo(f"tissue {tissue.area_mm2:.3g} mm² · {in_words(figures)}\n→ {target}")
    for field_um, told in choices.items():
        typer.echo(f"  --field-um {field_um:<4g} {in_words(told)}")
    if choices:
        trained = ", ".join(f"{item.scale_pass.field_um:g}" for item in passes)
        typer.echo(f"Smaller fields cost more tiles and show finer objects; chosen now: {trained} um.")


def _at_field(prepared: PreparedRun, tissue: TissueMask, field_um: float) -> dict[str, Any]:
    """What a run would cost if every tile covered so much."""
    model = prepared.settings.model.model_copy(update={"field_um": field_um})
    scale_passes = MODELS.get(prepared.spec.name).plan(prepared.prompts, model)
    other = replace(prepared, scale_passes=scale_passes)
    return estimate_cost(other, other.passes(tissue))


def _cores_level0(item: PassPlan) -> list[Box]:
    grid = item.selection.grid
    boxes = []
    for tile in grid.tiles():
        if item.selection.chosen[tile.row, tile.column]:
            corners = grid.frame.to_level0([(tile.core.x, tile.core.y), (tile.core.right, tile.core.bottom)])
            (left, top), (right, bottom) = corners.round().astype(int).tolist()
            boxes.append(Box.from_corners(left, top, right, bottom))
    return boxes


def show_models(*, as_json: bool) -> None:
    """List the models."""
    if as_json:
        typer.echo(json.dumps([_told(name) for name in MODELS.names()]))
        return
    console = Console()
    for name in MODELS.names():
        console.print(_in_short(name))


def show_model(name: str, *, as_json: bool) -> None:
    """Show one model, and its card."""
    card = MODELS.get(name).card()
    if as_json:
        typer.echo(json.dumps({**_told(name), "card": card}))
        return
    console = Console()
    console.print(_in_short(name))
    if card:
        console.print(f"\n{card}", highlight=False, markup=False)


def _told(name: str) -> dict[str, Any]:
    spec, (weights, missing) = MODELS.get(name).spec, _installed(name)
    return {**model_provenance(spec, weights), "prompts": list(spec.prompts), "missing": missing or None}


def _in_short(name: str) -> Table:
    spec, (weights, missing) = MODELS.get(name).spec, _installed(name)
    knows = ", ".join(spec.prompts) + (", and free text" if spec.free_text else "")
    state = missing or (f"installed, sha256 {weights.sha256[:12]}…" if weights else "none needed")
    table = Table(title=f"[bold]{spec.name}[/bold]", title_justify="left", show_header=False, box=None)
    for title, text in (
        ("", spec.summary),
        ("knows", knows),
        ("licence", f"{spec.licence}; {spec.purpose}"),
        ("weights", state),
    ):
        table.add_row(title, text)
    return table


def _installed(name: str) -> tuple[Weights | None, str]:
    """Weights of a model, or why there are none."""
    try:
        return MODELS.get(name).find_weights(ModelSettings()), ""
    except WeightsError as error:
        return None, str(error)


def show_settings(settings: RunSettings) -> None:
    """Print settings as YAML with a comment a line."""
    typer.echo(as_yaml(settings), nl=False)


def as_yaml(model: BaseModel, indent: str = "") -> str:
    """Write settings as YAML; each line says what it means."""
    lines = []
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            lines.append(f"{indent}{name}:  # {(type(value).__doc__ or '').strip()}\n{as_yaml(value, indent + '  ')}")
            continue
        plain = model.model_dump(mode="json", include={name})[name]
        text = yaml.safe_dump(plain, default_flow_style=True).removesuffix("\n").removesuffix("\n...")
        lines.append(f"{indent}{name}: {text}  # {field.description}\n")
    return "".join(lines)
