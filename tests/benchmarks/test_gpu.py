"""`benchmarks.gpu` on a processor with tiny sizes: what it tells is there and right, and survives a part that stops."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import run_part
from benchmarks.gpu_rows import Row, add_row, read_rows, table
from benchmarks.scale_slide import ScaleSlide
from tests.models.biomedparse.reference import reference_root

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "benchmarks" / "gpu_requirements.txt"
GOLDEN = ("tiny256_p1", "tiny256_p2", "tiny256_p4", "tiny256_pg", "tiny192x256_p2")


def requirements() -> list[str]:
    return [line for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def test_the_wheels_are_the_versions_of_the_tests() -> None:
    assert set(requirements()) <= set((ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines())


def test_a_row_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    rows = [Row("network", "a | b", 1234.5, "tiles/s", 1.5, 2.0, True), Row("network", "c", note="none")]
    for row in rows:
        add_row(tmp_path / "rows", row)
    with (tmp_path / "rows").open("a", encoding="utf-8") as file:
        file.write('{"part": "netw')
    assert read_rows(tmp_path / "rows") == rows
    assert table(rows).splitlines()[2:] == [
        "| network | a / b | 1234 tiles/s | 1.50 | 2.00 GB | ok |",
        "| network | c |  |  |  | none |",
    ]
    assert read_rows(tmp_path / "none") == []


@pytest.mark.whole
def test_a_part_that_runs_out_of_time_or_fails_is_a_row(tmp_path: Path) -> None:
    run_part("network", 0.1, [], tmp_path / "rows")
    run_part("network", 600, ["--device", "cuda:77", "--folder", str(tmp_path), "--tiny"], tmp_path / "rows")
    late, failed = read_rows(tmp_path / "rows")
    assert late.holds is None
    assert late.note == "not measured: the 0 s of this part were over"
    assert failed.holds is False
    assert "cuda:77" in failed.note


@pytest.mark.whole
def test_the_networks_need_torch_transformers_and_timm_only() -> None:
    some = ("platformdirs", "pydantic", "shapely", "skimage", "tifffile", "pyarrow", "pandas", "psutil", "rich")
    modules = (*some, "dask", "distributed", "zarr", "imagecodecs", "openslide", "tiffslide", "orjson", "open_clip")
    code = f"import sys; sys.modules.update(dict.fromkeys({modules})); import benchmarks.gpu, benchmarks.gpu_network"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.whole
def test_both_parts_on_a_processor(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--tiny", "--device", "cpu", "-o", str(tmp_path / "gpu.json")]
    command += ["--reference", str(reference_root())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    rows = {row["what"]: row for row in found["rows"]}
    assert done.stdout.count("\n| network |") + done.stdout.count("\n| pipeline |") == len(found["rows"])
    for precision in ("float32", "bfloat16"):
        against = {"float32": "the reference", "bfloat16": "float32 on the CPU"}[precision]
        for name in GOLDEN:
            assert rows[f"BiomedParse, {name}, {precision} against {against}"]["holds"]
        assert rows[f"mini, {precision}, batch 2"]["times_floor"] > 0
        assert rows[f"BiomedParse, tiny, {precision}, 4 prompts, batch 2"]["value"] > 0
    assert rows["mini, float32: farthest of 255 levels from the CPU in float32"]["holds"]
    assert rows["BiomedParse, tiny, bfloat16, 1 prompts, batch 2, torch.compile"]["value"] > 0
    assert rows["BiomedParse, tiny, bfloat16, 1 prompts, batch 2, CUDA graph"]["note"] == "needs a GPU"
    for model in ("mini", "biomedparse"):
        (rate,) = (row for what, row in rows.items() if what.startswith(f"{model}, 3,000 px") and "predicted" in what)
        assert rate["value"] > 0
        (share,) = (
            row for what, row in rows.items() if what.startswith(f"{model}, 3,000 px") and "in the model" in what
        )
        assert 0 < share["value"] <= 1
    # BiomedParse answers what is painted, so that it finds the cells that are there.
    (whole,) = (row for what, row in rows.items() if what.startswith("biomedparse, 3,000 px") and "whole run" in what)
    assert int(whole["note"].split()[0]) == pytest.approx(len(ScaleSlide(3000).truth()), rel=0.1)
