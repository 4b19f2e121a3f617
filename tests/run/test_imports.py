"""What a run loads: counted, because seconds differ between machines. Importing takes most of a small slide's time."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_slides import tissue_with_nuclei, write_slide

ROOT = Path(__file__).parents[2]
# Those of a model, of processes and clusters, and of drawings of what was found.
FOR_OTHERS = {
    "torch",
    "dask",
    "distributed",
    "tornado",
    "skimage",
    "scipy.spatial",
    "matplotlib",
    "dask.array",
    "xarray",
}


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slide")
    return write_slide(folder / "a.svs", tissue_with_nuclei(600, 600)[0])


def loaded_by_run(slide: Path, out: Path, *arguments: str) -> set[str]:
    """Modules that are loaded after a run with a model that finds nothing."""
    code = (
        "import sys; from benchmarks import zeros_model; from wsi_parse.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('LOADED', *sys.modules)"
    )
    command = [str(slide), "-p", "nuclei", "--model", "zeros-half", "-o", str(out), *arguments]
    done = subprocess.run([sys.executable, "-c", code, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.partition("LOADED")[2].split())


def test_a_run_in_threads_that_finds_nothing_loads_no_scheduler_and_nothing_to_draw_with(
    slide: Path, tmp_path: Path
) -> None:
    loaded = loaded_by_run(slide, tmp_path)
    assert (tmp_path / "a" / "report.html").is_file()
    assert "wsi_parse.compute.threads" in loaded
    assert not loaded & FOR_OTHERS


def test_a_dry_run_loads_no_scheduler(slide: Path, tmp_path: Path) -> None:
    loaded = loaded_by_run(slide, tmp_path, "--dry-run")
    assert "wsi_parse.run.estimate" in loaded
    assert not loaded & FOR_OTHERS
