"""Rendering: the template of a page, filled in; all text is escaped, whoever wrote it."""

import json
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from wsi_parse._version import __version__
from wsi_parse.pictures.page_layout import bar_um
from wsi_parse.report.fields import Field, FieldGroup
from wsi_parse.report.numbers import short
from wsi_parse.text import RESEARCH_ONLY, for_terminal

if TYPE_CHECKING:
    from jinja2 import Environment

#: The package with the base template.
REPORT = "wsi_parse.report"
_FIELD_IDS = UUID("0b6f3c1e-5f4e-5c1b-9d0a-2f6a8f1c7e21")


def render(template: str, package: str = REPORT, script: str = "", **context: Any) -> str:  # noqa: ANN401 - what it shows
    """Fill in a template.

    What would control a terminal (line breaks, changes of direction) is shown as an escape, and then all is escaped for
    HTML; only what this package drew (SVG) is put in as it is.

    Parameters
    ----------
    template : str
        Its file in the folder `templates` of a package.
    package : str
        Whose template it is; the base template and the style are those of this package.
    script : str
        Of the page. No other one is run, because the page names its hash.
    **context
        What the template shows.
    """
    script_sha256 = b64encode(sha256(script.encode()).digest()).decode() if script else ""
    return (
        _environment(package)
        .get_template(template)
        .render(notice=RESEARCH_ONLY, version=__version__, script=script, script_sha256=script_sha256, **context)
    )


@cache
def _environment(package: str) -> "Environment":
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from wsi_parse.report.compiled import CompiledTemplates

    def shown(value: object) -> object:
        return value if isinstance(value, Markup) else for_terminal(value)

    environment = Environment(
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=CompiledTemplates(),
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, REPORT))]),
    )
    environment.filters["drawn"] = Markup
    environment.filters["short"] = short
    environment.filters["lines"] = lambda text: Markup("\n").join(for_terminal(line) for line in text.split("\n"))
    environment.filters["paragraphs"] = lambda text: [part.replace("\n", " ") for part in text.split("\n\n") if part]
    return environment


def scale_bar(width_um: float) -> dict[str, Any]:
    """Return the label of a scale bar, and its part of the width of a picture in percent."""
    length_um = bar_um(width_um)
    label = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    return {"label": label, "percent": round(100 * length_um / width_um, 2)}


def offset_level0(manifest: Mapping[str, Any]) -> tuple[int, int]:
    """Return what QuPath subtracts from level-0 pixels: the origin of the slide's bounds, as in the other outputs."""
    bounds = manifest["slide"].get("bounds_level0_px")
    return (0, 0) if bounds is None or manifest["settings"]["export"]["frame"] == "level0" else (bounds[0], bounds[1])


def fields_geojson(groups: tuple[FieldGroup, ...], offset_level0: tuple[int, int]) -> str:
    """Return all fields as locked annotations for QuPath, base64."""
    features = [_feature(field, offset_level0) for group in groups for field in group.fields]
    text = json.dumps({"type": "FeatureCollection", "notice": RESEARCH_ONLY, "features": features})
    return b64encode(text.encode()).decode()


def _feature(field: Field, offset: tuple[int, int]) -> Mapping[str, Any]:
    box = field.box_level0
    left, top = box.x - offset[0], box.y - offset[1]
    right, bottom = left + box.width, top + box.height
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {
        "type": "Feature",
        "id": str(uuid5(_FIELD_IDS, f"{field.name} {left} {top}")),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "name": field.title, "isLocked": True},
    }
