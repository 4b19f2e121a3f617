"""Through a real SSH tunnel, as docs/viewer.md says: a server of SSH on this machine, and a browser at another port."""

import getpass
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.browser import Browser
from tests.shared import missing
from tests.small_slides import tissue_with_nuclei, write_slide
from tests.viewer.served import Link, complaints, drawing_browser, go, state
from wsi_parse import segment_slide
from wsi_parse.errors import UsageError
from wsi_parse.viewer.page_files import page_files

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"http://127\.0\.0\.1:(\d+)/\?token=\S+")
SECONDS = 60


def program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"]))
    if found is None:
        missing(f"there is no {name}: apt-get install openssh-server openssh-client")
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def wait_for_port(port: int) -> None:
    end = time.monotonic() + SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < end, f"nothing listens at {port}"
            time.sleep(0.05)
        else:
            return


@contextmanager
def running(command: list[str], **options: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[list[str]]:
    """How to reach the other machine, which is this one: a server of SSH with keys of its own."""
    server, client, keygen = program("sshd"), program("ssh"), program("ssh-keygen")
    folder, port = tmp_path / "ssh", free_port()
    folder.mkdir()
    for name in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    host = (folder / "host.pub").read_text(encoding="utf-8")
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host}", encoding="utf-8")
    lines = [
        *(f"Port {port}", "ListenAddress 127.0.0.1", "PidFile none", "StrictModes no", "UsePAM no"),
        *(f"HostKey {folder / 'host'}", f"AuthorizedKeysFile {folder / 'user.pub'}", "PasswordAuthentication no"),
    ]
    (folder / "config").write_text("\n".join([*lines, ""]), encoding="utf-8")
    if os.geteuid() == 0:
        # The server of SSH wants it, and a container has no service that makes it.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    reach = [client, "-F", "none", "-i", str(folder / "user"), "-p", str(port)]
    reach += ["-o", f"UserKnownHostsFile={folder / 'known'}", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]
    with running([server, "-D", "-f", str(folder / "config")]):
        wait_for_port(port)
        yield [*reach, f"{getpass.getuser()}@127.0.0.1"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    pixels, _ = tissue_with_nuclei(1200, 900)
    segment_slide(
        write_slide(tmp_path / "slide.svs", pixels), tmp_path / "out" / "slide", prompts="nuclei", model="stain"
    )
    return tmp_path / "out" / "slide"


def test_a_run_of_another_machine_is_seen_through_a_tunnel(
    ssh: list[str], run: Path, browser: Browser, tmp_path: Path
) -> None:
    """The link opens with another port, the page sees all, Ctrl-C there ends it, and the page says so."""
    try:
        page_files()
    except UsageError as error:
        missing(f"{error.message} {error.remedy}")
    del browser  # Only tells whether there is a Chromium.
    view = [sys.executable, "-m", "wsi_parse", "view", str(run), "--no-browser"]
    there = f"cd {shlex.quote(str(tmp_path))} && PYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.join(view)}"
    # -tt: with a terminal, as a person has one.
    with running([ssh[0], "-tt", *ssh[1:], there], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as far:
        assert far.stdin
        assert far.stdout
        told = ""
        while "Ctrl-C" not in told:
            part = os.read(far.stdout.fileno(), 4096).decode()
            assert part, told
            told += part
        found = LINK.search(told)
        assert found, told
        port, here = int(found[1]), free_port()
        assert f"ssh -N -L {port}:127.0.0.1:{port} " in " ".join(told.split())
        with running([ssh[0], "-N", "-L", f"{here}:127.0.0.1:{port}", *ssh[1:]]):
            wait_for_port(here)
            chromium = shutil.which("chromium") or shutil.which("chromium-browser") or ""
            link = Link(found[0].replace(f":{port}/", f":{here}/"))
            with drawing_browser(chromium, tmp_path) as window, window.open(link) as tab:
                objects = sum(state(tab)["counts"][0])
                assert objects == state(tab)["total"] > 100
                near = go(tab, 600, 450, 1)
                assert 0 < near["total"] < objects
                assert str(tab.run("location.href")).startswith(f"http://127.0.0.1:{here}/s/0/#")
                assert {url.split("/")[2] for url in tab.requests} == {f"127.0.0.1:{here}"}
                assert complaints(tab) == []
                far.stdin.write(b"\x03")
                far.stdin.flush()
                rest = b"".join(iter(lambda: os.read(far.stdout.fileno(), 4096), b"")).decode()
                assert far.wait(SECONDS) == 0
                assert "The viewer has ended." in rest
                assert "Traceback" not in rest
                tab.run("window.wsiParseViewer.go(100, 100, 2)")
                tab.wait_for("document.body.innerText.includes('The server does not answer.')")
