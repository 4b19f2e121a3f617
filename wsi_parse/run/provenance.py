"""What outputs say about a run. They hold no path, label, date or identifier from the slide's metadata."""

from typing import Any

from wsi_parse._version import __version__
from wsi_parse.compute.plan import PassPlan
from wsi_parse.models.contract import ModelSpec, State
from wsi_parse.models.weights import Weights
from wsi_parse.notice import RESEARCH_ONLY
from wsi_parse.prompts import Prompt
from wsi_parse.run.prepared import PreparedRun
from wsi_parse.slides import Slide


def pass_provenance(item: PassPlan) -> dict[str, Any]:
    """Describe how a pass is divided into tiles, blocks and chunks."""
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


def slide_provenance(slide: Slide) -> dict[str, Any]:
    """Describe a slide without path, label, dates and identifiers of its metadata."""
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


def model_provenance(spec: ModelSpec, weights: Weights | None = None) -> dict[str, Any]:
    """Describe a model: name, licence, weights."""
    return {
        "name": spec.name,
        "summary": spec.summary,
        "licence": spec.licence,
        "purpose": spec.purpose,
        "weights_sha256": weights.sha256 if weights else None,
        "weights_revision": weights.revision if weights else None,
    }


def prompt_provenance(prompts: tuple[Prompt, ...]) -> list[dict[str, Any]]:
    """Describe the prompts: what was asked for, and how it was understood."""
    return [
        {"text": prompt.text, "name": prompt.name, "kind": prompt.kind, "class": prompt.class_name}
        for prompt in prompts
    ]


def provenance(prepared: PreparedRun, state: State) -> dict[str, Any]:
    """Describe how an output was made. There is no time in it, so that the same run gives the same bytes."""
    return {
        "notice": RESEARCH_ONLY,
        "wsi_parse": __version__,
        "slide": slide_provenance(prepared.slide),
        "frame": prepared.settings.export.frame,
        "offset_level0_px": list(prepared.offset_level0),
        "model": {**model_provenance(prepared.spec, prepared.weights), "precision": state.get("precision")},
        "prompts": prompt_provenance(prepared.prompts),
        "cautions": list(prepared.cautions),
        "digest": prepared.digest,
    }
