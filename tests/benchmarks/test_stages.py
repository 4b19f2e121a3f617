"""`python -m benchmarks.stages`: what it times is there, and its seconds add up."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.stages import painted

ROOT = Path(__file__).parents[2]


def test_a_profile_tells_its_stages_and_the_whole(tmp_path: Path) -> None:
    slide = painted(tmp_path, 2000, 512, "svs")
    command = [sys.executable, "-m", "benchmarks.stages", str(slide), "--json", "--model", "zeros-half"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"open", "tissue", "predict", "objects", "write", "release"} <= set(found["stages_s"])
    assert sum(found["stages_s"].values()) == pytest.approx(found["total_s"], abs=0.05)
    # Tissue and pictures read such a small slide at its full size, too.
    assert 1 <= found["decodes_per_tile"] < 3
    assert found["peak_mb"] > 100
