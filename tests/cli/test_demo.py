"""The demo: painted cells with no network, real tissue from a stand-in of its server, and what is said without it."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.in_process import Ended, caller
from tests.models.public_server import serving
from tests.shared import shared_data_root
from wsi_parse.cli import demo, real_slide
from wsi_parse.models.public_file import PublicFile
from wsi_parse.run.manifest import RunManifest

NOWHERE = PublicFile("http://127.0.0.1:9/slides/CMU-1-Small-Region.svs", 1_938_955, "0" * 64)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Ended]:
    monkeypatch.setenv("WSI_PARSE_CACHE", str(tmp_path / "cache"))
    return caller(monkeypatch, capsys)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[str, ...]]]:
    """Name of the slide and prompts of each run that would begin; each ends at once with code 7."""
    seen = []

    def run_slides(paths: list[Path], _: Path, settings: Any, **__: object) -> int:
        assert paths[0].is_file()
        seen.append((paths[0].name, tuple(str(prompt) for prompt in settings.prompts)))
        return 7

    monkeypatch.setattr(demo, "run_slides", run_slides)
    return seen


def paint_quickly(path: Path, *, truth: Path) -> None:
    path.touch()
    truth.touch()


@pytest.mark.parametrize(
    ("file", "reason"),
    [(NOWHERE, "127.0.0.1:9 cannot be reached to download CMU-1-Small-Region.svs"), (None, "was damaged")],
)
def test_without_the_real_slide_the_painted_one_is_shown_and_this_is_said(
    call: Any,
    begun: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: PublicFile | None,
    reason: str,
) -> None:
    monkeypatch.setattr("wsi_parse.synthetic.demo_slide", paint_quickly)
    # The hub's library tries five times, with a second between.
    monkeypatch.setattr("time.sleep", lambda _: None)
    with serving("real.svs", b"slide") as server:
        server.data = b"other"
        monkeypatch.setattr(real_slide, "SKIN", file or server.file)
        ended = call("demo", "--real", "-o", tmp_path / "out")
    assert ended.code == 7
    assert [name for name, _ in begun] == ["demo.svs"]
    said = " ".join(ended.err.split())
    assert "There is no real slide:" in said
    assert reason in said
    assert "The demo goes on with the painted one." in said
    assert "Traceback" not in said
    assert "Trying to resume" not in said, "one sentence says it"


def test_the_real_slide_is_fetched_once_into_the_cache(
    call: Any, begun: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving("real.svs", b"slide") as server:
        monkeypatch.setattr(real_slide, "SKIN", server.file)
        first, second = (call("demo", "--real", "-o", tmp_path / "out") for _ in range(2))
    assert "Downloading real.svs" in first.err
    assert "Downloading" not in second.err
    assert begun == [("real.svs", ("nuclei",))] * 2
    assert len(server.ranges) == 1
    assert (tmp_path / "cache" / "slides" / "real.svs").read_bytes() == b"slide"


def test_the_known_slide_is_the_one_of_the_shared_data() -> None:
    data = (shared_data_root() / "slides" / "aperio" / real_slide.SKIN.name).read_bytes()
    with serving(real_slide.SKIN.name, data) as server:
        known = server.file
    assert (known.name, known.bytes, known.sha256) == (
        real_slide.SKIN.name,
        real_slide.SKIN.bytes,
        real_slide.SKIN.sha256,
    )


@pytest.mark.whole
def test_real_tissue_ends_at_a_report(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (shared_data_root() / "slides" / "aperio" / real_slide.SKIN.name).read_bytes()
    out = tmp_path / "out" / "CMU-1-Small-Region"
    with serving(real_slide.SKIN.name, data) as server:
        monkeypatch.setattr(real_slide, "SKIN", server.file)
        ended = call("demo", "--real", "-o", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert f"Open {out / 'report.html'} in a browser" in ended.err
    assert (out / "report.html").stat().st_size > 10_000
    # By eye most nuclei of this slide are outlined: 2,274.
    assert 1_900 < RunManifest.load(out).counts["nuclei"] < 2_500


@pytest.mark.whole
def test_painted_cells_need_no_network_and_their_kinds_are_told_apart(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sought: list[object] = []

    def no_network(*where: object, **_: object) -> None:
        sought.append(where)
        raise OSError("no network")

    for owner, name in ((socket, "getaddrinfo"), (socket.socket, "connect"), (socket.socket, "connect_ex")):
        monkeypatch.setattr(owner, name, no_network)
    ended = call("demo", "-o", tmp_path)
    assert ended.code == 0, ended.err
    assert not sought
    lines = [line for line in ended.err.splitlines() if line.count("│") == 4]
    scores = {line.partition("│")[0].strip(): float(line.rpartition("│")[2]) for line in lines}
    assert set(scores) == {"neoplastic cells", "inflammatory cells"}
    assert min(scores.values()) > 0.8, "a kind that the model does not find is not for the demo"
    assert f"Open {tmp_path / 'demo' / 'report.html'} in a browser" in ended.err
    assert (tmp_path / "demo" / "report.html").stat().st_size > 10_000
