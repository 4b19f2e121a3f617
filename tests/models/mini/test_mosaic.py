"""The mosaic, whole pipeline, on patients never trained on: better than colours, and stitching costs nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from tests.shared import shared_data_root
from workflows.train_mini.measure import MATCH_UM, MIN_NUCLEUS_UM2, centres_um, predict, segmented
from workflows.train_mini.splits import SPLITS, read_splits
from wsi_parse.evaluate import f1_score, match_centres
from wsi_parse.geometry import Box
from wsi_parse.models.mini.facts import EMBEDDED, READ_MPP
from wsi_parse.models.mini.network import fuse
from wsi_parse.models.mini.weights import load_network
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings
from wsi_parse.slides import open_slide

pytestmark = pytest.mark.whole

MPP, SIDE_PX = 0.25, 512


def centres_px(path: Path) -> np.ndarray:
    """Centres (x, y) of what is no fragment."""
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    shapes = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])
    whole = shapes[shapely.area(shapes) * MPP**2 >= MIN_NUCLEUS_UM2]
    return shapely.get_coordinates(shapely.centroid(whole))


def f1_on(found: np.ndarray, known: np.ndarray, corners: list[tuple[int, int]]) -> float:
    """Detection F1 on some tiles of the mosaic, corners (x, y)."""
    matched = ours = theirs = 0
    for x, y in corners:
        inside = [
            points[(points >= (x, y)).all(axis=1) & (points < (x + SIDE_PX, y + SIDE_PX)).all(axis=1)] * MPP
            for points in (found, known)
        ]
        matched += len(match_centres(inside[0], inside[1], MATCH_UM))
        ours, theirs = ours + len(inside[0]), theirs + len(inside[1])
    return f1_score(matched, ours, theirs)


@pytest.fixture(scope="module")
def folder() -> Path:
    return shared_data_root() / "slides" / "mosaic"


@pytest.fixture(scope="module")
def placed(folder: Path) -> list[tuple[str, tuple[int, int]]]:
    """Names and corners (x, y) of the tiles never trained on; some lie there twice."""
    out = [group for (name, group), role in read_splits(SPLITS).items() if name == "tnbc" and role == "report"]
    sources = json.loads((folder / "tnbc_mosaic_sources.json").read_text())
    return [(Path(name).stem, (x, y)) for name, y, x in sources if name.partition("_")[0] in out]


def test_the_whole_pipeline(folder: Path, placed: list[tuple[str, tuple[int, int]]], tmp_path: Path) -> None:
    known = centres_px(folder / "tnbc_mosaic_nuclei.geojson")
    assert len({name for name, _ in placed}) == 8
    f1 = {}
    for name in ("mini", "stain"):
        # As small as what counts on tiles, so that both measure the same.
        small = ["export.overlay_px=0", "export.report=false", "objects.min_cell_area_um2=6"]
        settings = RunSettings.load(None, small, prompts=("nuclei",), model={"name": name})
        run_slide(folder / "tnbc_mosaic_40x.svs", tmp_path / name, settings)
        f1[name] = f1_on(centres_px(tmp_path / name / "annotations.geojson"), known, [corner for _, corner in placed])
    assert f1["mini"] >= f1["stain"] + 0.05
    # The slide's pixels, not the original tiles': it was compressed again, and that alone costs 0.007.
    network = fuse(load_network(EMBEDDED))
    with open_slide(folder / "tnbc_mosaic_40x.svs") as slide:
        frame, side = slide.frame(READ_MPP), SIDE_PX // 2
        of_tile = [
            centres_um(segmented(predict(network, slide.read(Box(x // 2, y // 2, side, side), frame)))) / MPP + (x, y)
            for _, (x, y) in placed
        ]
    tile_wise = f1_on(np.concatenate(of_tile), known, [corner for _, corner in placed])
    # At the seams the run sees what lies beyond, where a tile alone is mirrored.
    assert -0.01 <= f1["mini"] - tile_wise <= 0.02
