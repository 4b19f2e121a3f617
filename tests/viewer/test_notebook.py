"""run.view(): the viewer in a notebook's frame, served by the process of the notebook."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.browser import Browser, Tab, screenshots
from tests.small_slides import tissue_with_nuclei, write_slide
from tests.viewer.served import Link
from wsi_parse import Run, segment_slide
from wsi_parse.errors import UsageError

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    pixels, _ = tissue_with_nuclei(900, 700)
    return segment_slide(write_slide(folder / "a.svs", pixels), folder / "out", prompts="nuclei", model="stain")


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[str]:
    """Another server on this machine, whose pages come from another site: localhost."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


def frame_in(browser: Browser, address: str) -> Tab:
    """The frame of a page from another site, which Chromium keeps as a page of its own."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for one in browser.call("Target.getTargets")["targetInfos"]:
            if one["type"] == "iframe" and one["url"].startswith(address):
                session = browser.call("Target.attachToTarget", targetId=one["targetId"], flatten=True)["sessionId"]
                return Tab(browser, one["targetId"], session)
        time.sleep(0.1)
    raise AssertionError("there is no frame")


def test_the_frame_of_a_notebook_shows_the_run(drawing: Browser, run: Run, tmp_path: Path, notebook: str) -> None:
    viewing = run.view(run.folder.parent)
    (tmp_path / "notebook.html").write_text(f"<h1>Notebook</h1>{viewing._repr_html_()}", encoding="utf-8")
    with drawing.open(Link(f"{notebook}notebook.html")) as tab:
        frame = frame_in(drawing, viewing.link.split("?")[0])
        shown = frame.wait_for("window.wsiParseViewer?.state().atRest && window.wsiParseViewer.state()")
        assert shown["total"] == run.counts["nuclei"] > 50
        frame.run("window.isOld = true; location.reload()")
        again = frame.wait_for(
            "!window.isOld && window.wsiParseViewer?.state().atRest && window.wsiParseViewer.state()"
        )
        assert again["total"] == shown["total"]
        assert "Research use only" in frame.run("document.body.innerText")
        assert "Research use only" in tab.run("document.body.innerText")
        tab.picture(screenshots() / "viewer-notebook.jpg", whole=False)
    # In a window of its own it works as the command's does.
    with drawing.open(Link(viewing.link)) as tab:
        assert tab.wait_for("window.wsiParseViewer?.state().atRest && window.wsiParseViewer.state()")["total"] > 50
    viewing.close()


def test_asked_for_again_the_open_one_is_given(run: Run) -> None:
    first = run.view(run.folder.parent)
    assert run.view(run.folder.parent) is first
    first.close()
    first.close()
    assert (first.is_open, repr(first)) == (False, "<Viewer, closed>")
    assert "<iframe" not in first._repr_html_()
    second = run.view(run.folder.parent, files=[run.folder / "annotations.geojson"])
    assert second is not first
    headers = {"Authorization": f"Bearer {second.link.split('token=')[1]}"}
    facts = httpx.get(second.link.split("?")[0] + "view.json", headers=headers).json()
    assert [len(facts["layers"]), facts["layers"][1]["name"]] == [2, "annotations.geojson"]
    second.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(second.link)


def test_a_file_that_was_changed_is_shown_as_it_is_now(run: Run, tmp_path: Path) -> None:
    corrected = tmp_path / "corrected.geojson"
    whole = json.loads((run.folder / "annotations.geojson").read_text())
    shown = []
    for count in (50, 10):
        corrected.write_text(json.dumps(whole | {"features": whole["features"][:count]}))
        viewing = run.view(run.folder.parent, files=corrected)
        headers = {"Authorization": f"Bearer {viewing.link.split('token=')[1]}"}
        facts = httpx.get(viewing.link.split("?")[0] + "view.json", headers=headers).json()
        shown.append((viewing, {one["name"]: one["objects"] for one in facts["layers"][1]["classes"]}))
    (first, of_first), (second, of_second) = shown
    assert (of_first["agree"], of_second["agree"]) == (50, 10)
    assert (first.is_open, second.is_open) == (False, True)
    second.close()


def test_height_and_port_are_those_asked_for(run: Run) -> None:
    first = run.view(run.folder.parent)
    assert "height: 640px" in first._repr_html_()
    assert "height: 900px" in run.view(run.folder.parent, height=900)._repr_html_()
    other = run.view(run.folder.parent, port=free_port())
    assert (first.is_open, other.is_open, other.port) == (False, True, other.port)
    # The port is its own: it makes room for the one that follows.
    (run.folder / "run.json").touch()
    again = run.view(run.folder.parent, port=other.port)
    assert (other.is_open, again.is_open, again.port) == (False, True, other.port)
    again.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.mark.parametrize("wrong", [{"port": 99_999}, {"port": -1}, {"height": "100%"}, {"height": 5}])
def test_wrong_numbers_are_errors_of_ours(run: Run, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"Give a number|Choose another port"):
        run.view(run.folder.parent, **wrong)


def test_a_run_that_is_gone_is_an_error_of_ours(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gone"):
        Run(tmp_path / "gone", run.manifest).view()


def test_a_process_that_was_forked_leaves_it_alone(run: Run) -> None:
    viewing = run.view(run.folder.parent)
    child = os.fork()
    if not child:
        viewing.close()
        # As the end of a process does, without the tests' own.
        os._exit(int(viewing.is_open))
    assert os.waitpid(child, 0)[1] == 0
    assert httpx.get(viewing.link).status_code == 303
    child = os.fork()
    if not child:
        time.sleep(30)
        os._exit(0)
    viewing.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(viewing.link, timeout=5)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_what_cannot_be_shown_says_why(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="contains no slide"):
        run.view(tmp_path)
    first = run.view(run.folder.parent)
    port = int(first.link.split(":")[2].split("/")[0])
    first.close()
    second = run.view(run.folder.parent, port=port)
    with pytest.raises(UsageError, match=f"port {port} cannot be used"):
        run.view(run.folder.parent, files=[run.folder / "annotations.geojson"], port=port)
    second.close()


def test_a_process_that_shows_a_run_ends(run: Run) -> None:
    """The server holds nobody up, and leaves no temporary folder."""
    script = (
        "import sys, tempfile, pathlib, wsi_parse\n"
        "tempfile.tempdir = sys.argv[2]\n"
        "run = wsi_parse.Run.open(sys.argv[1])\n"
        "print(run.view(pathlib.Path(sys.argv[1]).parent))\n"
    )
    temporary = run.folder.parent / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-c", script, str(run.folder), str(temporary)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("<Viewer at http://127.0.0.1:")
    assert ended.stderr == ""
    assert list(temporary.iterdir()) == []
