"""Three ways to use a batch system, on a real SLURM of one node: each gives the bytes of a local run."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compute.processes import wait_until
from tests.compute.slurm import USUAL, slurm_of_one_node
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.settings import ComputeSettings
from wsi_parse.testing import ClusterTests

pytestmark = pytest.mark.whole

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = (
    "tissue: {detect: false}\nobjects: {chunk_px: 256}\nexport: {overlay_px: 0, report: false}\ntiles: {block: 1}\n"
)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if shutil.which("slurmctld") is None:
        assert os.environ.get("CI") != "true", "CI must install slurm-wlm and munge"
        pytest.skip("there is no SLURM here: apt-get install slurm-wlm munge")
    if USUAL.exists() and not USUAL.is_symlink():
        pytest.skip("this machine has a SLURM of its own, which is left alone")
    with slurm_of_one_node(tmp_path_factory.mktemp("slurm")) as log:
        yield log


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of three slides, and settings for short runs."""
    folder = tmp_path_factory.mktemp("slides")
    lines = ["path,id"]
    for number, side in enumerate((700, 900, 1100)):
        write_slide(folder / f"s{number}.svs", tissue_with_nuclei(side, side, seed=number)[0])
        lines.append(f"s{number}.svs,s{number}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    (folder / "small.yaml").write_text(SETTINGS)
    return folder


def cohort(slides: Path, out: Path, *more: str) -> None:
    start = [sys.executable, "-m", "wsi_parse.cli.main", "cohort", str(slides / "list.csv"), "-o", str(out)]
    done = subprocess.run(
        [*start, "-p", "nuclei", "--model", "stain", *more], capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr


def hashes(out: Path) -> dict[str, dict[str, str]]:
    return {path.parent.name: json.loads(path.read_text())["outputs"] for path in sorted(out.glob("*/run.json"))}


@pytest.fixture(scope="module")
def expected(slides: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    out = tmp_path_factory.mktemp("here")
    cohort(slides, out, "--config", str(slides / "small.yaml"))
    assert len(hashes(out)) == 3
    return hashes(out)


def jobs_in(log: Path) -> int:
    """Count the jobs that were started: at once, or by the scheduler that fills gaps, which has other words for it."""
    return len(set(re.findall(r"(?:Allocate|Started) JobId=(\S+)", log.read_text())))


def environment() -> dict[str, str]:
    """Return an environment in which jobs find our command first."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_workers_are_jobs(slides: Path, slurm: Path, expected: dict[str, dict[str, str]], tmp_path: Path) -> None:
    before = jobs_in(slurm)
    config = tmp_path / "cluster.yaml"
    config.write_text(
        SETTINGS
        + "compute:\n  cluster: slurm\n  workers: 2\n  options: {cores: 1, memory: 2GiB, walltime: '00:20:00'}\n"
    )
    cohort(slides, tmp_path / "out", "--config", str(config))
    assert hashes(tmp_path / "out") == expected
    assert jobs_in(slurm) - before >= 2
    wait_until(lambda: not queued(), "the jobs have ended with the command", 60)


def queued() -> str:
    return subprocess.run(["squeue", "-h"], check=True, capture_output=True, text=True).stdout


def test_an_array_shares_the_slides(
    slides: Path, slurm: Path, expected: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    before = jobs_in(slurm)
    command = ["sbatch", "--wait", "--array=1-2", "--cpus-per-task=1", "--mem=2G", "--chdir", str(tmp_path)]
    command += [str(ROOT / "workflows" / "slurm" / "array.sh"), str(slides / "list.csv"), str(tmp_path / "out")]
    command += ["nuclei", "--model", "stain", "--config", str(slides / "small.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, env=environment())
    logs = "\n".join(path.read_text() for path in tmp_path.glob("slurm-*.out"))
    assert done.returncode == 0, done.stderr + logs
    assert hashes(tmp_path / "out") == expected
    assert jobs_in(slurm) - before == 2
    assert logs.count("3 done") == 2


def test_snakemake_makes_a_job_of_each_slide(
    slides: Path, slurm: Path, expected: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    before = jobs_in(slurm)
    options = f"--model stain --config {slides / 'small.yaml'}"
    command = [
        str(Path(sys.executable).parent / "snakemake"),
        "-s",
        str(ROOT / "workflows" / "snakemake" / "Snakefile"),
    ]
    command += ["--profile", str(ROOT / "workflows" / "snakemake" / "profiles" / "slurm"), "--directory", str(tmp_path)]
    command += ["--default-resources", "mem_mb=2000", "runtime=20", "slurm_partition=main"]
    command += ["--slurm-no-account", "--slurm-status-command", "squeue"]
    command += [
        "--slurm-init-seconds-before-status-checks",
        "5",
        "--config",
        f"slides={slides / 'list.csv'}",
        f"out={tmp_path / 'out'}",
    ]
    command += ["prompt=nuclei", "threads=1", f"options={options}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=550, env=environment())
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-2000:]
    assert hashes(tmp_path / "out") == expected
    assert "**3 done.**" in (tmp_path / "out" / "summary.md").read_text()
    assert jobs_in(slurm) - before == 3


class TestSlurm(ClusterTests):
    @pytest.fixture
    def settings(self, slurm: Path) -> ComputeSettings:
        options = {"cores": 1, "memory": "2GiB", "walltime": "00:20:00"}
        return ComputeSettings(cluster="slurm", workers=1, options=options)
