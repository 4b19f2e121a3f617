"""What outputs say about a run. They hold no path, label, date or identifier from the slide's metadata."""

from typing import Any

from wsi_parse.compute.plan import PassPlan
from wsi_parse.models.contract import ModelSpec
from wsi_parse.models.weights import Weights
from wsi_parse.prompts import Prompt
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.manifest_facts import ModelFacts, PassFacts, PromptFacts
from wsi_parse.run.sureness import sure_from
from wsi_parse.text import RESEARCH_ONLY


def pass_provenance(item: PassPlan) -> PassFacts:
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
        "sure_from": sure_from(item.scale_pass),
        "words": [recipe.model_prompt or recipe.prompt.name for recipe in item.scale_pass.recipes],
    }


def model_provenance(spec: ModelSpec, weights: Weights | None = None) -> ModelFacts:
    """Describe a model: name, licence, weights."""
    return {
        "name": spec.name,
        "summary": spec.summary,
        "licence": spec.licence,
        "purpose": spec.purpose,
        "weights_sha256": weights.sha256 if weights else None,
        "weights_revision": weights.revision if weights else None,
    }


def prompt_provenance(prompts: tuple[Prompt, ...]) -> list[PromptFacts]:
    """Describe the prompts: what was asked for, and how it was understood."""
    return [
        {
            "text": prompt.text,
            "name": prompt.name,
            "kind": prompt.kind,
            "class": prompt.class_name,
            "colour": list(prompt.colour),
        }
        for prompt in prompts
    ]


def provenance(manifest: RunManifest) -> dict[str, Any]:
    """Describe how an output was made, from the manifest of its run.

    There is no time in it, and nothing of the other outputs, so that the same objects give the same bytes, also where a
    file is written later.
    """
    model = {name: value for name, value in manifest.model.items() if name not in {"state", "largest_batch"}}
    return {
        "notice": RESEARCH_ONLY,
        "wsi_parse": manifest.wsi_parse,
        "slide": manifest.slide,
        "frame": manifest.settings["export"]["frame"],
        "offset_level0_px": list(manifest.offset_level0),
        "model": {**model, "precision": manifest.model.get("state", {}).get("precision")},
        "prompts": manifest.prompts,
        "limitations": manifest.limitations,
        "digest": manifest.digests.objects,
    }
