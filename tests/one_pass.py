"""One pass over an array, without Dask: predict every block, outline every chunk, collect. For property tests."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.compute.plan import PassPlan, RunPlan
from wsi_parse.geometry import Box
from wsi_parse.models.contract import ModelSpec, Segmenter
from wsi_parse.models.scale_pass import Channel, Recipe, ScalePass
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.objects.extract import extract_objects
from wsi_parse.predict.inference import predict_block
from wsi_parse.prompts import Prompt
from wsi_parse.run.collect import collect
from wsi_parse.settings import ModelSettings, RunSettings
from wsi_parse.slides.base import Level, PixelSize, SlideInfo
from wsi_parse.slides.slide import Slide, SlideOptions
from wsi_parse.tissue.mask import TissueMask

INK = (90, 60, 160)


class ArrayReader:
    """An array as a slide of one level."""

    def __init__(self, pixels: NDArray[np.uint8], mpp: tuple[float, float], bounds: Box | None = None) -> None:
        self.pixels = pixels
        level = Level(pixels.shape[1], pixels.shape[0], 1.0, 1.0)
        self.info = SlideInfo("array", "array", "array", (level,), PixelSize(*mpp, "test"), bounds, None, "array")

    def read_level(self, level: int, box_level: Box) -> NDArray[np.uint8]:
        return self.pixels[box_level.slices]

    def close(self) -> None:
        pass


class PaintModel(Segmenter):
    """Finds what is painted: red below 128 counts as probability 255 - red when soft, else as 0 or 255."""

    spec = ModelSpec("paint", "finds ink", ("nuclei",))
    soft = False

    @classmethod
    def plan(cls, prompts: Sequence[Prompt], settings: ModelSettings) -> tuple[ScalePass, ...]:
        raise AssertionError("scenarios lay out their own pass")

    def predict(
        self, images: NDArray[np.uint8], scale_pass: ScalePass, state: Mapping[str, Any]
    ) -> dict[str, NDArray[np.uint8]]:
        dark = 255 - images[..., 0]
        values = dark if self.soft else np.where(dark > 127, 255, 0).astype(np.uint8)
        return {channel.name: values[:, :: channel.stride, :: channel.stride] for channel in scale_pass.channels}


class SoftPaintModel(PaintModel):
    soft = True


@dataclass
class Scenario:
    """How an array is looked at."""

    pixels: NDArray[np.uint8]
    work: Path
    model: Any = field(default_factory=PaintModel)
    kind: str = "cell"
    mpp: tuple[float, float] = (0.5, 0.5)
    read_mpp: float = 0.5
    tile: int = 256
    overlap: float = 0.125
    block: int = 2
    stride: int = 1
    chunk: int = 256
    tissue: Callable[[TissueMask], TissueMask] = lambda mask: mask
    objects: Mapping[str, Any] = field(default_factory=dict)

    def plan(self) -> RunPlan:
        slide = Slide(ArrayReader(self.pixels, self.mpp), self.pixels, SlideOptions())
        prompt = dataclasses.replace(Prompt.parse("nuclei"), kind=self.kind)
        scale_pass = ScalePass(
            "paint",
            self.tile * self.read_mpp,
            self.read_mpp,
            (Channel("ink", "probability", self.stride),),
            (Recipe(prompt, "ink"),),
        )
        settings = RunSettings.load(
            prompts=("nuclei",),
            tiles={"overlap": self.overlap, "block": self.block},
            objects={"chunk_px": self.chunk, **self.objects},
        )
        frame = slide.frame(4.0)
        tissue = self.tissue(TissueMask(np.ones(frame.box.shape, bool), frame))
        laid = PassPlan.of(slide, scale_pass, tissue, None, settings)
        self.work.mkdir(parents=True, exist_ok=True)
        folders, classes = (self.work / "maps", self.work / "objects"), ClassTable.of([prompt])
        plan = RunPlan(slide, "paint", None, settings, {}, tissue, None, (laid,), *folders, classes)
        plan.objects_path(0, (0, 0)).parent.mkdir(parents=True, exist_ok=True)
        return plan

    def predicted(self, reverse: bool = False) -> RunPlan:
        plan = self.plan()
        item, context = plan.passes[0], plan.pass_contexts[0]
        blocks = item.selection.blocks()
        for block in reversed(blocks) if reverse else blocks:
            predicted = predict_block(plan.slide, self.model, item.scale_pass, {}, item.selection, block, 2)
            tiles, noted, unreadable = predicted
            context.store.write_block(block, tiles, noted, unreadable=unreadable)
        return plan

    def batches(self, reverse: bool = False) -> list[ObjectBatch]:
        plan = self.predicted(reverse)
        item = plan.passes[0]
        chunks = item.chunks.chunks(item.selection)
        for chunk in reversed(chunks) if reverse else chunks:
            extract_objects(plan.pass_contexts[0], chunk).save(plan.objects_path(0, chunk))
        return list(collect(plan))

    def found(self, reverse: bool = False) -> "Found":
        return Found(self.batches(reverse))


class Found:
    """The objects of a scenario."""

    def __init__(self, batches: list[ObjectBatch]) -> None:
        self.batches = batches
        self.shapes = np.array([shape for batch in batches for shape in batch.geometry], object)
        self.ids = [identity for batch in batches for identity in batch.ids]

    def column(self, name: str) -> NDArray[np.float32]:
        return np.concatenate([batch.measurements[name] for batch in self.batches])

    @property
    def area(self) -> float:
        return float(shapely.area(self.shapes).sum())


def white(width: int, height: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 255, np.uint8)


def paint_disc(pixels: NDArray[np.uint8], x: float, y: float, radius: float) -> int:
    """Paint a disc centred at (x, y); returns its pixels."""
    left, top = max(0, int(x - radius) - 1), max(0, int(y - radius) - 1)
    rows, columns = np.mgrid[top : int(y + radius) + 2, left : int(x + radius) + 2]
    inside = (columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 < radius**2
    part = pixels[top : int(y + radius) + 2, left : int(x + radius) + 2]
    part[inside[: part.shape[0], : part.shape[1]]] = INK
    return int(inside.sum())
