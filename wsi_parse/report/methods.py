"""The methods paragraph of a run, made from its manifest alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from wsi_parse.report.numbers import short
from wsi_parse.text import for_terminal


def methods_paragraph(manifest: Mapping[str, Any]) -> str:
    """Say in whole sentences how a result was made, for the methods section of a paper.

    Parameters
    ----------
    manifest : mapping
        The content of run.json.

    Returns
    -------
    str
        One line; what would control a terminal is shown as an escape.
    """
    settings = manifest["settings"]
    sentences = [
        _slide(manifest),
        _tissue(manifest),
        _model(manifest),
        *(_pass(item) for item in manifest["passes"]),
        *_objects(settings["objects"]),
        _counts(manifest),
    ]
    return for_terminal(" ".join(filter(None, sentences)))


def _slide(manifest: Mapping[str, Any]) -> str:
    slide = manifest["slide"]
    x, y = slide.get("mpp_x_um"), slide.get("mpp_y_um")
    size = f"{x:.4g}" if x == y else f"{x:.4g} × {y:.4g}"
    return (
        f"The whole-slide image ({slide['width_px']:,} × {slide['height_px']:,} pixels of {size} µm; pixel size: "
        f"{slide['mpp_source']}) was processed with wsi-parse {manifest['wsi_parse']}."
    )


def _tissue(manifest: Mapping[str, Any]) -> str:
    settings = manifest["settings"]
    where = " inside the regions of interest" if settings["slide"].get("roi") else ""
    if not settings["tissue"]["detect"]:
        return f"The whole image{where} was searched."
    area = manifest.get("tissue_mm2") or 0
    return (
        f"Tissue{where} was detected at {settings['tissue']['mpp']:g} µm per pixel; densities refer to its area "
        f"without glass, {short(area)} mm²."
    )


def _model(manifest: Mapping[str, Any]) -> str:
    model = manifest["model"]
    prompts = _listed([f"“{prompt['text']}”" for prompt in manifest["prompts"]])
    weights = model.get("weights_sha256")
    facts = [f"SHA-256 of the weights {weights[:16]}…"] if weights else []
    if model.get("weights_revision"):
        facts.append(f"revision {model['weights_revision']}")
    behind = f" ({', '.join(facts)})" if facts else ""
    return f"The model {model['name']}{behind} looked for {prompts}."


def _pass(item: Mapping[str, Any]) -> str:
    return (
        f"For {_listed(item['prompts'])}, {item['tiles']:,} tiles of {item['field_um']:g} µm were read at "
        f"{item['read_mpp']:g} µm per pixel with an overlap of {item['overlap_px']} pixels; their predictions were "
        f"blended, and objects were made at {item['object_mpp']:g} µm per pixel."
    )


def _objects(settings: Mapping[str, Any]) -> Sequence[str]:
    found = [
        f"Outlines were drawn at a probability of {settings['threshold']:g}; cells below "
        f"{settings['min_cell_area_um2']:g} µm² and regions below {settings['min_region_area_um2']:g} µm² were removed."
    ]
    if settings.get("min_class_probability") is not None:
        found.append(f"Cells with a class probability below {settings['min_class_probability']:g} were called unsure.")
    if settings.get("cell_expansion_um"):
        found.append(f"Nuclei were grown by {settings['cell_expansion_um']:g} µm to cells, without overlap.")
    return found


def _counts(manifest: Mapping[str, Any]) -> str:
    densities, unsure = manifest["per_mm2"], manifest["unsure"]
    parts = []
    for name, count in manifest["counts"].items():
        facts = [f"{densities[name]:,.0f} per mm²"] if name in densities else []
        facts += [f"{unsure[name]:,} of an unsure class"] if unsure.get(name) else []
        parts.append(f"{count:,} {name}" + (f" ({', '.join(facts)})" if facts else ""))
    return f"Found were {_listed(parts)}." if parts else ""


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
