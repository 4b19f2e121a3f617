"""The viewer in a real browser: what is on the screen equals the truth, and nothing leaves the machine."""

import json
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

from tests.browser import PHONE, Browser, Tab, screenshots
from tests.viewer.made import TABLE, batch_of, in_box, layer_of
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
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Prompt
from wsi_parse.slides import open_slide
from wsi_parse.viewer.slide_view import SlideView

pytestmark = pytest.mark.whole

WIDTH, HEIGHT = 5200, 4100
#: More than are drawn as outlines at once.
MANY = 24_000
LARGE = 3
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
TABLET = (820, 1180, True)


@dataclass(frozen=True)
class Truth:
    """What the objects are, one row each."""

    x: np.ndarray
    y: np.ndarray
    probability: np.ndarray
    class_index: np.ndarray

    def counts(self, box: dict[str, float], threshold: float, classes: list[int] | None = None) -> list[int]:
        """Objects in a box that are probable enough, by class; those without a probability always are."""
        shown = in_box(box, self.x, self.y) & ~(self.probability.astype(float) < threshold)
        found = np.bincount(self.class_index[shown], minlength=len(TABLE.rows))
        return [int(n) if classes is None or index in classes else 0 for index, n in enumerate(found)]


def painted() -> np.ndarray:
    """Pink tissue on glass."""
    pixels = np.full((HEIGHT, WIDTH, 3), 244, np.uint8)
    pixels[300:3800, 400:4800] = (228, 180, 204)
    return pixels


def crowd(count: int, large: int = LARGE) -> tuple[Any, Truth]:
    random = np.random.default_rng(7)
    x, y = random.uniform(420, 4780, count), random.uniform(320, 3780, count)
    radius = random.uniform(2, 6, count)
    shapes = list(shapely.buffer(shapely.points(x, y), radius, quad_segs=2))
    shapes[:large] = [shapely.box(500 * n, 400 * n, 500 * n + 700, 400 * n + 600) for n in range(1, large + 1)]
    probability = random.uniform(0, 1, count).astype(np.float32)
    probability[random.uniform(size=count) < 0.02] = np.nan
    class_index = random.integers(0, len(TABLE.rows), count)
    centres = shapely.centroid(shapes)
    batch = batch_of(shapes, class_index, probability, area_um2=(radius**2).astype(np.float32))
    return batch, Truth(shapely.get_x(centres), shapely.get_y(centres), probability, class_index)


@pytest.fixture(scope="module")
def truth_and_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Truth, str]]:
    folder = tmp_path_factory.mktemp("many")
    batch, truth = crowd(MANY)
    with served([SlideView(open_slide(painted()), {0: layer_of(folder, batch)}, None, None)], folder) as site:
        yield truth, site


@pytest.fixture(scope="module")
def truth(truth_and_site: tuple[Truth, str]) -> Truth:
    return truth_and_site[0]


@pytest.fixture(scope="module")
def link(truth_and_site: tuple[Truth, str]) -> str:
    return f"{truth_and_site[1]}?token={TOKEN}"


def number(found: str) -> int:
    return int(found.replace(",", ""))


def numbers(tab: Tab) -> list[int]:
    """The number beside each class."""
    return [number(one) for one in tab.run("[...document.querySelectorAll('.row .number')].map((a) => a.textContent)")]


def test_counts_on_the_screen_equal_the_truth(drawing: Browser, link: str, truth: Truth) -> None:
    """At random places, zooms and thresholds, near and far."""
    random = np.random.default_rng(1)
    modes = []
    with drawing.open(Link(link)) as tab:
        state(tab)
        for _ in range(20):
            go(tab, random.uniform(0, WIDTH), random.uniform(0, HEIGHT), random.uniform(-3.5, 2))
            slide(tab, "#threshold", float(random.choice([0, random.uniform(0, 1)])))
            now = state(tab)
            modes.append(now["near"])
            expected = truth.counts(now["box"], now["threshold"])
            assert now["counts"] == [expected]
            assert numbers(tab) == expected
            assert number(text(tab, "#total")) == sum(expected)
        assert {True, False} == set(modes)
        assert complaints(tab) == []


def test_far_threshold_is_a_bin_and_near_it_is_exact(drawing: Browser, link: str, truth: Truth) -> None:
    with drawing.open(Link(link)) as tab:
        go(tab, WIDTH / 2, HEIGHT / 2, 0)
        slide(tab, "#threshold", 0.53)
        near = state(tab)
        assert (near["near"], near["threshold"]) == (True, 0.53)
        far = go(tab, WIDTH / 2, HEIGHT / 2, -3)
        assert (far["near"], far["threshold"]) == (False, 17 / 32)
        assert far["counts"] == [truth.counts(far["box"], 17 / 32)]
        assert text(tab, "#mode").startswith("Far: each square shows a count")
        tab.picture(screenshots() / "viewer-far.jpg", whole=False)


