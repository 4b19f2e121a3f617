"""What the tests of the page draw: a small slide, a source of objects, and a manifest."""

import html
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from tests.one_pass import ArrayReader
from wsi_parse.geometry import Box
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Prompt
from wsi_parse.report.page import ModelNotes, Report
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.provenance import prompt_provenance
from wsi_parse.run.slide_provenance import slide_provenance
from wsi_parse.settings import RunSettings
from wsi_parse.slides.slide import Slide, SlideOptions
from wsi_parse.tissue.mask import TissueMask

NUCLEI, TUMOUR, GLANDS = (Prompt.parse(text) for text in ("nuclei", "neoplastic cells", "glands"))


def slide_of(width: int = 1600, height: int = 1200, bounds: Box | None = None, mpp: float = 0.5) -> Slide:
    """A pale slide."""
    pixels = np.full((height, width, 3), (228, 205, 222), np.uint8)
    return Slide(ArrayReader(pixels, (mpp, mpp), bounds), pixels, SlideOptions())


def tissue_of(slide: Slide, *, found: bool = True, region: Any = None) -> TissueMask:
    frame = slide.frame(8.0)
    mask = np.zeros(frame.box.shape, bool)
    mask[4:-4, 4:-4] = found
    return TissueMask(mask, frame, region)


def discs(
    centres: Sequence[tuple[float, float]], row: int = 0, radius: float = 8.0, **measurements: float
) -> ObjectBatch:
    """Discs on the grid of QuPath, of one row of the class table."""
    count = len(centres)
    shapes = shapely.buffer(shapely.points(np.array(centres, float).reshape(-1, 2)), radius)
    shapes = shapely.set_precision(shapely.set_precision(shapes, 0.25), 0, mode="pointwise")
    columns = {name: np.full(count, value, np.float32) for name, value in measurements.items()}
    area = {"area_um2": (shapely.area(shapes) / 4).astype(np.float32)}
    return ObjectBatch(shapes, np.full(count, row, np.int16), np.array(["id"] * count, object), area | columns)


def crowd(seed: int, count: int, low: float, high: float) -> list[tuple[float, float]]:
    """Random places in a square."""
    return [*map(tuple, np.random.default_rng(seed).uniform(low, high, (count, 2)).tolist())]


class Given:
    """Batches as a source of objects."""

    def __init__(self, given: Sequence[ObjectBatch], classes: ClassTable) -> None:
        self.given, self.classes, self.steps = given, classes, len(given)

    def batches(self) -> Iterator[ObjectBatch]:
        return iter(self.given)

    def batches_in(self, box_level0: Box) -> Iterator[ObjectBatch]:
        del box_level0
        return iter(self.given)


def manifest_of(slide: Slide, prompts: Sequence[Prompt], tissue: TissueMask, **more: Any) -> dict[str, Any]:
    """What run.json would hold."""
    settings = RunSettings(prompts=[prompt.text for prompt in prompts], model="stain").model_dump(mode="json")
    values: dict[str, Any] = {
        "wsi_parse": "0.1.0",
        "state": "done",
        "slide": slide_provenance(slide),
        "settings": settings,
        "model": {"name": "stain", "summary": "Finds nuclei.", "licence": "Apache-2.0", "purpose": "research"},
        "prompts": prompt_provenance(tuple(prompts)),
        "tissue_mm2": round(tissue.area_mm2, 4),
        "search_mm2": round(tissue.search_mm2, 4),
        "digests": {"objects": "0123456789abcdef"},
        "formats": {"geojson": {"files": ["annotations.geojson"], "how_to_open": "drag it onto the slide in QuPath"}},
    }
    return RunManifest(**(values | more)).model_dump(mode="json")


def page_of(
    folder: Path,
    given: Sequence[ObjectBatch],
    prompts: Sequence[Prompt] = (NUCLEI,),
    *,
    slide: Slide | None = None,
    tissue: TissueMask | None = None,
    notes: ModelNotes | None = None,
    manifest: dict[str, Any] | None = None,
    max_bytes: int = 8_000_000,
) -> str:
    """Write a page, and return its text."""
    slide = slide or slide_of()
    tissue = tissue or tissue_of(slide)
    classes = ClassTable.of(prompts)
    report = Report(slide, tissue, Given(given, classes))
    for batch in given:
        report.write(batch)
    path = folder / "report.html"
    manifest = manifest or manifest_of(slide, prompts, tissue)
    report.finish(path, manifest, {"tissue": 1.25}, notes or ModelNotes(), max_bytes=max_bytes)
    return path.read_text(encoding="utf-8")


def words_of(page: str) -> str:
    """What a person reads on a page."""
    page = re.sub(r"<style>.*?</style>|<svg.*?</svg>", " ", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))
