"""The page of a cohort in a real browser: of three slides and of a thousand, on every kind of screen, and on paper."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from tests.browser import PHONE, WIDE, Browser, screenshots
from tests.cohort.test_page import CAUTION, HOSTILE, HOSTILE_ID, done, failed, run_folder, thousand
from tests.report.test_in_browser import holds
from wsi_parse.cohort import Outcome
from wsi_parse.cohort.tables import write_tables

pytestmark = pytest.mark.whole

SECTIONS = ["failed", "cautions", "outliers", "slides", "distributions", "overlays"]
MORE = {"unsure": {"nuclei": 3}, "median_nuclear_area_um2": 30.0}


# Pictures far below the window are drawn when they come into it.
_SHOW_ALL = "document.querySelectorAll('.contact figure').forEach((one) => { one.style.contentVisibility = 'visible' })"


def draw(out: Path, name: str) -> None:
    """The folder of a slide, with a picture in which one sees something."""
    run_folder(out, name)
    picture = Image.new("RGB", (640, 400), "white")
    ImageDraw.Draw(picture).ellipse((60, 40, 580, 360), fill=(228, 190, 214), outline=(40, 80, 200), width=8)
    picture.save(out / name / "overlay.png")


def three(out: Path) -> list[Outcome]:
    """Two slides that are done, one of them questioned, and one that failed."""
    for name in "ab":
        draw(out, name)
    return [done("a", 300.0, **MORE), done("b", 9.0, cautions=[CAUTION], **MORE), failed("c")]


def thirteen(out: Path) -> list[Outcome]:
    draw(out, "a")
    return [
        done("a", 300.0, group="x", extra={"age": 61}, **MORE),
        done("b", 9.0, group="y", cautions=[CAUTION], **MORE),
        failed("c", group=HOSTILE),
        *(done(str(number), 100.0 + number, group="x") for number in range(9)),
        done("far", 90_000.0, group="y", cautions=[CAUTION]),
    ]


def hostile(out: Path) -> list[Outcome]:
    draw(out, HOSTILE_ID)
    names = {"group": HOSTILE, "extra": {HOSTILE: HOSTILE}, "slide": HOSTILE, "limitations": [HOSTILE]}
    counts = {"counts": {HOSTILE: 5}, "per_mm2": {HOSTILE: 2.5}, "unsure": {HOSTILE: 1}}
    caution = {"code": HOSTILE, "text": HOSTILE, "number": None, "remedy": HOSTILE}
    return [
        done(HOSTILE_ID, **counts, **names),
        *(done(name, **counts, cautions=[caution]) for name in "bcd"),
        failed("e", HOSTILE, group=HOSTILE),
    ]


COHORTS: dict[str, Callable[[Path], list[Outcome]]] = {
    "three": three,
    "thirteen": thirteen,
    "thousand": thousand,
    "hostile": hostile,
    "failures": lambda _: [failed("a"), failed("b")],
}


@pytest.fixture(scope="module", params=COHORTS)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp(request.param)
    write_tables(COHORTS[request.param](out), out, page=True)
    assert (out / "cohort.html").stat().st_size < 25_000_000
    return out / "cohort.html"


@pytest.mark.parametrize(("window", "scheme"), [(WIDE, "light"), (WIDE, "dark"), (PHONE, "light")])
def test_the_page_on_a_screen(browser: Browser, page: Path, window: tuple[int, int, bool], scheme: str) -> None:
    with browser.open(page, window, scheme=scheme) as tab:
        tab.run(_SHOW_ALL)
        holds(tab, f"cohort-{page.parent.name[:-1]}-{window[0]}-{scheme}", sections=SECTIONS)
        assert tab.run("!document.getElementById('filters').hidden"), "its script runs"


def test_the_page_on_paper(browser: Browser, page: Path) -> None:
    name = f"cohort-{page.parent.name[:-1]}-paper"
    # Landscape.
    with browser.open(page, (1047, 718, False), scheme="dark", medium="print") as tab:
        holds(tab, name, sections=SECTIONS)
        assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert tab.printed(screenshots() / f"{name}.pdf").count(b"/Type /Page\n") >= 2


# A thousand rows are the same elements, and minutes of work for axe.
@pytest.mark.parametrize("page", [name for name in COHORTS if name != "thousand"], indirect=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, axe: str, page: Path, scheme: str) -> None:
    with browser.open(page, scheme=scheme) as tab:
        assert tab.axe(axe) == []


def test_the_table_sorts_and_filters(browser: Browser, tmp_path: Path) -> None:
    write_tables(thirteen(tmp_path), tmp_path, page=True)
    script = """
    (() => {
      const rows = () => [...document.querySelectorAll("#table tbody tr")].filter((row) => !row.hidden);
      const names = () => rows().map((row) => row.cells[1].firstElementChild.textContent);
      const heads = [...document.querySelectorAll("th button")];
      const press = (text) => heads.find((one) => one.textContent === text).click();
      const choose = (id, value) => {
        const one = document.getElementById(id);
        one.value = value;
        one.dispatchEvent(new Event("input"));
      };
      const told = {};
      press("nuclei per mm²");
      told.up = names();
      press("nuclei per mm²");
      told.down = names();
      choose("kind", "caution");
      told.cautions = names();
      choose("kind", "");
      choose("group", "y");
      told.group = names();
      choose("group", "");
      choose("search", "  ALERT(1) ");
      told.search = names();
      told.shown = document.getElementById("shown").textContent;
      told.pictures = document.querySelectorAll("figure[data-row]:not([hidden])").length;
      return told;
    })()
    """
    with browser.open(tmp_path / "cohort.html") as tab:
        told = tab.run(script)
    middle = [str(number) for number in range(9)]
    assert told["up"] == ["b", *middle, "a", "far", "c"], "what has no number comes last"
    assert told["down"] == ["far", "a", *reversed(middle), "b", "c"]
    assert told["cautions"] == ["far", "b"]
    assert told["group"] == ["far", "b"]
    assert told["search"] == ["c"]
    assert told["shown"] == "1 of 13 rows"
    assert told["pictures"] == 0
