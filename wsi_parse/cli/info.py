"""The info command: what is known about a slide."""

import json
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from wsi_parse.cli.options import Json, Mpp, OneSlide, OverrideMpp
from wsi_parse.cli.terminal import safe

if TYPE_CHECKING:
    from wsi_parse.slides import Slide


def info(slide: OneSlide, mpp: Mpp = None, override_mpp: OverrideMpp = False, as_json: Json = False) -> None:
    """Show what is known about a slide: size, levels, pixel size, scanner vendor.

    Examples
    --------
    wsi-parse info slide.svs
        Show size, levels and pixel size.
    wsi-parse info slide.tif --mpp 0.25
        See whether a pixel size fits a file that has none.
    wsi-parse info slide.svs --json
        Print it as JSON, for a script.
    """
    from wsi_parse.slides import SlideOptions, open_slide

    with open_slide(slide, SlideOptions(mpp, override_mpp)) as opened:
        facts, levels = _facts(opened), _levels(opened)
    if as_json:
        typer.echo(json.dumps({**facts, "levels": levels}))
        return
    _print(facts, levels)


def _facts(slide: "Slide") -> dict[str, Any]:
    from wsi_parse.run.slide_provenance import slide_provenance

    stated = slide.info.stated_pixel_size
    return {
        **slide_provenance(slide),
        "objective_power": slide.info.objective_power,
        "stated_mpp_um": [stated.x_um, stated.y_um] if stated else None,
        "stated_mpp_source": stated.source if stated else None,
        "notes": list(slide.info.notes),
        "cautions": [caution.to_dict() for caution in slide.info.cautions],
    }


def _levels(slide: "Slide") -> list[dict[str, Any]]:
    return [
        {"width": level.width, "height": level.height, "downsample": level.downsample_x} for level in slide.info.levels
    ]


def _print(facts: dict[str, Any], levels: list[dict[str, Any]]) -> None:
    table = Table(show_header=False, show_edge=False)
    for title, text in _rows(facts):
        table.add_row(title, safe(text))
    for index, level in enumerate(levels):
        table.add_row(f"level {index}", f"{level['width']:,} x {level['height']:,} px, 1 : {level['downsample']:g}")
    console = Console()
    console.print(table)
    for note in facts["notes"]:
        console.print(safe(note), highlight=False)
    for caution in facts["cautions"]:
        console.print(safe(f"{caution['text']} {caution['remedy']}"), highlight=False)
    if facts["mpp_x_um"] is not None:
        return
    if facts["stated_mpp_um"] is not None:
        x_um, y_um = facts["stated_mpp_um"]
        said = f"The file says {x_um:.4g} x {y_um:.4g} µm per pixel ({facts['stated_mpp_source']}), which no slide has."
        console.print(safe(said), highlight=False)
    console.print("The file has no pixel size. Give it to a run with --mpp.", highlight=False)


def _rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Put what is known into words for a person, with units."""
    x_um, y_um, bounds = facts["mpp_x_um"], facts["mpp_y_um"], facts["bounds_level0_px"]
    power, vendor = facts["objective_power"], facts["vendor"]
    return [
        ("name", facts["name"]),
        ("size", f"{facts['width_px']:,} x {facts['height_px']:,} px"),
        ("pixel size", "unknown" if x_um is None else f"{x_um:.6g} x {y_um:.6g} µm ({facts['mpp_source']})"),
        ("bounds", "none" if bounds is None else "x {}, y {}, {} x {} px at level 0".format(*bounds)),
        ("objective power", "unknown" if power is None else f"{power:g}x"),
        ("vendor", vendor or "unknown"),
        ("reader", facts["reader"]),
        ("fingerprint", facts["fingerprint"]),
    ]
