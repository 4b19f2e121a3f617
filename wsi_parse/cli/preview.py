"""The preview command: a picture of tissue and tiles, and what a run would cost."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from wsi_parse.cautions import Caution, once
from wsi_parse.cli.options import (
    Config,
    FieldUm,
    Json,
    Model,
    Mpp,
    OneSlide,
    Organ,
    Out,
    OverrideMpp,
    Overrides,
    Prompts,
    Roi,
    Weights,
)
from wsi_parse.cli.request import check_settings, settings_of
from wsi_parse.cli.terminal import messages, say, say_caution
from wsi_parse.cli.text import describe_estimate
from wsi_parse.cli.unknown_pixel_size import help_with_pixel_size, lacks_pixel_size
from wsi_parse.files import check_can_be_folder

if TYPE_CHECKING:
    from wsi_parse.compute.plan import PassPlan
    from wsi_parse.geometry import Box
    from wsi_parse.run.estimate import TileTime
    from wsi_parse.run.prepared import PreparedRun
    from wsi_parse.settings import RunSettings
    from wsi_parse.tissue.mask import TissueMask


def preview(
    slide: OneSlide,
    prompt: Prompts = None,
    model: Model = None,
    field_um: FieldUm = None,
    mpp: Mpp = None,
    roi: Roi = None,
    out: Out = Path("wsi-parse-out"),
    weights: Weights = None,
    organ: Organ = None,
    override_mpp: OverrideMpp = False,
    as_json: Json = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Draw tissue and tiles as a picture, and estimate how long a run takes.

    Only a few tiles are predicted, to see how long they take. Without --prompt, nuclei are assumed. If the slide has no
    pixel size, crops with rulers are drawn instead, and the pixel size is estimated from the nuclei.

    Examples
    --------
    wsi-parse preview slide.svs
        Draw the tissue and the tiles of a slide.
    wsi-parse preview slide.svs -p "neoplastic cells" --model biomedparse
        Compare what fields of 64, 128 and 256 µm would cost.
    wsi-parse preview no-pixel-size.tif
        See nuclei beside rulers, and get an estimate of the pixel size.
    """
    settings = settings_of(
        config,
        overrides,
        prompt,
        mpp=mpp,
        override_mpp=override_mpp,
        roi=roi,
        model=model,
        weights=weights,
        organ=organ,
        field_um=field_um,
    )
    if not settings.prompts:
        settings = settings.model_copy(update={"prompts": ("nuclei",)})
    check_settings(settings)
    check_can_be_folder(out)
    if lacks_pixel_size(slide, settings):
        help_with_pixel_size(slide, out, settings, as_json=as_json)
        return
    figures = _draw_and_estimate(slide, out, settings)
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        _print(figures)


def _draw_and_estimate(path: Path, out: Path, settings: "RunSettings") -> dict[str, Any]:
    """Draw the picture; return what a run would cost, as chosen and with each field that the model allows."""
    from wsi_parse.pictures.overlay import draw_preview
    from wsi_parse.run.estimate import estimate_cost, tile_time
    from wsi_parse.run.folders import output_folders
    from wsi_parse.run.nuclear_size import pixel_size_cautions, pixel_size_facts
    from wsi_parse.run.prepared import resolve_run
    from wsi_parse.run.resolve import resolve

    prepared = resolve_run(path, resolve(settings, require_weights=False))
    folder = output_folders([path], out)[0]
    with prepared.slide:
        tissue = prepared.tissue()
        passes = prepared.passes(tissue)
        folder.mkdir(parents=True, exist_ok=True)
        picture = folder / "preview.png"
        draw_preview(prepared.slide, tissue, [box for item in passes for box in _cores_level0(item)], picture)
        figures = estimate_cost(prepared, passes, tissue)
        sizes = pixel_size_cautions(prepared.slide, pixel_size_facts(prepared.slide, tissue))
        cautions = once((*prepared.cautions, *tissue.cautions, *sizes))
        # Fields cost the same for each tile, because all are enlarged to what the model reads.
        each = tile_time(prepared, passes[0], tissue)
        fields = {f"{field_um:g}": _at_field(prepared, tissue, field_um, each) for field_um in prepared.spec.fields_um}
    return {
        "tissue_mm2": round(tissue.area_mm2, 4),
        **figures,
        "fields_um": fields,
        "chosen_fields_um": [item.scale_pass.field_um for item in passes],
        "notes": [*prepared.request.notes, *prepared.notes],
        "cautions": [caution.to_dict() for caution in cautions],
        "picture": str(picture),
    }


def _print(figures: dict[str, Any]) -> None:
    console = messages()
    for note in figures["notes"]:
        say(console, note)
    for caution in figures["cautions"]:
        say_caution(console, Caution(**caution))
    typer.echo(f"tissue {figures['tissue_mm2']:.3g} mm² · {describe_estimate(figures)}\n→ {figures['picture']}")
    for field_um, choice in figures["fields_um"].items():
        typer.echo(f"  --field-um {field_um:<4} {describe_estimate(choice)}")
    if figures["fields_um"]:
        chosen = ", ".join(f"{field_um:g} µm" for field_um in figures["chosen_fields_um"])
        typer.echo(f"Smaller fields need more tiles and show finer objects. Chosen now: {chosen}.")


def _at_field(prepared: "PreparedRun", tissue: "TissueMask", field_um: float, each: "TileTime") -> dict[str, Any]:
    """Estimate a run in which every tile covers `field_um`."""
    from wsi_parse.run.estimate import estimate_cost

    model = prepared.settings.model.model_copy(update={"field_um": field_um})
    scale_passes = prepared.request.model.plan(prepared.prompts, model)
    other = replace(prepared, request=replace(prepared.request, scale_passes=scale_passes))
    return estimate_cost(other, other.passes(tissue), tissue, as_timed=each)


def _cores_level0(item: "PassPlan") -> list["Box"]:
    from wsi_parse.geometry import Box

    grid = item.selection.grid
    boxes = []
    for tile in grid.tiles():
        if item.selection.chosen[tile.row, tile.column]:
            corners = grid.frame.to_level0([(tile.core.x, tile.core.y), (tile.core.right, tile.core.bottom)])
            (left, top), (right, bottom) = corners.round().astype(int).tolist()
            boxes.append(Box.from_corners(left, top, right, bottom))
    return boxes
