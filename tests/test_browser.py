"""The browser of the tests notices what it is there to notice."""

from pathlib import Path

import pytest

from tests.browser import PHONE, WIDE, Browser

pytestmark = pytest.mark.whole

_GIF = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
_HEAD = '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'


def page(folder: Path, body: str) -> Path:
    path = folder / "page.html"
    path.write_text(f"{_HEAD}<title>A page</title></head><body>{body}</body></html>", encoding="utf-8")
    return path


def test_a_good_page_has_no_faults(browser: Browser, tmp_path: Path) -> None:
    body = "<section id=a>words</section><section id=b></section><svg viewBox='0 0 90 9'><text y=9>in</text></svg>"
    with browser.open(page(tmp_path, body), PHONE) as tab:
        assert tab.overflow_px == 0
        assert tab.clipped == []
        assert tab.complaints == []
        assert tab.sections() == ["a"]
        assert [Path(url).name for url in tab.requests] == ["page.html"]


@pytest.mark.parametrize(
    "body",
    [
        "<div style='overflow:hidden;width:50px'><span style='white-space:nowrap'>words that are too long</span></div>",
        "<svg viewBox='0 0 90 9'><text x=80 y=9>words beyond the drawing</text></svg>",
        "<div style='position:absolute;left:-40px'>words beside the window</div>",
    ],
)
def test_text_that_is_cut_off_is_noticed(browser: Browser, tmp_path: Path, body: str) -> None:
    with browser.open(page(tmp_path, body)) as tab:
        assert len(tab.clipped) == 1


def test_what_scrolls_is_not_cut_off(browser: Browser, tmp_path: Path) -> None:
    body = "<div style='overflow:auto;width:50px'><p style='width:400px;text-align:right'>words</p></div>"
    with browser.open(page(tmp_path, body)) as tab:
        assert tab.clipped == []


def test_a_page_that_is_too_wide_is_noticed(browser: Browser, tmp_path: Path) -> None:
    with browser.open(page(tmp_path, "<div style='width:800px;height:9px'></div>"), PHONE) as tab:
        assert tab.overflow_px > 300


@pytest.mark.parametrize(
    "body",
    [
        "<script>console.error('a')</script>",
        "<script>nothing.here()</script>",
        "<img src=absent.png alt=''>",
        "<script>setTimeout(() => console.warn('later'), 1)</script>",
    ],
)
def test_complaints_are_noticed(browser: Browser, tmp_path: Path, body: str) -> None:
    with browser.open(page(tmp_path, body)) as tab:
        tab.run("new Promise((done) => setTimeout(done, 100))")
        assert tab.complaints


def test_requests_are_noticed(browser: Browser, tmp_path: Path) -> None:
    body = f"<img alt='' src=http://127.0.0.1:9/a.png><img alt='' src='{_GIF}'>"
    with browser.open(page(tmp_path, body), WIDE) as tab:
        assert [url for url in tab.requests if not url.endswith("page.html")] == ["http://127.0.0.1:9/a.png"]


def test_axe_finds_a_picture_without_words(browser: Browser, axe: str, tmp_path: Path) -> None:
    with browser.open(page(tmp_path, f"<img src='{_GIF}'>")) as tab:
        assert [name for name, _ in tab.axe(axe)] == ["image-alt"]
