"""A slide without a pixel size: from the error to the number with one command."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.cli.in_process import Ended, caller
from tests.shared import shared_data_root
from tests.small_slides import tissue_with_nuclei

Call = Callable[..., Ended]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    monkeypatch.chdir(tmp_path)
    return caller(monkeypatch, capsys)


@pytest.fixture
def unknown(tmp_path: Path) -> Path:
    """A slide whose nuclei are about 14 pixels wide, and which does not say how large a pixel is."""
    path = tmp_path / "no size.tif"
    tifffile.imwrite(path, tissue_with_nuclei(1300, 1100)[0], photometric="rgb", tile=(256, 256))
    return path


def test_the_error_points_to_preview_and_names_no_usual_number(call: Call, unknown: Path) -> None:
    ended = call(unknown, "-p", "nuclei", "--model", "stain", "-o", "out")
    assert ended.code == 1
    assert "has no pixel size" in ended.err
    assert "`wsi-parse preview`" in ended.err
    assert "usual" not in ended.err
    assert not re.search(r"0\.25|0\.5", ended.err)


def test_preview_estimates_it_and_says_what_comes_next(call: Call, unknown: Path, tmp_path: Path) -> None:
    ended = call("preview", unknown, "-o", "out")
    assert ended.code == 0, ended.err
    assert "no size.tif has no pixel size." in ended.out
    assert "A nucleus is usually 6 to 10 µm wide" in ended.out
    low, high = map(float, re.findall(r"\(([\d.]+) to ([\d.]+) µm\)", ended.out)[0])
    assert low < 0.5 < high
    assert (tmp_path / "out" / "no size" / "pixel_size.png").stat().st_size > 10_000
    command = shlex.split(ended.out.rsplit("wsi-parse ", 1)[1])
    assert command[:2] == ["preview", str(unknown)]
    then = call(*command, "-o", "out")
    assert then.code == 0, then.err
    assert re.search(r"tissue 0\.\d+ mm² · \d tiles? in 1 block", then.out)
    assert (tmp_path / "out" / "no size" / "preview.png").is_file()


def test_preview_says_what_is_wrong_with_the_description(call: Call, tmp_path: Path) -> None:
    pixels, broken = tissue_with_nuclei(700, 600)[0], '<?xml version="1.0"?><OME xmlns="http://x/OME"><Image>'
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, photometric="rgb", metadata=None, description=broken)
    ended = call("preview", tmp_path / "a.ome.tif", "-o", "out")
    assert ended.code == 0, ended.err
    assert "caution The OME-XML in the file is damaged." in ended.out
    ended = call(tmp_path / "a.ome.tif", "-p", "nuclei", "--model", "stain", "-o", "out")
    assert ended.code == 1
    assert "The OME-XML in the file is damaged." in ended.err
    assert "tifffile" not in ended.err


def test_preview_as_json(call: Call, unknown: Path) -> None:
    facts = json.loads(call("preview", unknown, "-o", "out", "--json").out)
    assert facts["mpp"] is None
    assert facts["low_mpp"] < facts["estimated_mpp"] < facts["high_mpp"]
    assert Path(facts["picture"]).is_file()
    assert facts["next"].endswith(f"--mpp {facts['estimated_mpp']}")


def test_without_tissue_there_is_no_picture(call: Call, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "glass.tif", np.full((600, 700, 3), 242, np.uint8), photometric="rgb", tile=(256, 256))
    ended = call("preview", tmp_path / "glass.tif", "-o", "out")
    assert ended.code == 0, ended.err
    assert "No tissue was found" in ended.out
    assert not (tmp_path / "out").exists()


def test_tissue_without_nuclei_has_rulers_and_no_number(call: Call, tmp_path: Path) -> None:
    pixels = np.full((700, 700, 3), 242, np.uint8)
    noise = np.random.default_rng(0).normal(0, 3, (500, 500, 1))
    pixels[100:600, 100:600] = np.clip(np.array((225, 170, 205)) + noise, 0, 255)
    tifffile.imwrite(tmp_path / "pink.tif", pixels, photometric="rgb", tile=(256, 256))
    facts = json.loads(call("preview", tmp_path / "pink.tif", "-o", "out", "--json").out)
    assert facts["estimated_mpp"] is None
    assert "cannot be told" in facts["sentence"]
    assert Path(facts["picture"]).is_file()


def test_a_slide_with_a_wrong_pixel_size_is_questioned_by_preview(call: Call, unknown: Path) -> None:
    facts = json.loads(call("preview", unknown, "-o", "out", "--mpp", "2", "--model", "stain", "--json").out)
    assert "pixel-size" in [caution["code"] for caution in facts["cautions"]]
    facts = json.loads(call("preview", unknown, "-o", "out", "--mpp", "0.5", "--model", "stain", "--json").out)
    assert facts["cautions"] == []


def test_a_frozen_section_of_tcga(call: Call) -> None:
    slide = shared_data_root() / "slides/aperio/tcga-cr-7395-01a-01-ts1.svs"
    facts = json.loads(call("preview", slide, "-o", "out", "--json").out)
    assert 1.0 < facts["estimated_mpp"] < 2.0 <= facts["high_mpp"]
