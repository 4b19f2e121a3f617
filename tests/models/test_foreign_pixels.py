"""Counts of both models on tissue with black around it or ink across it: as on the same tissue without."""

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from numpy.typing import NDArray

from tests.shared import shared_data_root
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings, TissueSettings
from wsi_parse.slides import open_slide
from wsi_parse.tissue.detection import detect_tissue
from wsi_parse.tissue.mask import TissueMask

pytestmark = pytest.mark.whole

SIDE_PX, RADIUS_PX = 2000, 780
INK_ROWS = slice(960, 1060)
INKS = {"black": (20, 20, 25), "blue": (40, 60, 160), "green": (30, 120, 70)}
# Tissue beside ink may be left out by a rim, and objects are cut there.
EDGE_PX = 40


@pytest.fixture(scope="module")
def core() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A round core of tissue, 0.25 µm/px, and where it is."""
    path = shared_data_root() / "slides/mosaic/tnbc_mosaic_generic_mpp025.tif"
    pixels = np.ascontiguousarray(tifffile.imread(path, key=0)[700 : 700 + SIDE_PX, 700 : 700 + SIDE_PX])
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    return pixels, (y - 1000) ** 2 + (x - 1000) ** 2 <= RADIUS_PX**2


def run(pixels: NDArray[np.uint8], model: str, folder: Path) -> tuple[NDArray[np.float64], TissueMask, list[str]]:
    """Return the centres of the nuclei in pixels, the tissue, and the codes of the cautions."""
    folder.mkdir()
    path = folder / "slide.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(256, 256), resolution=(40000, 40000), resolutionunit=3)
    settings = RunSettings.load(
        None, ["export.overlay_px=0", "export.report=false"], prompts=("nuclei",), model={"name": model}
    )
    manifest = run_slide(path, folder / "out", settings)
    features = json.loads((folder / "out" / "annotations.geojson").read_text(encoding="utf-8"))["features"]
    shapes = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])
    with open_slide(path) as slide:
        tissue = detect_tissue(slide, TissueSettings())
    return shapely.get_coordinates(shapely.centroid(shapes)), tissue, [one["code"] for one in manifest.cautions]


@pytest.mark.parametrize("model", ["stain", "mini"])
def test_black_and_ink_change_no_counts(
    model: str, core: tuple[NDArray[np.uint8], NDArray[np.bool_]], tmp_path: Path
) -> None:
    pixels, inside = core
    plain = pixels.copy()
    plain[~inside] = 240
    expected, plain_tissue, cautions = run(plain, model, tmp_path / "plain")
    assert len(expected) > 300
    assert cautions == []
    marked = {"black around": np.where(inside[..., None], pixels, 0).astype(np.uint8)}
    for name, colour in INKS.items():
        marked[name] = plain.copy()
        marked[name][INK_ROWS, 200:1800] = colour
    for name, changed in marked.items():
        found, tissue, cautions = run(changed, model, tmp_path / name)
        counts = []
        for points in (expected, found):
            both = plain_tissue.contains(points) & tissue.contains(points)
            beside = (points[:, 1] < INK_ROWS.start - EDGE_PX) | (points[:, 1] > INK_ROWS.stop + EDGE_PX)
            counts.append(int((both & (beside | (name == "black around"))).sum()))
        assert counts[1] == pytest.approx(counts[0], rel=0.1), name
        assert counts[0] > 0.8 * len(expected) * (1 if name == "black around" else 0.9)
        assert cautions == [], name