def test_switches(drawing: Browser, link: str, truth: Truth) -> None:
    with drawing.open(Link(link)) as tab:
        for zoom in (0, -3):
            go(tab, 2000, 2000, zoom)
            tab.run("document.querySelectorAll('.row input')[1].click()")
            now = state(tab)
            off = [0, *range(2, len(TABLE.rows))]
            assert now["counts"] == [truth.counts(now["box"], 0, off)]
            tab.run("document.querySelectorAll('.row input')[1].click()")
            assert state(tab)["counts"] == [truth.counts(now["box"], 0)]
            tab.run("document.querySelector('legend input').click()")
            assert state(tab)["total"] == 0
            tab.run("document.querySelector('legend input').click()")
            assert state(tab)["counts"] == [truth.counts(now["box"], 0)]


def middle(tab: Tab, name: str) -> np.ndarray:
    """Pixels of the middle of the slide, as they are on the screen."""
    taken = Image.open(BytesIO(tab.picture(screenshots() / name, whole=False)))
    return np.asarray(taken.convert("RGB")).astype(int)[300:600, 700:1000]


def test_what_is_switched_off_is_not_drawn(drawing: Browser, link: str) -> None:
    """Near and far, the picture without objects is the slide alone."""
    with drawing.open(Link(link)) as tab:
        for zoom in (1, -3):
            go(tab, 2600, 2000, zoom)
            everything = middle(tab, f"viewer-{zoom}.jpg")
            tab.run("document.querySelector('legend input').click()")
            state(tab)
            nothing = middle(tab, f"viewer-{zoom}-off.jpg")
            tab.run("document.querySelector('legend input').click()")
            state(tab)
            assert np.abs(nothing - (228, 180, 204)).max(axis=2).mean() < 12
            assert np.abs(everything - nothing).max(axis=2).mean() > 2


def test_a_click_shows_the_object(drawing: Browser, link: str, truth: Truth) -> None:
    row = int(np.flatnonzero(truth.probability > 0.2)[LARGE + 5])
    with drawing.open(Link(link)) as tab:
        go(tab, truth.x[row], truth.y[row], 3)
        click(tab, *middle_of_slide(tab))
        picked = state(tab)["picked"]
        assert picked == {"layer": 0, "row": row}
        assert text(tab, "#details code") == f"id {row}"
        assert "area_um2" in text(tab, "#details")
        assert text(tab, "#details button") == "Copy id"
        press(tab, "Escape")
        assert state(tab)["picked"] is None


def test_a_link_keeps_what_is_shown(drawing: Browser, link: str) -> None:
    with drawing.open(Link(link)) as tab:
        go(tab, 1500, 1200, 0.25)
        slide(tab, "#threshold", 0.4)
        tab.run("document.querySelectorAll('.row input')[0].click()")
        colour_by(tab, "area_um2")
        first = state(tab)
        kept = tab.wait_for("/p=0.4.*by=area_um2/.test(location.hash) && location.href")
        legend = text(tab, "#legend")
    with drawing.open(Link(kept)) as tab:
        second = state(tab)
        assert {name: second[name] for name in ("zoom", "counts", "threshold")} == {
            name: first[name] for name in ("zoom", "counts", "threshold")
        }
        assert abs(second["x"] - first["x"]) <= 0.01
        assert "area_um2" in legend
        assert text(tab, "#legend") == legend
        assert tab.run("document.querySelectorAll('.row input')[0].checked") is False


def test_back_and_forward(drawing: Browser, link: str) -> None:
    with drawing.open(Link(link)) as tab:
        state(tab)
        for x in (1000, 3000):
            tab.run("new Promise((done) => setTimeout(done, 2300))")
            go(tab, x, 2000, 0)
            tab.wait_for(f"location.hash.includes('x={x}.00')")
        for way, x in (("back", 1000), ("forward", 3000)):
            tab.run(f"history.{way}()")
            tab.wait_for(f"window.wsiParseViewer.state().x === {x}")


def test_keys(drawing: Browser, link: str) -> None:
    with drawing.open(Link(link)) as tab:
        before = go(tab, 2000, 2000, 0)
        press(tab, "+")
        assert state(tab)["zoom"] == before["zoom"] + 0.5
        press(tab, "ArrowRight")
        assert state(tab)["x"] > before["x"]
        press(tab, "?")
        assert tab.run("document.getElementById('help').open") is True


