"""The tutorial runs as it is written: its commands, one after the other, by the installed program on the real slide."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

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
    plain, classes, inside = (run_in(tmp_path / name) for name in ("wsi-parse-out", "classes-out", "region-out"))
    found = [plain["counts"]["nuclei"], plain["tissue_mm2"], plain["per_mm2"]["nuclei"]]
    assert stated(r"about ([\d,]+) nuclei on ([\d.]+) mm² of tissue, which are ([\d,]+)") == pytest.approx(
        found, rel=0.05
    )
    found = [classes["counts"]["neoplastic cells"], classes["counts"]["nuclei"], classes["unsure"]["neoplastic cells"]]
    told = stated(r"calls (\d+) of the nuclei neoplastic \(the others, ([\d,]+), stay nuclei\); of (\d+) of them")
    assert told == pytest.approx(found, rel=0.05)
    assert 0 < inside["counts"]["nuclei"] < plain["counts"]["nuclei"] / 4
    assert (tmp_path / "wsi-parse-out" / "CMU-1-Small-Region" / "objects.csv").is_file()
    assert (tmp_path / "differences.png").stat().st_size > 10_000


def run_in(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "CMU-1-Small-Region" / "run.json").read_text(encoding="utf-8")))


def stated(pattern: str) -> list[float]:
    """The numbers that the page states."""
    match = re.search(pattern, (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    assert match, pattern
    return [float(number.replace(",", "")) for number in match.groups()]
