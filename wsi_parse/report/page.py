"""Report: the page of a run, gathered while the objects stream by, and written when all else is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shapely

from wsi_parse.files import write_text
from wsi_parse.objects.batch import ObjectBatch, ObjectSource
from wsi_parse.report.citations import Citation, citations
from wsi_parse.report.command import changed_settings, repeating_command
from wsi_parse.report.fields import field_groups, outside_path, rectangle_in
from wsi_parse.report.heat import SMOOTH_UM, HeatMap, heat_maps, palette
from wsi_parse.report.histograms import Histograms
from wsi_parse.report.lattice import FIELD_UM, FieldLattice
from wsi_parse.report.layers import Layers, css
from wsi_parse.report.methods import methods_paragraph
from wsi_parse.report.render import fields_geojson, offset_level0, render, scale_bar
from wsi_parse.report.tables import PromptFacts, prompt_facts
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask

REPORT_NAME = "report.html"
MAX_BYTES = 8_000_000
# Smaller pictures are tried one after another, until the page is small enough.
_QUALITIES = (1.0, 0.7, 0.5, 0.35, 0.2)


@dataclass(frozen=True)
class ModelNotes:
    """What a page says of a model, beside its manifest.

    Parameters
    ----------
    card : str
        Its card in short; paragraphs are separated by an empty line.
    citation : Citation or None
    limits : mapping of prompt name to float
        The class probability below which its cells are unsure, :data:`NEVER_SURE` if every cell is; without one, no
        cell is.
    """

    card: str = ""
    citation: Citation | None = None
    limits: Mapping[str, float] = field(default_factory=dict)


class Report:
    """The page of a run; its memory does not grow with the number of objects.

    Parameters
    ----------
    slide : Slide
    tissue : TissueMask
    source : ObjectSource
        Whose batches are written. When all of them were, the objects of some fields are read from it again.
    """

    def __init__(self, slide: Slide, tissue: TissueMask, source: ObjectSource) -> None:
        self._slide, self._source, self._region = slide, source, tissue.region
        self.lattice = FieldLattice(slide, tissue, source.classes)
        self.layers = Layers(slide, tissue, source.classes)
        self.histograms = Histograms(source.classes)

    def write(self, batch: ObjectBatch) -> None:
        """Add a batch of objects."""
        if not len(batch):
            return
        middle = shapely.get_coordinates(shapely.centroid(batch.geometry))
        self.lattice.add(batch, middle)
        self.layers.add(batch, middle)
        self.histograms.add(batch)

    def finish(
        self,
        path: Path,
        manifest: Mapping[str, Any],
        seconds: Mapping[str, float],
        notes: ModelNotes,
        *,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """Write the page.

        Parameters
        ----------
        path : Path
            Written atomically.
        manifest : mapping
            The content of run.json, with everything but the times and the page itself.
        seconds : mapping of str to float
            The time of each stage so far.
        notes : ModelNotes
        max_bytes : int
            Pictures become smaller until the page is.
        """
        prompts = prompt_facts(manifest, self._source.classes, self.histograms, notes.limits)
        heat = heat_maps(self.lattice, self._source.classes)
        for quality in _QUALITIES:
            text = self._page(manifest, prompts, heat, seconds, notes, quality)
            if len(text.encode()) <= max_bytes:
                break
        write_text(path, text)

    def _page(
        self,
        manifest: Mapping[str, Any],
        prompts: Sequence[PromptFacts],
        heat: Sequence[HeatMap | None],
        seconds: Mapping[str, float],
        notes: ModelNotes,
        quality: float,
    ) -> str:
        layers, lattice = self.layers, self.lattice
        seed = int(manifest["digests"]["objects"] or "0", 16)
        region = self._region
        groups = field_groups(self._slide, lattice, self._source, seed, region_level0=region, quality=quality)
        offset = offset_level0(manifest)
        return render(
            "report.html.j2",
            css=css,
            manifest=manifest,
            prompts=prompts,
            heat=heat,
            heat_box=rectangle_in(layers.view, lattice.box_level0),
            smooth_um=SMOOTH_UM,
            slide_jpeg=layers.slide_jpeg(quality),
            layers=[layers.png(prompt.number, quality) for prompt in prompts],
            tissue_path=layers.tissue_path(),
            region_path=layers.region_path(),
            outside_path=outside_path(layers.view, region),
            view=layers.view,
            view_scale=scale_bar(layers.view.box.width * layers.view.frame.mpp_x),
            outlined=layers.outlines_cells,
            groups=groups,
            field_um=FIELD_UM,
            field_scale=scale_bar(FIELD_UM),
            offset=offset,
            fields_geojson=fields_geojson(groups, offset),
            palette=[css(colour) for colour in palette()[::23].tolist()] if any(heat) else [],
            seconds=seconds,
            device=device_of(manifest),
            card=notes.card,
            command=repeating_command(manifest),
            changed=changed_settings(manifest["settings"]),
            methods=methods_paragraph(manifest),
            citations=citations(manifest, notes.citation),
        )


def device_of(manifest: Mapping[str, Any]) -> str:
    """Return where the model computed, as it says in its state; else CPU."""
    state = manifest["model"].get("state") or {}
    return str(state.get("device_name") or state.get("device") or "CPU")