def test_nothing_leaves_the_machine(drawing: Browser, truth_and_site: tuple[Truth, str], link: str) -> None:
    with drawing.open(Link(link)) as tab:
        tab.run(
            "document.addEventListener('securitypolicyviolation', (event) => console.error(event.violatedDirective))"
        )
        go(tab, 2000, 2000, 0)
        go(tab, 2000, 2000, -3)
        assert len(tab.requests) > 10
        assert [url for url in tab.requests if not url.startswith(truth_and_site[1])] == []
        assert complaints(tab) == []


def test_names_that_are_scripts_are_text(drawing: Browser, tmp_path: Path) -> None:
    path = tmp_path / f"{HOSTILE.replace('/', '')}.png"
    Image.fromarray(np.full((900, 1200, 3), 240, np.uint8)).save(path)
    table = ClassTable.of([Prompt(HOSTILE, HOSTILE, "cell", HOSTILE, (1, 2, 3), known=False)])
    batch = batch_of([shapely.box(500, 400, 700, 500)], 0, 0.5, ids=[HOSTILE], **{HOSTILE: 1.0})
    view = SlideView(open_slide(path), {0: layer_of(tmp_path, batch, table=table)}, None, None)
    with served([view], tmp_path) as site, drawing.open(Link(f"{site}?token={TOKEN}")) as tab:
        go(tab, 600, 450, 0)
        tab.run("document.getElementById('slide').focus()")
        press(tab, "Enter")
        assert state(tab)["picked"] == {"layer": 0, "row": 0}
        assert HOSTILE in text(tab, "#classes")
        assert HOSTILE in text(tab, "#details")
        assert "<img" in text(tab, "#name")
        assert tab.run("document.querySelectorAll('img').length") == 0
        assert complaints(tab) == []


@pytest.mark.parametrize("count", [0, 1, 300])
def test_few_objects(drawing: Browser, tmp_path: Path, count: int) -> None:
    batch, truth = crowd(count, min(count, LARGE))
    view = SlideView(open_slide(painted()), {0: layer_of(tmp_path, batch)}, None, None)
    with served([view], tmp_path) as site, drawing.open(Link(f"{site}?token={TOKEN}")) as tab:
        now = state(tab)
        assert now["near"]
        assert now["counts"] == [truth.counts(now["box"], 0)]
        assert number(text(tab, "#total")) == count
        assert ("No objects were found." in text(tab, "#classes")) == (count == 0)
        assert complaints(tab) == []


def test_a_slide_without_a_result(drawing: Browser, tmp_path: Path) -> None:
    view = SlideView(open_slide(painted()), {}, None, None)
    with served([view], tmp_path) as site, drawing.open(Link(f"{site}?token={TOKEN}")) as tab:
        assert state(tab)["total"] == 0
        assert "without a result" in text(tab, "#classes")
        assert complaints(tab) == []


def test_without_webgl_the_page_says_so(drawing: Browser, link: str) -> None:
    with drawing.open(Link(link)) as tab:
        tab.call("Page.addScriptToEvaluateOnNewDocument", source="HTMLCanvasElement.prototype.getContext = () => null")
        tab.call("Page.reload")
        tab.wait_for("document.getElementById('message')?.hidden === false")
        assert "it has no WebGL 2" in text(tab, "#message")
        assert "Research use only" in text(tab, "#research")


def test_a_server_that_ended_is_named(drawing: Browser, tmp_path: Path) -> None:
    batch, _ = crowd(300)
    view = SlideView(open_slide(painted()), {0: layer_of(tmp_path, batch)}, None, None)
    with served([view], tmp_path) as site:
        tab = drawing.open(Link(f"{site}?token={TOKEN}"))
        state(tab)
    with tab:
        tab.run("window.wsiParseViewer.go(500, 500, 1.5)")
        tab.wait_for("!document.getElementById('message').hidden")
        assert "The server does not answer." in text(tab, "#message")
        assert "wsi-parse view" in text(tab, "#message")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", [TABLET, PHONE, None])
def test_it_is_for_everybody(drawing: Browser, link: str, axe: str, scheme: str, window: Any) -> None:
    """No serious fault of accessibility, nothing cut off, nothing wider than the window."""
    with drawing.open(Link(link), **({"window": window} if window else {}), scheme=scheme) as tab:
        state(tab)
        kind = "wide" if window is None else str(window[0])
        tab.picture(screenshots() / f"viewer-{kind}-{scheme}.jpg", whole=False)
        assert tab.overflow_px <= 0
        assert tab.axe(axe) == [], json.dumps(tab.axe(axe))


