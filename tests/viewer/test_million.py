"""A million objects on a slide of matching size in a real browser: what a person does, with numbers that are true."""

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from PIL import Image

from tests.browser import Browser, Tab, screenshots
from tests.small_slides import PINK, tissue_with_nuclei, write_slide
from tests.viewer.made import in_box
from tests.viewer.served import (
    TOKEN,
    Link,
    click,
    colour_by,
    complaints,
    go,
    middle_of_slide,
    press,
    served,
    slide,
    state,
    text,
)
from wsi_parse import segment_slide
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.parquet import ParquetExporter
from wsi_parse.files import MANIFEST_NAME, file_sha256
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.run.export import classes_of
from wsi_parse.run.manifest import RunManifest
from wsi_parse.slides import open_slide
from wsi_parse.viewer.slide_view import SlideView
from wsi_parse.viewer.subject import Request, opened_of

pytestmark = pytest.mark.slow

SIDE, TILE, BORDER = 100_352, 512, 2_048
COUNT, VERTICES, BATCH = 1_000_000, 24, 2_000
#: Objects of a file that lies beside the run.
OTHERS = 3_000


@dataclass(frozen=True)
class Truth:
    """What the objects of the run are, one row each; and the centres of those of the file."""

    x: np.ndarray
    y: np.ndarray
    probability: np.ndarray
    class_index: np.ndarray
    others: np.ndarray

    def counts(self, box: dict[str, float], threshold: float) -> list[int]:
        """Objects of the run in a box that are probable enough, by class."""
        shown = in_box(box, self.x, self.y) & (self.probability.astype(float) >= threshold)
        return np.bincount(self.class_index[shown], minlength=2).tolist()

    def others_in(self, box: dict[str, float]) -> int:
        return int(in_box(box, *self.others.T).sum())


