"""The page of a run in a real browser: whatever was found, on every kind of screen, and on paper."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from tests.browser import PAPER, PHONE, WIDE, Browser, Tab, screenshots
from tests.one_pass import ArrayReader
from tests.report.pages import NUCLEI, TUMOUR, crowd, discs, manifest_of, page_of, slide_of, tissue_of
from tests.report.test_page import HOSTILE, THREE
from wsi_parse.cautions import mostly_unsure
from wsi_parse.geometry import Box
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Prompt
from wsi_parse.report.page import ModelNotes, Report
from wsi_parse.slides.slide import Slide, SlideOptions

pytestmark = pytest.mark.whole

SECTIONS = [
    "cautions",
    "numbers",
    "slide",
    "density",
    "fields",
    "classes",
    "distributions",
    "qupath",
    "methods",
    "model",
    "run",
]
MILLION = 1_000_000


def three_hundred() -> list[ObjectBatch]:
    return [
        discs(crowd(1, 160, 100, 1100), class_probability=0.83, probability_mean=0.9),
        discs(crowd(2, 88, 300, 800), row=1, class_probability=0.51, probability_mean=0.8),
        discs(crowd(3, 50, 600, 900), row=2, class_probability=0.93, probability_mean=0.9),
        discs([(600, 600), (1000, 500)], row=4, radius=120, probability_mean=0.7),
    ]


def hostile(folder: Path) -> str:
    """A slide, a prompt, a class and a model whose names are a script."""
    slide, prompt = slide_of(), Prompt(HOSTILE, HOSTILE, "cell", HOSTILE, (1, 2, 3), known=False)
    manifest = manifest_of(slide, [prompt], tissue_of(slide))
    manifest["slide"] |= {"name": HOSTILE}
    manifest["model"] |= {"name": HOSTILE, "summary": HOSTILE, "licence": HOSTILE}
    manifest["cautions"] = [{"code": HOSTILE, "text": HOSTILE, "number": None, "remedy": HOSTILE}]
    return page_of(folder, [discs(crowd(1, 30, 300, 700))], [prompt], manifest=manifest)


def of_a_region(folder: Path) -> str:
    slide = slide_of()
    tissue = tissue_of(slide, region=shapely.Point(700, 600).buffer(350))
    manifest = manifest_of(slide, [NUCLEI], tissue, cautions=[mostly_unsure("nuclei", 0.8).to_dict()])
    manifest["settings"]["slide"]["roi"] = "roi.geojson"
    return page_of(folder, [discs(crowd(1, 60, 500, 800))], slide=slide, tissue=tissue, manifest=manifest)


PAGES = {
    "none": lambda folder: page_of(folder, [], THREE),
    "no-tissue": lambda folder: page_of(folder, [], slide=slide_of(), tissue=tissue_of(slide_of(), found=False)),
    "one": lambda folder: page_of(folder, [discs([(600, 600)], probability_mean=0.9)], (NUCLEI,)),
    "three-hundred": lambda folder: page_of(folder, three_hundred(), THREE),
    "region": of_a_region,
    "hostile": hostile,
}


def holds(tab: Tab, name: str, *, sections: list[str] = SECTIONS) -> None:
    """Check what is true of every page on every screen, after a picture of it was kept."""
    tab.picture(screenshots() / f"{name}.jpg")
    assert tab.overflow_px <= 0
    assert tab.clipped == []
    assert tab.sections() == sections
    assert [url for url in tab.requests if not url.endswith(".html")] == [], "no request leaves the page"
    assert len(tab.requests) == 1
    assert tab.complaints == []


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    assert len(PAGES[request.param](folder).encode()) < 8_000_000
    return folder / "report.html"


@pytest.mark.parametrize(("window", "scheme"), [(WIDE, "light"), (WIDE, "dark"), (PHONE, "light")])
def test_the_page_on_a_screen(browser: Browser, page: Path, window: tuple[int, int, bool], scheme: str) -> None:
    with browser.open(page, window, scheme=scheme) as tab:
        holds(tab, f"report-{page.parent.name[:-1]}-{window[0]}-{scheme}")


def test_the_page_on_paper(browser: Browser, page: Path) -> None:
    name = f"report-{page.parent.name[:-1]}-paper"
    with browser.open(page, PAPER, scheme="dark", medium="print") as tab:
        holds(tab, name)
        assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert tab.printed(screenshots() / f"{name}.pdf").count(b"/Type /Page\n") >= 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, axe: str, page: Path, scheme: str) -> None:
    with browser.open(page, scheme=scheme) as tab:
        assert tab.axe(axe) == []


def test_the_switches_switch(browser: Browser, tmp_path: Path) -> None:
    page_of(tmp_path, three_hundred(), THREE)

    def shown(what: str) -> bool:
        return bool(tab.run(f"getComputedStyle(document.querySelector('{what}')).display !== 'none'"))

    with browser.open(tmp_path / "report.html") as tab:
        for switch, what, before in (
            ("show-0", "image.p0", True),
            ("show-0", ".crops .p0", False),
            ("heat-1", "use.h1", False),
            ("show-tissue", ".stage .tissue", True),
            ("show-fields", ".places", False),
            ("show-outlines", ".crops .outlines.p2", True),
        ):
            assert shown(what) == before, switch
            tab.run(f"document.getElementById('{switch}').click()")
            assert shown(what) != before, switch
        width = tab.run("document.querySelector('.stage .sheet').offsetWidth")
        tab.run("document.getElementById('zoom-4').click()")
        assert tab.run("document.querySelector('.stage .sheet').offsetWidth") > 2 * width


class Million:
    """A million nuclei, made as they are asked for: in squares of 100 µm, as dense as tissue is."""

    batch_objects = 20_000
    steps = MILLION // batch_objects
    side_px = 16_700

    def __init__(self) -> None:
        self.classes = ClassTable.of((NUCLEI, TUMOUR))
        self.read = self.read_again = 0

    def batches(self) -> Iterator[ObjectBatch]:
        for number in range(self.steps):
            self.read += self.batch_objects
            yield self._band(number)

    def batches_in(self, box_level0: Box) -> Iterator[ObjectBatch]:
        self.read_again += 1
        height = self.side_px / self.steps
        box = shapely.box(box_level0.x, box_level0.y, box_level0.right, box_level0.bottom)
        for number in range(int(box_level0.y // height), min(self.steps, int(box_level0.bottom // height) + 1)):
            band = self._band(number)
            yield band.take(shapely.intersects(band.geometry, box))

    def _band(self, number: int) -> ObjectBatch:
        random, height = np.random.default_rng(number), self.side_px / self.steps
        x, y = random.uniform(20, self.side_px - 20, self.batch_objects), random.uniform(0, height, self.batch_objects)
        shapes = shapely.buffer(shapely.points(x, y + number * height), random.uniform(2.5, 5, len(x)), quad_segs=3)
        certainty = random.beta(8, 2, len(x)).astype(np.float32)
        columns = {"area_um2": shapely.area(shapes), "class_probability": certainty, "probability_mean": certainty}
        rows = (2 * (x > self.side_px / 2) + (certainty < 0.6)).astype(np.int16)
        measured = {name: values.astype(np.float32) for name, values in columns.items()}
        return ObjectBatch(shapes, rows, np.full(len(x), "id", object), measured)


@pytest.mark.slow
def test_a_million_objects(browser: Browser, tmp_path: Path) -> None:
    source = Million()
    # One pale pixel, as wide as tissue with a million nuclei.
    pixels: Any = np.broadcast_to(np.array((228, 205, 222), np.uint8), (source.side_px, source.side_px, 3))
    slide = Slide(ArrayReader(pixels, (1.0, 1.0)), pixels, SlideOptions())
    tissue = tissue_of(slide)
    manifest = manifest_of(slide, (NUCLEI, TUMOUR), tissue)
    tracemalloc.start()
    report = Report(slide, tissue, source)
    for batch in source.batches():
        report.write(batch)
    report.finish(tmp_path / "report.html", manifest, {}, ModelNotes())
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert source.read == MILLION, "one pass over the objects"
    assert source.read_again == 30, "and the objects of each field"
    assert peak_bytes < 200_000_000
    assert (tmp_path / "report.html").stat().st_size < 8_000_000
    for window in (WIDE, PHONE):
        with browser.open(tmp_path / "report.html", window) as tab:
            holds(tab, f"report-million-{window[0]}")
