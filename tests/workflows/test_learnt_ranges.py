"""What the tiles of a training look like: only of what was learnt, and of sets that count."""

import json
from pathlib import Path

import numpy as np
import pytest

from workflows.train_mini import learnt_ranges as module
from workflows.train_mini.learnt_ranges import learnt_ranges, main
from workflows.train_mini.settings import SetSettings, TrainingSettings
from workflows.train_mini.tiles import Tile
from wsi_parse.geometry import Box
from wsi_parse.models.mini.confidence import UNCALIBRATED, Confidence
from wsi_parse.models.mini.facts import READ_MPP
from wsi_parse.synthetic import SyntheticSlide


def tile(set_name: str, group: str, stain: float) -> Tile:
    """Paint a tile whose densities are multiplied by `stain`."""
    image = SyntheticSlide(600, 600, seed=3, mpp=READ_MPP, tissue=1.0).pixels(Box(100, 100, 300, 300))
    stained = (np.maximum(image, 1) / 255) ** stain * 255
    return Tile(
        set_name, group, group, READ_MPP, stained.round().astype(np.uint8), np.zeros((300, 300), np.int32), None
    )


TILES = {
    "large": [tile("large", "pale", 0.6), tile("large", "plain", 1.0), tile("large", "held out", 2.0)],
    "other": [tile("other", "dark", 1.4)],
    "small": [tile("small", "darker", 2.0)],
}


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a training, with what it says of itself."""
    sets = {
        name: SetSettings(reader="corrected", folder=name, mpp=READ_MPP, share=share)
        for name, share in {"large": 0.6, "other": 0.35, "small": 0.05}.items()
    }
    settings = TrainingSettings(sets=sets).model_dump(mode="json")
    (tmp_path / "settings.json").write_text(json.dumps({"start": None, **settings}))
    learnt = {"large": ["pale", "plain"], "other": ["dark"], "small": ["darker"]}
    (tmp_path / "data.json").write_text(json.dumps({name: {"learnt": groups} for name, groups in learnt.items()}))
    monkeypatch.setattr(module, "read_set", lambda name, of_set, data: TILES[name])
    return tmp_path


def test_what_was_held_out_or_is_a_small_set_does_not_count(out: Path) -> None:
    ranges = learnt_ranges(out, out)
    (pale,), (dark,), (darker,) = (
        [module.ranges_of([one])["strength"][0]] for one in (TILES["large"][0], TILES["other"][0], TILES["small"][0])
    )
    low, high = ranges["strength"]
    assert low == pytest.approx(pale, rel=0.02)
    assert high == pytest.approx(dark, rel=0.02)
    assert high < darker
    assert set(ranges) == {"strength", "white", "sharpness", "nuclear_area_um2"}


def test_the_product_reads_what_is_written(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = out / "confidence.json"
    path.write_text(UNCALIBRATED.model_dump_json())
    monkeypatch.setattr("sys.argv", ["learnt_ranges", str(out), str(out), "--confidence", str(path)])
    main()
    written = Confidence.load(path)
    assert written.lines == UNCALIBRATED.lines
    assert {one.name: (one.low, one.high) for one in written.ranges()} == learnt_ranges(out, out)
