"""Downloads against a stand-in of the hub on this machine: its answers, and the messages when it refuses."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

TOKEN = "hf_right"
COMMIT = "c0ffee" * 6 + "c0ff"
REPOSITORY = "/microsoft/BiomedParse/resolve/"


class Hub(ThreadingHTTPServer):
    """Serves files of one gated repository."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.accepted = True
        self.broken = False
        self.forbids = False
        self.lies = False
        self.asked: list[tuple[str, str]] = []


class Handler(BaseHTTPRequestHandler):
    """As the hub does: HEAD tells commit, size and hash, GET gives the bytes, refusals name their kind."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _refusal(self) -> tuple[int, str, str] | None:
        """Status, the hub's code, and its words; None where the file is given."""
        hub, token = self.server, self.headers.get("Authorization", "")
        revision, _, name = self.path.removeprefix(REPOSITORY).partition("/")
        refusals = (
            (hub.broken, 503, "", ""),
            (not self.path.startswith(REPOSITORY), 404, "RepoNotFound", "Repository not found"),
            (hub.forbids, 403, "", "Please enable access to public gated repositories"),
            (token == "Bearer hf_wrong", 401, "", "Invalid credentials in Authorization header"),
            (token != f"Bearer {TOKEN}", 401, "GatedRepo", "Access to this resource is restricted"),
            (not hub.accepted, 403, "GatedRepo", "You are not in the authorized list"),
            (revision not in {"main", COMMIT}, 404, "RevisionNotFound", "Invalid rev id"),
            (name not in hub.files, 404, "EntryNotFound", "Entry not found"),
        )
        return next(((status, code, words) for refused, status, code, words in refusals if refused), None)

    def _answer(self, *, body: bool) -> None:
        hub = self.server
        hub.asked.append((self.command, self.path))
        refusal = self._refusal()
        if refusal is not None:
            self._refuse(*refusal)
            return
        name = self.path.removeprefix(REPOSITORY).partition("/")[2]
        data = hub.files[name]
        sha256 = hashlib.sha256(data).hexdigest()
        start = 0
        if body and self.headers.get("Range"):
            start = int(self.headers["Range"].removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{sha256}"')
        self.send_header("X-Linked-Etag", f'"{sha256}"')
        self.send_header("X-Linked-Size", str(len(data)))
        self.send_header("Accept-Ranges", "bytes")
        sent = data[start:]
        if hub.lies:
            sent = sent[:-1] + bytes([sent[-1] ^ 1])
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        if body:
            self.wfile.write(sent)


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def get(
    hub: Hub | None, cache: Path, *arguments: str, token: str | None = TOKEN, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run `models get` in a process of its own: the hub's library reads its environment once."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    endpoint = f"http://127.0.0.1:{hub.server_address[1]}" if hub else "http://127.0.0.1:9"
    own = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(cache / "hf"),
        "WSI_PARSE_CACHE": str(cache),
        "HF_HUB_DISABLE_XET": "1",
    }
    if token:
        own["HF_TOKEN"] = token
    return subprocess.run(
        [sys.executable, "-m", "wsi_parse.cli.main", "models", "get", "biomedparse", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**plain, **own, **more},
    )


def test_no_token(hub: Hub, tmp_path: Path) -> None:
    result = get(hub, tmp_path, token=None)
    assert result.returncode == 1
    assert "no valid one was sent" in result.stderr
    assert "hf auth login" in result.stderr
    assert "CC-BY-NC-SA-4.0; non-commercial; research use only, not for clinical decisions" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_token_that_is_not_valid(hub: Hub, tmp_path: Path) -> None:
    result = get(hub, tmp_path, token="hf_wrong")
    assert result.returncode == 1
    assert "not valid" in result.stderr or "refuses your token" in result.stderr
    assert "huggingface.co/settings/tokens" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_token_without_the_right(hub: Hub, tmp_path: Path) -> None:
    hub.forbids = True
    result = get(hub, tmp_path)
    assert result.returncode == 1
    assert "read access to gated repositories" in result.stderr


def test_conditions_not_accepted(hub: Hub, tmp_path: Path) -> None:
    hub.accepted = False
    result = get(hub, tmp_path)
    assert result.returncode == 1
    assert "not accepted the conditions of microsoft/BiomedParse" in result.stderr
    assert "huggingface.co/microsoft/BiomedParse" in result.stderr


def test_offline(tmp_path: Path) -> None:
    for more in ({}, {"HF_HUB_OFFLINE": "1"}):
        result = get(None, tmp_path, **more)
        assert result.returncode == 1
        assert "cannot be reached" in result.stderr
        assert "--from FILE" in result.stderr
        assert "Traceback" not in result.stderr


def test_a_hub_in_trouble(hub: Hub, tmp_path: Path) -> None:
    hub.broken = True
    result = get(hub, tmp_path)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr


def test_a_revision_and_a_file_that_are_not_there(hub: Hub, tmp_path: Path) -> None:
    assert "does not have this revision" in get(hub, tmp_path, "--revision", "v9").stderr
    assert "does not have the file biomedparse_v1.pt" in get(hub, tmp_path).stderr


def test_a_wrong_file(hub: Hub, tmp_path: Path) -> None:
    hub.files["biomedparse_v1.pt"] = b"not what it says" * 1000
    result = get(hub, tmp_path)
    assert result.returncode == 1
    assert "biomedparse_v1.pt" in result.stderr
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not list(tmp_path.rglob("weights.json"))


def test_bytes_that_changed_on_the_way(hub: Hub, tmp_path: Path) -> None:
    hub.files["biomedparse_v1.pt"] = b"x" * 5000
    hub.lies = True
    result = get(hub, tmp_path)
    assert result.returncode == 1
    assert "was damaged in the download" in result.stderr
    assert not list(tmp_path.rglob("*.pt"))


def test_a_full_disk_is_said_before_anything_is_fetched(hub: Hub, tmp_path: Path) -> None:
    hub.files["biomedparse_v1.pt"] = b"x"
    code = (
        "import shutil, sys, collections; from wsi_parse.cli.main import main;"
        "shutil.disk_usage = lambda _: collections.namedtuple('U', 'total used free')(9, 8, 10**6);"
        "sys.argv[1:] = ['models', 'get', 'biomedparse']; main()"
    )
    own = {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_address[1]}",
        "HF_TOKEN": TOKEN,
        "WSI_PARSE_CACHE": str(tmp_path),
    }
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **own}, timeout=300
    )
    assert result.returncode == 1
    assert "1.4 GB are needed" in result.stderr
    assert "WSI_PARSE_CACHE" in result.stderr
    assert [method for method, path in hub.asked if REPOSITORY in path] == ["HEAD"]


