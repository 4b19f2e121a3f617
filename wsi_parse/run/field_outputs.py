"""Outputs on request that are counted on a lattice: heat maps, their grid for QuPath, the least certain places."""

import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.geojson import GeoJsonExporter
from wsi_parse.files import write_text
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.pictures.heat_page import HeatPanel, draw_heat_maps
from wsi_parse.pictures.page_layout import heading_of
from wsi_parse.prompts import Prompt, Rgb
from wsi_parse.qupath.features import classification
from wsi_parse.qupath.geometry import fit_for_qupath
from wsi_parse.report.choose import least_certain
from wsi_parse.report.heat import MIN_TISSUE, heat_maps, palette
from wsi_parse.report.lattice import PROBABILITY_STEPS, FieldLattice
from wsi_parse.settings import ExportSettings
from wsi_parse.slides.slide import Slide
from wsi_parse.text import RESEARCH_ONLY
from wsi_parse.tissue.mask import TissueMask

HEAT_NAME, GRID_NAME, PLACES_NAME = "heat_map.png", "heat_map.geojson", "least_certain.geojson"
GRID_UM = 256.0
_GRID = Prompt("grid", "grid", "cell", "Grid", (120, 126, 134), known=True)
_PLACE_CLASS, _PLACE_COLOUR = "Least certain", (230, 159, 0)
_IDS = UUID("7e1a3c52-64f7-5b0e-8f3a-2d9c0b5a6e14")