def write_large_slide(path: Path) -> None:
    """Write tissue with a glass border, with a pyramid: two stored tiles, over and over."""
    noise = np.random.default_rng(0).normal(0, 6, (TILE, TILE, 1))
    tiles = []
    for pixels in (np.full((TILE, TILE, 3), 244, np.uint8), np.clip(np.array(PINK) + noise, 0, 255).astype(np.uint8)):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=80, subsampling=0)
        tiles.append(buffer.getvalue())
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for level, factor in enumerate((1, 4, 16, 64)):
            side, border = SIDE // factor, BORDER // factor
            count = -(-side // TILE)
            low, high = border // TILE, count - max(1, border // TILE)
            stored = (
                tiles[low <= row < high and low <= column < high] for row in range(count) for column in range(count)
            )
            tiff.write(
                stored,
                shape=(side, side, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric="rgb",
                subsampling=(1, 1),
                compression="jpeg",
                description=f"Aperio Image Library v11.2.1\n{SIDE}x{SIDE}|AppMag = 40|MPP = 0.25",
                subfiletype=int(level > 0),
                metadata=None,
            )


def circles(x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    return shapely.polygons(np.stack([x, y], -1)[:, None] + circle * radius[:, None, None])


def make(folder: Path) -> Truth:
    """Write the slide, a run whose objects are a million circles, and a file with some more."""
    write_large_slide(folder / "large.svs")
    (folder / "lent").mkdir()
    small = write_slide(folder / "lent" / "large.svs", tissue_with_nuclei(700, 600)[0])
    segment_slide(small, folder / "out", prompts="nuclei", model="stain")
    manifest = RunManifest.load(folder / "out")
    assert manifest is not None
    random = np.random.default_rng(3)
    # In the order of a run: chunk after chunk.
    x, y = random.uniform(BORDER + 30, SIDE - BORDER - 30, (2, COUNT))
    order = np.lexsort((x // 2048, y // 2048))
    x, y, radius = x[order], y[order], random.uniform(6, 14, COUNT)
    probability, class_index = random.random(COUNT, np.float32), random.integers(0, 2, COUNT)
    with ParquetExporter(folder / "out" / "objects.parquet", ExportContext(classes_of(manifest), (0, 0), {})) as file:
        for start in range(0, COUNT, BATCH):
            some = slice_of(start)
            ids = np.array([f"id {row}" for row in range(some.start, some.stop)], object)
            measured = {"area_um2": (radius[some] ** 2).astype(np.float32), "class_probability": probability[some]}
            shapes = circles(x[some], y[some], radius[some])
            file.write(ObjectBatch(shapes, class_index[some].astype(np.int16), ids, measured))
    values = json.loads((folder / "out" / MANIFEST_NAME).read_text(encoding="utf-8"))
    with open_slide(folder / "large.svs") as opened:
        values["slide"] |= {"name": "large.svs", "fingerprint": opened.info.fingerprint}
    values["outputs"]["objects.parquet"] = file_sha256(folder / "out" / "objects.parquet")
    (folder / "out" / MANIFEST_NAME).write_text(json.dumps(values), encoding="utf-8")
    others = random.uniform(SIDE / 2 - 3_000, SIDE / 2 + 3_000, (OTHERS, 2))
    features = [
        {"type": "Feature", "geometry": shapely.geometry.mapping(shape), "properties": {"classification": "Other"}}
        for shape in circles(*others.T, np.full(OTHERS, 10.0))
    ]
    (folder / "others.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return Truth(x, y, probability, class_index, others)


def slice_of(start: int) -> slice:
    return slice(start, min(start + BATCH, COUNT))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Truth, SlideView, str]]:
    folder = tmp_path_factory.mktemp("million")
    truth, said = make(folder), list[str]()
    request = Request(folder / "out", folder / "large.svs", (folder / "others.geojson",), folder / "t", said.append)
    view = opened_of(request).view(0)
    assert any("1,000,000" in text for text in said)
    with served([view], folder) as site:
        yield truth, view, f"{site}?token={TOKEN}"
    view.slide.close()
    shutil.rmtree(folder)


def test_counts_equal_the_truth(drawing: Browser, shown: tuple[Truth, SlideView, str]) -> None:
    """At 20 random places, zooms and thresholds, near and far, in both layers."""
    truth, _, link = shown
    random, modes = np.random.default_rng(5), []
    with drawing.open(Link(link)) as tab:
        assert state(tab)["total"] == COUNT + OTHERS
        tab.picture(screenshots() / "million-whole.jpg", whole=False)
        for number in range(20):
            middle = (SIDE / 2, SIDE / 2) if number % 4 == 0 else random.uniform(0, SIDE, 2)
            go(tab, *middle, random.uniform(-8, 1))
            slide(tab, "#threshold", float(random.choice([0, random.uniform(0, 1)])))
            now = state(tab)
            modes.append(now["near"])
            assert now["counts"] == [truth.counts(now["box"], now["threshold"]), [truth.others_in(now["box"])]]
            assert number_in(tab, "#total") == sum(map(sum, now["counts"]))
        assert {True, False} == set(modes)
        assert complaints(tab) == []
        heap = tab.run("performance.memory.usedJSHeapSize")
        assert heap < 1_500_000_000


def number_in(tab: Tab, selector: str) -> int:
    return int(text(tab, selector).replace(",", ""))


def test_all_that_a_person_does(drawing: Browser, shown: tuple[Truth, SlideView, str]) -> None:
    truth, view, link = shown
    row = int(np.argmin((truth.x - SIDE / 2) ** 2 + (truth.y - SIDE / 2) ** 2))
    with drawing.open(Link(link)) as tab:
        # Zoom and pan by keys.
        before = state(tab)
        press(tab, "+")
        assert state(tab)["zoom"] == before["zoom"] + 0.5
        press(tab, "ArrowDown")
        assert state(tab)["y"] > before["y"]
        # Click.
        go(tab, truth.x[row], truth.y[row], 3)
        click(tab, *middle_of_slide(tab))
        assert state(tab)["picked"] == {"layer": 0, "row": row}
        assert text(tab, "#details code") == f"id {row}"
        # Switches of a class, and of the file beside it.
        now = go(tab, SIDE / 2, SIDE / 2, -3)
        tab.run("document.querySelectorAll('.row input')[0].click()")
        assert state(tab)["counts"] == [[0, truth.counts(now["box"], 0)[1]], [truth.others_in(now["box"])]]
        tab.run("document.querySelectorAll('legend input')[1].click()")
        assert state(tab)["counts"] == [[0, truth.counts(now["box"], 0)[1]], [0]]
        tab.picture(screenshots() / "million-near.jpg", whole=False)
        # Colours by a measurement, and the link with all of it.
        colour_by(tab, "area_um2")
        kept = tab.wait_for("/off=.*by=area_um2/.test(location.hash) && location.href")
        last = state(tab)
        # Steps: the least certain objects of the class that is shown.
        seen = np.flatnonzero(truth.class_index == 1)
        lowest = seen[np.argsort(truth.probability[seen], kind="stable")[:2]]
        for wanted in lowest:
            press(tab, "n")
            assert state(tab)["picked"] == {"layer": 0, "row": int(wanted)}
        assert complaints(tab) == []
    with drawing.open(Link(kept)) as tab:
        again = state(tab)
        assert {name: again[name] for name in ("counts", "zoom")} == {name: last[name] for name in ("counts", "zoom")}
    assert len(view.places()["objects"]) == 2 * 100
