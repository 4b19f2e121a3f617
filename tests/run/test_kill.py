"""A run that is killed at a random moment and started again gives byte-equal results and leaves no process behind."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.small_slides import tissue_with_nuclei, write_slide

SMALL = ("--set", "model.field_um=128", "--set", "tiles.block=1", "--set", "objects.chunk_px=256")


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels, _ = tissue_with_nuclei(3600, 3000)
    return write_slide(tmp_path_factory.mktemp("slides") / "kill.svs", pixels)


def command(slide: Path, out: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "wsi_parse.cli.main",
        str(slide),
        "-p",
        "nuclei",
        "--model",
        "stain",
        "-o",
        str(out),
        *SMALL,
        *more,
        "--json",
    ]


def start(slide: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command(slide, out, *more), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill_after(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """SIGKILL the process; returns whether it was still running. Nothing of it may live 5 s later."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.02)
    if process.poll() is not None:
        return False
    children = family(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive, f"left behind: {[child.cmdline() for child in alive]}"
    return True


@pytest.fixture(scope="module")
def reference(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, float]:
    out = tmp_path_factory.mktemp("reference")
    started = time.monotonic()
    subprocess.run(command(slide, out), check=True, stdout=subprocess.DEVNULL)
    return (out / "kill" / "annotations.geojson").read_bytes(), time.monotonic() - started


def kill_at(slide: Path, out: Path, share: float, seconds: float, *more: str) -> None:
    """Kill a run after a share of its time; if it ended before, try again with its measured time."""
    for _ in range(5):
        started = time.monotonic()
        if kill_after(start(slide, out, *more), share * seconds):
            return
        seconds = time.monotonic() - started
        shutil.rmtree(out / "kill")
    pytest.fail("no kill hit a running process")


def check_killed_runs(
    slide: Path, out: Path, reference: tuple[bytes, float], kills: int, seed: int, *more: str
) -> None:
    """Kill a run `kills` times at random moments, then let it finish and compare its results."""
    rng = random.Random(seed)
    expected, seconds = reference
    for _ in range(kills):
        kill_at(slide, out, rng.uniform(0.15, 0.95), seconds, *more)
    subprocess.run(command(slide, out, *more), check=True, stdout=subprocess.DEVNULL)
    assert (out / "kill" / "annotations.geojson").read_bytes() == expected
    assert not (out / "kill" / ".work").exists()


@pytest.mark.kill
@pytest.mark.parametrize("more", [(), ("--workers", "2")], ids=["threads", "processes"])
def test_killed_twice_and_resumed_gives_the_same_bytes(
    slide: Path, tmp_path: Path, reference: tuple[bytes, float], more: tuple[str, ...]
) -> None:
    check_killed_runs(slide, tmp_path, reference, 2, 1, *more)


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--workers", "2")], ids=["threads", "processes"])
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_ten_random_moments(
    slide: Path, tmp_path: Path, reference: tuple[bytes, float], more: tuple[str, ...], seed: int
) -> None:
    check_killed_runs(slide, tmp_path, reference, 1, 100 + seed, *more)


def wait_for_blocks(out: Path, count: int) -> None:
    """Wait until `count` blocks are done."""
    end = time.monotonic() + 120
    while len(list(out.glob("kill/.work/*/*/done/*.json"))) < count:
        assert time.monotonic() < end, "no run got so far"
        time.sleep(0.02)


@pytest.mark.kill
def test_interrupt_keeps_what_is_done_and_says_so(slide: Path, tmp_path: Path, reference: tuple[bytes, float]) -> None:
    process = subprocess.Popen(
        [argument for argument in command(slide, tmp_path) if argument != "--json"],
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background ignore the signal, and what they start would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_for_blocks(tmp_path, 10)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Run the same command again to continue" in " ".join(stderr.split())
    assert any(line.startswith("Interrupted") and line.endswith("to continue.") for line in stderr.splitlines()), (
        "one line"
    )
    assert not family(process.pid)
    subprocess.run(command(slide, tmp_path), check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / "kill" / "annotations.geojson").read_bytes() == reference[0]
