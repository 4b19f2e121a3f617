"""What may be told of a run: no path, no label, no date, no identifier of the slide's metadata."""

from typing import Any

from wsi_parse._version import __version__
from wsi_parse.compute.plan import PassPlan
from wsi_parse.models.contract import ModelSpec, State
from wsi_parse.models.weights import Weights
from wsi_parse.notice import RESEARCH_ONLY
from wsi_parse.prompts import Prompt
from wsi_parse.run.prepared import PreparedRun
from wsi_parse.slides import Slide


def describe_pass(item: PassPlan) -> dict[str, Any]:
    """Tell how a pass was cut up."""
    return {
        "name": item.scale_pass.name,
        "field_um": item.scale_pass.field_um,
        "read_mpp": item.scale_pass.read_mpp,
        "object_mpp": item.chunks.frame.mpp_x,
        "tile_px": item.selection.grid.tile_px,
        "overlap_px": item.selection.grid.overlap_px,
        "tiles": item.selection.count,
        "blocks": len(item.selection.blocks()),
        "chunks": len(item.chunks.chunks(item.selection)),
        "prompts": [recipe.prompt.name for recipe in item.scale_pass.recipes],
        "words": [recipe.model_prompt or recipe.prompt.name for recipe in item.scale_pass.recipes],
    }


def describe_slide(slide: Slide) -> dict[str, Any]:
    """Tell what may be told of a slide: no path, no label, no dates, no identifiers of its metadata."""
    info = slide.info
    size, bounds = info.pixel_size, info.bounds_level0
    return {
        "name": info.name,
        "fingerprint": info.fingerprint,
        "reader": info.reader,
        "vendor": info.vendor,
        "width_px": info.width,
        "height_px": info.height,
        "levels": len(info.levels),
        "mpp_x_um": size.x_um if size else None,
        "mpp_y_um": size.y_um if size else None,
        "mpp_source": size.source if size else None,
        "bounds_level0_px": [bounds.x, bounds.y, bounds.width, bounds.height] if bounds else None,
    }


def describe_model(spec: ModelSpec, weights: Weights | None = None) -> dict[str, Any]:
    """Tell what a model is, under which licence, from which weights."""
    return {
        "name": spec.name,
        "summary": spec.summary,
        "licence": spec.licence,
        "purpose": spec.purpose,
        "weights_sha256": weights.sha256 if weights else None,
        "weights_revision": weights.revision if weights else None,
    }


def describe_prompts(prompts: tuple[Prompt, ...]) -> list[dict[str, Any]]:
    """Tell what was asked for, and what it was taken for."""
    return [
        {"text": prompt.text, "name": prompt.name, "kind": prompt.kind, "class": prompt.class_name}
        for prompt in prompts
    ]


def provenance(prepared: PreparedRun, state: State) -> dict[str, Any]:
    """Tell what every output says of its making; no clock, so that the same run gives the same bytes."""
    return {
        "notice": RESEARCH_ONLY,
        "wsi_parse": __version__,
        "slide": describe_slide(prepared.slide),
        "frame": prepared.settings.export.frame,
        "offset_level0_px": list(prepared.offset_level0),
        "model": {**describe_model(prepared.spec, prepared.weights), "precision": state.get("precision")},
        "prompts": describe_prompts(prepared.prompts),
        "cautions": list(prepared.cautions),
        "digest": prepared.digest,
    }
