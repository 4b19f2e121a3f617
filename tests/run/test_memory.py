"""Memory is bounded whatever the slide's size: the limits of `benchmarks.memory`, as a slow test."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_peak_memory_is_flat_and_below_two_gigabytes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.memory", "10000", "40000", "--folder", str(tmp_path), "--json"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout)
    assert max(row["peak_mb"] for row in report["rows"]) < 2000
    assert report["spread"] <= 0.25
    assert report["rows"][-1]["objects"] > 200_000
