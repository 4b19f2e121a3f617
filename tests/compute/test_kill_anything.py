"""Workers, client and scheduler killed at random moments, and started again: byte-equal outputs."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.compute.processes import DaskProcesses, children_of, dask_processes
from tests.small_slides import ONE_TILE_BLOCKS, tissue_with_nuclei, write_slide

GPU = ("--resources", "GPU=1")
FILES = ("annotations.geojson", "objects.parquet", "tissue.geojson")


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    for number in range(2):
        write_slide(folder / f"s{number}.svs", tissue_with_nuclei(2600, 2000, seed=number)[0])
    return folder


def command(slides: Path, out: Path, *more: str) -> list[str]:
    sets = [part for setting in ONE_TILE_BLOCKS for part in ("--set", setting)]
    start = [sys.executable, "-m", "wsi_parse.cli.main", "cohort", str(slides), "-o", str(out), "-p", "nuclei"]
    return [*start, "--model", "stain", *sets, *more]


def contents(out: Path) -> dict[str, bytes]:
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for name in FILES for path in out.glob(f"*/{name}")}


@pytest.fixture(scope="module")
def expected(slides: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    out = tmp_path_factory.mktemp("expected")
    started = time.monotonic()
    subprocess.run(command(slides, out), check=True, capture_output=True)
    found = contents(out)
    assert len(found) == 2 * len(FILES)
    return found, time.monotonic() - started


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_random_moments(
    slides: Path, expected: tuple[dict[str, bytes], float], tmp_path: Path, seed: int
) -> None:
    """Each time one of the three dies during the run; the same command then resumes."""
    rng = random.Random(seed)
    victim = ("worker", "client", "scheduler")[seed % 3]
    (bytes_expected, seconds), out = expected, tmp_path / "out"
    with dask_processes(tmp_path / "dask") as processes:
        workers = [processes.start_worker(*GPU) for _ in range(2)]
        client = subprocess.Popen(
            command(slides, out, "--cluster", processes.address), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        time.sleep(rng.uniform(0.2, 1.0) * seconds)
        was_running = client.poll() is None
        _kill(victim, processes, client, rng.choice(workers))
        _, stderr = client.communicate(timeout=300)
        if victim == "worker":
            assert client.returncode == 0, stderr.decode()
        elif was_running:
            assert client.returncode != 0
    with dask_processes(tmp_path / "again") as processes:
        processes.start_worker(*GPU)
        subprocess.run(command(slides, out, "--cluster", processes.address), check=True, capture_output=True)
    assert contents(out) == bytes_expected
    assert not list(out.glob("*/.work"))


def _kill(
    victim: str, processes: DaskProcesses, client: subprocess.Popen[bytes], worker: subprocess.Popen[bytes]
) -> None:
    if victim == "worker":
        for child in children_of(worker):
            child.kill()
    elif victim == "client":
        os.kill(client.pid, signal.SIGKILL)
    else:
        assert processes.scheduler is not None
        processes.scheduler.kill()
