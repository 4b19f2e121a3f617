"""Slides with known objects behind a running server, and a browser that draws."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import uvicorn

from tests.browser import Browser, Tab, missing
from wsi_parse.errors import UsageError
from wsi_parse.viewer.app import application
from wsi_parse.viewer.opened import Opened
from wsi_parse.viewer.page_files import page_files
from wsi_parse.viewer.serve import listening_at
from wsi_parse.viewer.slide_view import Entry, SlideView

TOKEN = "token-of-a-test"
# Without a graphics card Chromium draws on the processor, if it is told to.
_DRAWS = "--use-angle=swiftshader --enable-unsafe-swiftshader --ignore-gpu-blocklist"


class Link:
    """An address, opened as the tests of pages open theirs."""

    def __init__(self, address: str) -> None:
        self._address = address

    def as_uri(self) -> str:
        return self._address


@contextmanager
def served(views: Sequence[SlideView], folder: Path, *, cohort: bool = False) -> Iterator[str]:
    """Serve slides; what is given is the address of the server with a slash at its end."""
    try:
        files = page_files()
    except UsageError as error:
        missing(f"{error.message} {error.remedy}")
    entries = [Entry(view.name, "done", 1, (), lambda view=view: view) for view in views]
    app = application(Opened(entries, folder, cohort=cohort), files, TOKEN, 2)
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=2)
    )
    with listening_at(0) as listening:
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


def drawing_browser(program: str, folder: Path) -> Browser:
    """Start a Chromium that has WebGL, also without a graphics card."""
    starter = folder / "chromium-that-draws"
    starter.write_text(f'#!/bin/sh\nexec "{program}" "$@" {_DRAWS}\n', encoding="utf-8")
    starter.chmod(0o700)
    return Browser(str(starter), folder / "profile")


# A frame must have passed: what was just clicked is drawn in the next one.
_AT_REST = """
new Promise((done) => requestAnimationFrame(() => setTimeout(done))).then(() => {
  const found = window.wsiParseViewer?.state();
  return found?.atRest ? found : null;
})
"""


def state(tab: Tab) -> dict[str, Any]:
    """Wait until all that is in view has come and is drawn; return what the page says of itself."""
    return dict(tab.wait_for(_AT_REST))


def go(tab: Tab, x: float, y: float, zoom: float) -> dict[str, Any]:
    """Look at a place, as soon as the page is there; return what it says of itself."""
    if not tab.run("!!window.wsiParseViewer"):
        state(tab)
    tab.run(f"window.wsiParseViewer.go({x}, {y}, {zoom})")
    return state(tab)


def text(tab: Tab, selector: str) -> str:
    return str(tab.run(f"document.querySelector({selector!r}).textContent"))


def slide(tab: Tab, selector: str, value: float) -> None:
    """Move a slider, as a person does."""
    tab.run(
        f"(() => {{ const one = document.querySelector({selector!r}); one.value = {value};"
        " one.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


def click(tab: Tab, x: float, y: float) -> None:
    """Click a point of the window."""
    for kind in ("mousePressed", "mouseReleased"):
        tab.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


def middle_of_slide(tab: Tab) -> tuple[float, float]:
    """Where the middle of the canvas lies in the window."""
    x, y = tab.run(
        "(({left, top, width, height}) => [left + width / 2, top + height / 2])"
        "(document.getElementById('slide').getBoundingClientRect())"
    )
    return float(x), float(y)


def colour_by(tab: Tab, measurement: str) -> None:
    tab.run(
        f"(() => {{ const by = document.getElementById('by'); by.value = {measurement!r};"
        " by.dispatchEvent(new Event('change')); })()"
    )


def press(tab: Tab, key: str) -> None:
    for kind in ("keyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key=key)


def complaints(tab: Tab) -> list[Any]:
    """What the page complains of; how fast the processor draws is no complaint."""
    return [one for one in tab.complaints if one.get("entry", {}).get("source") != "rendering"]
