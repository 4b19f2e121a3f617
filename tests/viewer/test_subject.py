"""Runs, slides and cohorts are found and opened; what cannot be shown says why, and what to do."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from tests.cli.in_process import Ended, caller
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse import RunSettings, segment_slide
from wsi_parse.errors import UsageError
from wsi_parse.files import file_sha256
from wsi_parse.viewer import layers, subject
from wsi_parse.viewer.app import application
from wsi_parse.viewer.object_table import ObjectTable
from wsi_parse.viewer.opened import Opened
from wsi_parse.viewer.subject import Request, opened_of

pytestmark = pytest.mark.whole

SCRIPT = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide with nuclei, its run, and the run of a slide that was given a script as its name."""
    study = tmp_path_factory.mktemp("study")
    (study / "slides").mkdir()
    pixels, _ = tissue_with_nuclei(1200, 900)
    slide = write_slide(study / "slides" / "a.svs", pixels)
    segment_slide(slide, study / "out" / "a", prompts="nuclei", model="stain")
    named = RunSettings.load(None, [f"slide.name={json.dumps(SCRIPT)}"], prompts=("nuclei",), model={"name": "stain"})
    segment_slide(slide, study / "out" / "b", named)
    return study


def opened(path: Path, temporary: Path, slide: Path | None = None, *others: Path) -> Opened:
    return opened_of(Request(path, slide, others, temporary, lambda _: None))


def test_a_run_is_shown_with_its_slide(study: Path, tmp_path: Path) -> None:
    run = study / "out" / "a"
    view = opened(run, tmp_path, study / "slides").view(0)
    manifest = json.loads((run / "run.json").read_text())
    facts = view.to_dict(cohort=False)
    assert (facts["name"], facts["width"], facts["height"]) == ("a.svs", 1200, 900)
    assert facts["layers"][0]["objects"] == sum(manifest["counts"].values()) > 100
    assert facts["research_use"].startswith("Research use only")
    assert len(view.areas()["tissue"]) >= 1
    assert str(study) not in json.dumps(facts)
    assert (run / "view" / "result" / "view.json").is_file()


def test_the_places_are_the_fields_of_the_report(study: Path, tmp_path: Path) -> None:
    run = study / "out" / "a"
    places = opened(run, tmp_path, study / "slides").view(0).places()
    page = (run / "report.html").read_text()
    assert {one["kind"] for one in places["fields"]} == {"Densest", "Least certain", "Random"}
    for one in places["fields"]:
        assert one["text"] in page
    table = pq.read_table(run / "objects.parquet", columns=["probability_mean"])
    assert places["objects"][0]["text"].endswith(f"{min(table['probability_mean'].to_pylist()):.3f}")


def test_a_changed_result_is_shown_as_it_is_and_this_is_said(study: Path, tmp_path: Path) -> None:
    run = shutil.copytree(study / "out" / "a", tmp_path / "a")
    table = pq.read_table(run / "objects.parquet")
    pq.write_table(table.slice(0, 7), run / "objects.parquet")
    said: list[str] = []
    found = opened_of(Request(run, study / "slides", (), tmp_path / "temporary", said.append))
    assert found.view(0).to_dict(cohort=False)["layers"][0]["objects"] == 7
    assert "was changed since the run" in said[0]