def test_a_disk_that_fills_up_on_the_way(hub: Hub, tmp_path: Path) -> None:
    import errno

    from wsi_parse.errors import DownloadError
    from wsi_parse.models.hub import explain_errors

    with pytest.raises(DownloadError, match=r"disk is full.*WSI_PARSE_CACHE"), explain_errors("a/b", "c"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_the_right_file_is_fetched_checked_and_installed(
    hub: Hub, tmp_path: Path, tiny_as_released: dict[str, bytes]
) -> None:
    """The whole way, with the tiny twin in the place of the released network."""
    hub.files |= tiny_as_released
    code = (
        "import sys; from wsi_parse.models.biomedparse import install;"
        "from tests.models.biomedparse.reference import sizes_of; install.RELEASED = sizes_of('keys_tiny');"
        "from wsi_parse.cli.main import main; sys.argv[1:] = ['models', 'get', 'biomedparse']; main()"
    )
    own = {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_address[1]}",
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(tmp_path / "hf"),
        "WSI_PARSE_CACHE": str(tmp_path / "cache"),
        "HF_HUB_DISABLE_XET": "1",
    }
    environment = {**os.environ, **own}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "cache" / "models" / "biomedparse"
    assert sorted(path.name for path in folder.iterdir()) == ["target_dist.json", "weights.json", "weights.safetensors"]
    card = json.loads((folder / "weights.json").read_text())
    assert card["revision"] == COMMIT
    assert card["licence"] == "CC-BY-NC-SA-4.0"
    assert card["source_sha256"] == hashlib.sha256(hub.files["biomedparse_v1.pt"]).hexdigest()
    assert card["sha256"] == hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    command = [sys.executable, "-m", "wsi_parse.cli.main", "models", "--json"]
    models = json.loads(subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300).stdout)
    mine = next(one for one in models if one["name"] == "biomedparse")
    assert mine["weights_sha256"] == card["sha256"]
    assert mine["weights_revision"] == COMMIT


@pytest.fixture
def tiny_as_released(tmp_path: Path) -> dict[str, bytes]:
    import torch

    from tests.models.biomedparse.reference import checkpoint

    torch.save(checkpoint("keys_tiny", everything=True), tmp_path / "tiny.pt")
    distributions = {"Pathology": {"neoplastic cells": [[2.0, 3.0]] * 4}}
    return {
        "biomedparse_v1.pt": (tmp_path / "tiny.pt").read_bytes(),
        "target_dist.json": json.dumps(distributions).encode(),
    }
