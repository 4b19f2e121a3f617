"""Public files against a stand-in of their server on this machine: resumed, checked, refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.public_server import Server, serving
from wsi_parse.errors import DownloadError
from wsi_parse.models.public_file import fetch_public

DATA = bytes(range(256)) * 40


@pytest.fixture
def server() -> Iterator[Server]:
    with serving("small.svs", DATA) as server:
        yield server


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    path = fetch_public(server.file, tmp_path / "slides")
    assert path == tmp_path / "slides" / "small.svs"
    assert path.read_bytes() == DATA
    assert fetch_public(server.file, path.parent) == path
    assert server.ranges == [None], "what is there is not fetched again"
    assert files_in(path.parent) == ["small.svs"]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_an_interrupted_download_is_continued(server: Server, tmp_path: Path, knows_ranges: bool) -> None:
    server.knows_ranges = knows_ranges
    (tmp_path / "small.svs.part").write_bytes(DATA[:3000])
    assert fetch_public(server.file, tmp_path).read_bytes() == DATA
    assert server.ranges[0] == "bytes=3000-"
    assert files_in(tmp_path) == ["small.svs"]


def test_a_broken_connection_is_made_again(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    server.breaks = 1
    assert fetch_public(server.file, tmp_path).read_bytes() == DATA
    assert len(server.ranges) == 2
    assert files_in(tmp_path) == ["small.svs"]


@pytest.mark.parametrize("left", [b"x" * 3000, b"x" * len(DATA), b"x" * 2 * len(DATA)])
def test_wrong_bytes_that_were_left_are_fetched_anew(server: Server, tmp_path: Path, left: bytes) -> None:
    (tmp_path / "small.svs.part").write_bytes(left)
    assert fetch_public(server.file, tmp_path).read_bytes() == DATA
    assert server.ranges[-1] is None
    assert files_in(tmp_path) == ["small.svs"]


def test_a_file_that_changed_in_the_cache_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "small.svs").write_bytes(DATA[:-1] + b"x")
    assert fetch_public(server.file, tmp_path).read_bytes() == DATA


@pytest.mark.parametrize("served", [DATA[:-1] + b"x", b"<html>Please log in.</html>"])
def test_other_bytes_are_refused_and_removed(server: Server, tmp_path: Path, served: bytes) -> None:
    server.data = served
    with pytest.raises(DownloadError, match=r"small\.svs was damaged in the download and was removed"):
        fetch_public(server.file, tmp_path)
    assert files_in(tmp_path) == []


def test_a_refusal_is_said(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DownloadError, match=r"127.0.0.1:\d+ answered with an error: .*404"):
        fetch_public(server.file, tmp_path)


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match="file"):
        fetch_public(server.file, tmp_path / "file" / "slides")
    assert not server.ranges