class FieldOutputs:
    """What is written of a lattice over the slide; its memory does not grow with the number of objects.

    Parameters
    ----------
    slide : Slide
    tissue : TissueMask
    classes : ClassTable
    settings : ExportSettings
        What was asked for.
    lattice : FieldLattice or None
        One that somebody else fills, such as the page of the run; None: an own one.
    """

    def __init__(
        self,
        slide: Slide,
        tissue: TissueMask,
        classes: ClassTable,
        settings: ExportSettings,
        lattice: FieldLattice | None = None,
    ) -> None:
        self._slide, self._tissue, self._classes, self._settings = slide, tissue, classes, settings
        self._lattice = lattice or FieldLattice(slide, tissue, classes)
        self._fills = lattice is None

    def write(self, batch: ObjectBatch) -> None:
        """Count a batch of objects."""
        if self._fills and len(batch):
            self._lattice.add(batch, shapely.get_coordinates(shapely.centroid(batch.geometry)))

    def finish(self, folder: Path, context: ExportContext) -> tuple[Path, ...]:
        """Write what was asked for; return the files."""
        paths: list[Path] = []
        if self._settings.heat_map:
            self._draw(folder / HEAT_NAME, str(context.provenance.get("model", {}).get("name", "")))
            self._write_grid(folder / GRID_NAME, context)
            paths += [folder / HEAT_NAME, folder / GRID_NAME]
        if self._settings.least_certain:
            write_text(folder / PLACES_NAME, self._places(context))
            paths.append(folder / PLACES_NAME)
        return tuple(paths)

    def _draw(self, path: Path, model: str) -> None:
        lattice, prompts = self._lattice, self._classes.prompts
        panels = []
        for prompt, heat in zip(prompts, heat_maps(lattice, self._classes), strict=True):
            picture = None if heat is None else heat.picture.convert("RGBA")
            title = prompt.class_name if heat is None else f"{prompt.class_name}, {heat.unit}"
            ticks = ("", "", "") if heat is None else heat.ticks
            panels.append(HeatPanel(title, picture, lattice.box_level0, ticks))
        heading = heading_of(self._slide.name, [prompt.text for prompt in prompts], model)
        draw_heat_maps(self._slide, self._tissue, panels, palette(), heading, path)

    def _write_grid(self, path: Path, context: ExportContext) -> None:
        """Write squares as detections, which QuPath colours by their measurements."""
        lattice = self._lattice
        steps = max(1, round(GRID_UM / lattice.step_um))
        tissue_mm2 = _summed(lattice.tissue_um2, steps) / 1e6
        counts = {prompt: _summed(lattice.counts[number], steps) for number, prompt in enumerate(self._classes.prompts)}
        there = sum(counts.values(), np.zeros(tissue_mm2.shape, np.int64)) > 0
        row, column = np.nonzero(there | (tissue_mm2 > 0))
        corner = np.stack([column, row], axis=1) * steps
        enough = tissue_mm2 >= MIN_TISSUE * (steps * lattice.step_um) ** 2 / 1e6
        measured: dict[str, NDArray[np.float64]] = {"tissue_mm2": tissue_mm2}
        for number, (prompt, count) in enumerate(counts.items()):
            measured[f"{prompt.name} count"] = count.astype(np.float64)
            measured[f"{prompt.name} per mm2"] = np.where(enough, count / np.maximum(tissue_mm2, 1e-9), np.nan)
            if prompt.kind == "region":
                covered = _summed(lattice.covered(number) * lattice.step_um**2 / 1e6, steps)
                percent = 100 * np.minimum(covered / np.maximum(tissue_mm2, 1e-9), 1)
                measured[f"{prompt.name} covered %"] = np.where(enough, percent, np.nan)
        shapes = fit_for_qupath(self._squares(corner, steps))
        kept = ~shapely.is_missing(shapes)
        batch = ObjectBatch(
            shapes[kept],
            np.zeros(int(kept.sum()), np.int16),
            np.array([str(uuid5(_IDS, f"grid {x} {y} {steps}")) for x, y in corner[kept].tolist()], object),
            {name: values[row, column][kept].astype(np.float32) for name, values in measured.items()},
        )
        with GeoJsonExporter(path, replace(context, classes=ClassTable.of([_GRID])), locked=True) as exporter:
            if len(batch):
                exporter.write(batch)

    def _places(self, context: ExportContext) -> str:
        """Return the least certain places as locked annotations, the least certain one first."""
        lattice = self._lattice
        _, certainty = lattice.certainty
        count, total = lattice.sums(certainty.count), lattice.sums(certainty.total)
        corners = least_certain(lattice, self._settings.least_certain)
        corner = np.array(corners, np.int64).reshape(-1, 2)[:, ::-1]
        shapes = shapely.set_precision(self._squares(corner, lattice.field_steps), 1.0)
        shapes = shapely.transform(shapes, lambda points: points - context.offset_level0)
        colour: Rgb = _PLACE_COLOUR
        features = [
            {
                "type": "Feature",
                "id": str(uuid5(_IDS, f"place {shapely.to_wkt(shape)}")),
                "geometry": shapely.geometry.mapping(shape),
                "properties": {
                    "objectType": "annotation",
                    "name": f"{_PLACE_CLASS} {number}",
                    "classification": classification(_PLACE_CLASS, colour),
                    "isLocked": True,
                    "measurements": {
                        "rank": number,
                        "mean probability": round(int(total[place]) / int(count[place]) / PROBABILITY_STEPS, 4),
                        "objects": int(count[place]),
                    },
                },
            }
            for number, (shape, place) in enumerate(zip(shapes.tolist(), corners, strict=True), 1)
        ]
        about = {"notice": RESEARCH_ONLY, **context.provenance}
        return json.dumps(
            {"type": "FeatureCollection", "wsi_parse": about, "features": features},
            separators=(",", ":"),
            allow_nan=False,
        )

    def _squares(self, corner: NDArray[np.int64], steps: int) -> NDArray[np.object_]:
        """Return squares of the lattice in level-0 pixels, without what lies outside of the slide."""
        low, high = self._lattice.level0(corner.astype(float)), self._lattice.level0((corner + steps).astype(float))
        high = np.minimum(high, self._slide.dimensions)
        return np.asarray(shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1]), object)


def _summed(values: NDArray[np.generic], steps: int) -> NDArray[np.float64]:
    """Add up the values of each square of `steps` x `steps`; those at the right and lower edge may be smaller."""
    rows = np.add.reduceat(values.astype(np.float64), range(0, values.shape[0], steps), axis=0)
    return np.asarray(np.add.reduceat(rows, range(0, values.shape[1], steps), axis=1), np.float64)