def test_a_cohort_is_a_list(drawing: Browser, tmp_path: Path) -> None:
    views = [SlideView(open_slide(painted()), {}, None, None) for _ in range(2)]
    with served(views, tmp_path, cohort=True) as site, drawing.open(Link(f"{site}?token={TOKEN}")) as tab:
        tab.wait_for("document.querySelectorAll('.slides a').length")
        assert tab.run("[...document.querySelectorAll('.slides a')].map((a) => a.getAttribute('href'))") == [
            "/s/0/",
            "/s/1/",
        ]
        assert "Research use only" in tab.run("document.body.innerText")
        tab.run("document.querySelector('.slides a').click()")
        state(tab)
        assert tab.run("document.getElementById('back').hidden") is False


SQUARE = (1120, 592, 1344, 752)


def corners_on_screen(tab: Tab, density: int, what: str, left: float) -> np.ndarray:
    """Where the square of the slide, or the outline of it, lies in the window: its corners (2, 2)."""
    tab.run(
        "for (const one of document.querySelectorAll('#switches input[type=checkbox]')) if (!one.checked) one.click()"
    )
    tab.run(f"document.querySelectorAll('#switches input')[{['slide', 'outline'].index(what) ^ 1}].click()")
    state(tab)
    taken = Image.open(BytesIO(b64decode(tab.call("Page.captureScreenshot", format="png")["data"])))
    red, green, blue = np.moveaxis(np.asarray(taken.convert("RGB")).astype(int), 2, 0)
    there = (blue - red if what == "slide" else red - green) > 70
    there[:, : int((left + 5) * density)] = False
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    return np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]]) / density


@pytest.mark.parametrize("density", [1, 2])
def test_a_square_lies_where_it_should(drawing: Browser, tmp_path: Path, density: int) -> None:
    """Square and outline, within half a level-0 pixel and what a pixel of the screen cannot tell."""
    pixels = np.full((1500, 2300, 3), 244, np.uint8)
    pixels[SQUARE[1] : SQUARE[3], SQUARE[0] : SQUARE[2]] = (20, 20, 160)
    view = SlideView(open_slide(pixels), {0: layer_of(tmp_path, batch_of([shapely.box(*SQUARE)], 0, 0.9))}, None, None)
    with served([view], tmp_path) as site, drawing.open(Link(f"{site}?token={TOKEN}")) as tab:
        tab.call("Emulation.setDeviceMetricsOverride", width=1366, height=900, deviceScaleFactor=density, mobile=False)
        for zoom in (-1, 0, 1.5):
            box = go(tab, 1240, 660, zoom)["box"]
            at = tab.run("(({left, top}) => [left, top])(document.getElementById('slide').getBoundingClientRect())")
            scale = 2**zoom
            expected = (np.array(SQUARE).reshape(2, 2) - (box["x0"], box["y0"])) * scale + at
            found = corners_on_screen(tab, density, "slide", at[0])
            assert np.abs(found - expected).max() <= scale / 2 + 1
            outline = corners_on_screen(tab, density, "outline", at[0])
            # It has a width, and is as far outside as inside.
            assert np.abs(outline - expected).max() <= scale / 2 + 2.5
            assert np.abs(outline.mean(axis=0) - expected.mean(axis=0)).max() <= scale / 2 + 0.5


def test_layers_are_told_apart(drawing: Browser, tmp_path: Path) -> None:
    """Another file beside the result: each has its own switch and its own number."""
    layers = {}
    for index, count in enumerate((300, 200)):
        folder = tmp_path / str(index)
        folder.mkdir()
        layers[index] = layer_of(folder, crowd(count)[0])
    view = SlideView(open_slide(painted()), layers, None, None)
    with served([view], tmp_path) as site, drawing.open(Link(f"{site}?token={TOKEN}")) as tab:
        assert state(tab)["total"] == 500
        for layer, rest in ((0, 200), (1, 300)):
            tab.run(f"document.querySelectorAll('legend input')[{layer}].click()")
            assert state(tab)["total"] == rest
            tab.run(f"document.querySelectorAll('legend input')[{layer}].click()")
        assert state(tab)["total"] == 500


def test_fingers_move_and_pinch(drawing: Browser, link: str) -> None:
    with drawing.open(Link(link), window=TABLET) as tab:
        tab.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
        before = go(tab, 2000, 2000, 0)

        def touch(kind: str, *points: tuple[int, int]) -> None:
            found = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
            tab.call("Input.dispatchTouchEvent", type=kind, touchPoints=found)

        touch("touchStart", (600, 600))
        for x in (580, 540, 500):
            touch("touchMove", (x, 600))
        touch("touchEnd")
        moved = state(tab)
        assert abs(moved["x"] - before["x"] - 100) < 6
        touch("touchStart", (550, 600), (650, 600))
        for away in (10, 30, 50):
            touch("touchMove", (550 - away, 600), (650 + away, 600))
        touch("touchEnd")
        assert abs(state(tab)["zoom"] - 1) < 0.1