def test_the_table_of_a_run_is_hashed_and_opened_once(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed, tables = [], []
    monkeypatch.setattr(subject, "file_sha256", lambda path: (hashed.append(path.name), file_sha256(path))[1])
    monkeypatch.setattr(layers, "ObjectTable", lambda *given: (tables.append(given), ObjectTable(*given))[1])
    run = study / "out" / "a"
    opened(run, tmp_path, study / "slides", run / "annotations.geojson")
    assert (hashed, len(tables)) == (["objects.parquet"], 1)


def test_a_slide_is_found_beside_the_run(study: Path, tmp_path: Path) -> None:
    # The folder of slides lies beside the folder of results.
    assert opened(study / "out" / "a", tmp_path).view(0).name == "a.svs"


def test_a_slide_that_was_given_another_name_is_known_by_its_content(study: Path, tmp_path: Path) -> None:
    view = opened(study / "out" / "b", tmp_path, study / "slides").view(0)
    assert view.name == SCRIPT
    assert "a.svs" not in json.dumps(view.to_dict(cohort=False))


def test_a_slide_that_is_gone_or_another_one_says_what_to_do(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(study / "out" / "a", tmp_path / "far" / "away" / "from" / "a")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"a\.svs, the slide of the run a, was not found") as caught:
        opened(run, tmp_path)
    assert "--slide" in caught.value.remedy
    other = write_slide(tmp_path / "other.svs", np.full((300, 300, 3), 200, np.uint8))
    with pytest.raises(UsageError, match="is not the slide of the run"):
        opened(run, tmp_path, other)
    same_name = write_slide(tmp_path / "a.svs", np.full((300, 300, 3), 200, np.uint8))
    with pytest.raises(UsageError, match="has other content"):
        opened(run, tmp_path)
    assert same_name.is_file()


def test_a_cohort_lists_its_slides_and_opens_them_when_asked(study: Path, tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    for name in ("a", "b"):
        shutil.copytree(study / "out" / name, cohort / name)
    failed = json.loads((cohort / "b" / "run.json").read_text()) | {"state": "failed", "error": "The disk is full."}
    (cohort / "b" / "run.json").write_text(json.dumps(failed))
    found = opened(cohort, tmp_path / "temporary", study / "slides")
    assert not (cohort / "a" / "view" / "result").exists() or (study / "out" / "a" / "view").exists()
    client = TestClient(application(found, {"index.html": (b"", "text/html")}, "t", 1), "http://127.0.0.1:1")
    client.headers["Authorization"] = "Bearer t"
    listed = client.get("/cohort.json").json()["slides"]
    assert [(one["n"], one["name"], one["state"]) for one in listed] == [(0, "a.svs", "done"), (1, SCRIPT, "failed")]
    assert client.get("/s/0/thumbnail.jpg").headers["content-type"] == "image/jpeg"
    assert client.get("/s/0/view.json").json()["cohort"] is True
    answer = client.get("/s/1/view.json")
    assert answer.status_code == 500
    assert "The disk is full." in answer.json()["error"]
    with pytest.raises(UsageError, match="one slide"):
        opened(cohort, tmp_path, None, study / "x.geojson")


def test_a_bare_slide_is_shown_and_nothing_is_written_beside_it(study: Path, tmp_path: Path) -> None:
    slide, before = study / "slides" / "a.svs", sorted((study / "slides").iterdir())
    view = opened(slide, tmp_path, None, study / "out" / "a" / "annotations.geojson").view(0)
    facts = view.to_dict(cohort=False)
    assert [one["index"] for one in facts["layers"]] == [1]
    assert facts["layers"][0]["objects"] > 100
    assert view.places() == {"objects": [], "fields": []}
    assert sorted((study / "slides").iterdir()) == before


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    return caller(monkeypatch, capsys)


def test_without_its_page_the_command_says_how_to_build_it(
    call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("wsi_parse.viewer.page_files.STATIC", tmp_path)
    ended = call("view", tmp_path)
    assert ended.code == 2
    assert "make viewer" in ended.err


@contextmanager
def started(folder: Path, patch: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command with a page of three words, after a few lines of Python; what is given is its link."""
    for name in ("index.html", "viewer.js", "viewer.css"):
        (folder / name).write_text(name)
    script = (
        "import pathlib, time, wsi_parse.viewer.page_files as page\n"
        f"page.STATIC = pathlib.Path({str(folder)!r})\n{patch}\n"
        "from wsi_parse.cli.main import main\nmain()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, "view", *arguments, "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        link = process.stdout.readline().split()[1]
        assert link.startswith("http://127.0.0.1:")
        assert "ssh -N -L" in process.stdout.readline()
        yield process, link
    finally:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str]) -> str:
    """Press Ctrl-C; return what it says at its end."""
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    rest = process.stdout.read()
    assert process.wait(20) == 0
    assert time.monotonic() - began < 15
    return rest


def test_the_server_answers_its_link_and_ends_with_ctrl_c(study: Path, tmp_path: Path) -> None:
    """As a user starts it: the link is printed, the browser follows it, Ctrl-C ends it in order."""
    run = str(study / "out" / "a")
    with started(tmp_path, "", run, "--slide", str(study / "slides")) as (process, link):
        with httpx.Client(follow_redirects=True) as browser:
            page = browser.get(link)
            assert (page.status_code, page.text, page.url.path, page.url.query) == (200, "index.html", "/s/0/", b"")
            base = link.partition("/?")[0]
            assert browser.get(f"{base}/s/0/tiles/0/0/0.jpg").content[:2] == b"\xff\xd8"
            assert httpx.get(f"{base}/s/0/view.json").status_code == 403
        assert end(process) == "The viewer has ended.\n"


def test_ctrl_c_ends_it_also_while_a_slide_without_a_pyramid_is_read(study: Path, tmp_path: Path) -> None:
    """That takes a minute here; it ends in between, in order, and says so to who waits for the tile."""
    patch = (
        "from wsi_parse.slides.slide import Slide\nfrom wsi_parse.viewer import tiles\n"
        "tiles._MOST_STEP, tiles.TILE_PX, read = 1, 128, Slide.read\n"
        "Slide.read = lambda *given: (time.sleep(1), read(*given))[1]"
    )
    with started(tmp_path, patch, str(study / "slides" / "a.svs")) as (process, link):
        base, _, query = link.partition("/?token=")
        with ThreadPoolExecutor(1) as pool, httpx.Client(headers={"Authorization": f"Bearer {query}"}) as browser:
            zoom = browser.get(f"{base}/s/0/view.json").json()["max_z"]
            answer = pool.submit(browser.get, f"{base}/s/0/tiles/{zoom}/0/0.jpg", timeout=60)
            time.sleep(2)
            assert end(process) == "The viewer has ended.\n"
            assert (answer.result().status_code, answer.result().json()["error"]) == (500, "The viewer has ended.")
