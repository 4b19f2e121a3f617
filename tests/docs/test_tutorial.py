"""The tutorial runs as it is written: its commands, one after the other, by the installed program on the real slide."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks_of
from tests.shared import shared_data_root

SLIDE = "CMU-1-Small-Region.svs"


@pytest.mark.whole
def test_the_tutorial_runs(tmp_path: Path) -> None:
    shutil.copyfile(shared_data_root() / "slides" / "aperio" / SLIDE, tmp_path / SLIDE)
    # The program and the Python of these tests, whatever else is installed.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ran = 0
    for block in blocks_of(ROOT / "docs" / "tutorial.md"):
        if block.file is not None:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
            commands = f"python {block.file}\n" if block.language == "python" else ""
        else:
            commands = block.text if block.language == "sh" else ""
        for command in commands.splitlines():
            done = subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{block}: {command}\n{done.stdout}{done.stderr}"
            ran += 1
    assert ran >= 7
    out = tmp_path / "wsi-parse-out" / "CMU-1-Small-Region"
    counts = json.loads((out / "run.json").read_text(encoding="utf-8"))["counts"]
    inside = json.loads((tmp_path / "region-out" / "CMU-1-Small-Region" / "run.json").read_text(encoding="utf-8"))
    assert counts["nuclei"] == pytest.approx(2274, rel=0.1), "the page says how many"
    assert 0 < inside["counts"]["nuclei"] < counts["nuclei"] / 4
    assert (out / "objects.csv").is_file()
    assert (tmp_path / "differences.png").stat().st_size > 10_000
