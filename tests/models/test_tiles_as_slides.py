"""A labelled tile run as a slide finds what the figures of tiles say: nothing is estimated from outside the tile."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from numpy.typing import NDArray

from tests.shared import shared_data_root
from workflows.train_mini.measure import MATCH_UM, MIN_NUCLEUS_UM2, centres_um, predict, segmented, without_fragments
from workflows.train_mini.readers import read_set
from workflows.train_mini.settings import SetSettings
from workflows.train_mini.tiles import Tile
from wsi_parse.evaluate import f1_score, match_centres
from wsi_parse.geometry import Box, Frame
from wsi_parse.models.mini.facts import EMBEDDED, READ_MPP
from wsi_parse.models.mini.network import MiniNetwork, fuse
from wsi_parse.models.mini.weights import load_network
from wsi_parse.models.stain import StainModel, estimate
from wsi_parse.objects.parameters import ObjectParameters
from wsi_parse.objects.split import label_cells
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import ModelSettings, ObjectSettings, RunSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.tissue.detection import detect_tissue
from wsi_parse.tissue.samples import read_samples

pytestmark = pytest.mark.whole

# Tiles of 0.25 µm/px, to which the sets are scaled.
MPP = 0.25
SETS = {"consep": 0.25, "nuinsseg": 0.17, "tnbc": 0.25, "dsb2018": None, "nucls": 0.25}
TILES, FEW = 30, 4
_MARGIN_PX = 64


@pytest.fixture(scope="module")
def network() -> MiniNetwork:
    return fuse(load_network(EMBEDDED))


def tiles_of(name: str, count: int) -> list[Tile]:
    settings = SetSettings(reader=name, folder=name, mpp=SETS[name])
    tiles = [tile for tile in read_set(name, settings, shared_data_root() / "nuclei") if tile.nuclei.any()]
    # Darker pictures are refused as fluorescence.
    tiles = [tile for tile in tiles if np.median(tile.image.max(axis=2)) > 70]
    return tiles[:: max(1, len(tiles) // count)][:count]


def as_slide(tile: Tile, model: str, folder: Path) -> tuple[NDArray[np.float64], list[str]]:
    """Run a tile as a slide; returns centres in µm, and the codes of the cautions."""
    path = folder / f"{tile.name}.tif"
    tifffile.imwrite(path, tile.image, photometric="rgb", tile=(256, 256), compression="zlib")
    settings = RunSettings.load(
        None,
        [
            "export.overlay_px=0",
            "export.report=false",
            "export.formats=[geojson]",
            f"objects.min_cell_area_um2={MIN_NUCLEUS_UM2}",
        ],
        prompts=("nuclei",),
        model={"name": model},
        slide={"mpp": MPP, "override_mpp": True},
    )
    manifest = run_slide(path, folder / tile.name, settings)
    features = json.loads((folder / tile.name / "annotations.geojson").read_text(encoding="utf-8"))["features"]
    shapes = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])
    shapes = shapes[shapely.area(shapes) * MPP**2 >= MIN_NUCLEUS_UM2]
    found = shapely.get_coordinates(shapely.centroid(shapes)).reshape(-1, 2) * MPP
    return found, [caution["code"] for caution in manifest.cautions]


def stain_on_tile(tile: Tile) -> NDArray[np.float64]:
    """Find the nuclei of a tile with the stain model, without a run."""
    slide = open_slide(tile.image, SlideOptions(mpp=MPP))
    samples = read_samples(slide, detect_tissue(slide, RunSettings().tissue), READ_MPP)
    image = np.pad(tile.at(READ_MPP).image, ((_MARGIN_PX,) * 2, (_MARGIN_PX,) * 2, (0, 0)), "reflect")
    (scale_pass,) = StainModel.plan([], ModelSettings())
    values = StainModel().predict(image[None], scale_pass, estimate(samples))["nucleus"][0]
    values = values[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]
    box = Box(0, 0, values.shape[1], values.shape[0])
    frame = Frame(box.width, box.height, READ_MPP, READ_MPP, 1.0, 1.0)
    labels, _ = label_cells(values, values >= 128, None, box, box, ObjectParameters.of(ObjectSettings(), frame).split)
    return centres_um(without_fragments(labels))


def compare(name: str, model: str, count: int, network: MiniNetwork, folder: Path) -> tuple[float, float, list[str]]:
    """Detection F1 of tiles run as slides, and tile-wise; and the cautions of the runs."""
    totals = np.zeros((2, 3), int)
    cautions: list[str] = []
    for tile in tiles_of(name, count):
        coarse = tile.at(READ_MPP)
        known = centres_um(without_fragments(coarse.nuclei))
        found, codes = as_slide(tile, model, folder)
        alone = centres_um(segmented(predict(network, coarse.image))) if model == "mini" else stain_on_tile(tile)
        cautions += codes
        for row, centres in enumerate((found, alone)):
            totals[row] += len(match_centres(centres, known, MATCH_UM)), len(centres), len(known)
    run, tile_wise = (f1_score(*row) for row in totals.tolist())
    return run, tile_wise, cautions


@pytest.mark.parametrize("model", ["mini", "stain"])
def test_a_few_tiles_as_slides(model: str, network: MiniNetwork, tmp_path: Path) -> None:
    run, tile_wise, _ = compare("tnbc", model, FEW, network, tmp_path)
    assert run == pytest.approx(tile_wise, abs=0.02)
    assert run > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mini", "stain"])
@pytest.mark.parametrize("name", SETS)
def test_tiles_as_slides(
    name: str, model: str, network: MiniNetwork, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    run, tile_wise, cautions = compare(name, model, TILES, network, tmp_path)
    record_property("f1", f"{name}, {model}: {run:.4f} as slides, {tile_wise:.4f} tile-wise; {sorted(set(cautions))}")
    assert run == pytest.approx(tile_wise, abs=0.01)
    # What the overview and the estimates question; sizes and pixel sizes have tests of their own.
    assert not {"tinted-glass", "unusual-colours", "threshold-at-bound", "few-pixels-of-stain"} & set(cautions)
