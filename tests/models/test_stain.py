"""The stain model: deterministic, and of moderate quality on labelled tiles and on the mosaic."""

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from tests.shared import shared_data_root
from wsi_parse.errors import UnknownPromptError
from wsi_parse.evaluate import dice, f1_score, match_centres
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.models.stain import RUIFROK, StainModel, density_over, estimate_stains
from wsi_parse.prompts import Prompt
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import ModelSettings, RunSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.testing.segmenters import SegmenterTests
from wsi_parse.tissue.mask import TissueMask

MATCH_UM = 6.0


def scale_pass(field_um: float | None = None) -> ScalePass:
    return StainModel.plan([Prompt.parse("cells")], ModelSettings(field_um=field_um))[0]


def stained(haematoxylin: np.ndarray, eosin: np.ndarray, white: float = 245.0) -> np.ndarray:
    """Beer-Lambert: stain densities to RGB."""
    unit = RUIFROK / np.linalg.norm(RUIFROK, axis=1, keepdims=True)
    density = haematoxylin[..., None] * unit[0] + eosin[..., None] * unit[1]
    return np.clip(np.rint(white * 10**-density), 0, 255).astype(np.uint8)


@pytest.fixture
def field() -> np.ndarray:
    """Nuclei of density 0.6 on eosin of 0.25."""
    rows, columns = np.mgrid[:1024, :1024]
    nuclei = ((columns % 40 - 20) ** 2 + (rows % 40 - 20) ** 2) < 7**2
    return stained(np.where(nuclei, 0.6, 0.03), np.full(nuclei.shape, 0.25))


def prepared(pixels: np.ndarray) -> dict[str, object]:
    slide = open_slide(pixels, SlideOptions(mpp=0.5))
    frame = slide.frame(8.0)
    return dict(StainModel().prepare(slide, TissueMask(np.ones(frame.box.shape, bool), frame)))


class TestStain(SegmenterTests):
    @pytest.fixture
    def model(self) -> StainModel:
        return StainModel()

    @pytest.fixture
    def scale_pass(self) -> ScalePass:
        return scale_pass(128)

    @pytest.fixture
    def state(self, field: np.ndarray) -> dict[str, object]:
        return prepared(field)

    @pytest.fixture
    def images(self, field: np.ndarray) -> np.ndarray:
        return np.stack([field[y : y + 256, x : x + 256] for x, y in ((0, 0), (33, 71), (512, 512))])


def test_it_knows_nuclei_and_names_what_knows_more() -> None:
    assert StainModel.spec.prompts == ("nuclei",)
    assert scale_pass().tile_px == 1024
    with pytest.raises(UnknownPromptError, match=r"nuclei.*wsi-parse models"):
        StainModel.plan([Prompt.parse("neoplastic cells")], ModelSettings())


def test_its_state_survives_json_and_is_the_same_twice(field: np.ndarray) -> None:
    state = prepared(field)
    assert json.loads(json.dumps(state)) == state == prepared(field)


def test_known_nuclei_are_found_and_the_rest_is_not(field: np.ndarray) -> None:
    values = StainModel().predict(field[None], scale_pass(), prepared(field))["nucleus"][0]
    rows, columns = np.mgrid[:1024, :1024]
    truth = ((columns % 40 - 20) ** 2 + (rows % 40 - 20) ** 2) < 7**2
    assert dice(values >= 128, truth) > 0.93


@pytest.mark.parametrize("white", [180.0, 245.0])
@pytest.mark.parametrize("strength", [0.7, 1.6])
def test_dark_slides_and_weak_or_strong_stains_do(white: float, strength: float) -> None:
    rows, columns = np.mgrid[:512, :512]
    truth = ((columns % 40 - 20) ** 2 + (rows % 40 - 20) ** 2) < 7**2
    pixels = stained(np.where(truth, 0.5, 0.03) * strength, np.full(truth.shape, 0.2) * strength, white)
    pixels[:40] = round(white)
    values = StainModel().predict(pixels[None], scale_pass(256), prepared(pixels))["nucleus"][0]
    assert dice(values[60:] >= 128, truth[60:]) > 0.85


@pytest.mark.parametrize("pixels", [np.full((512, 512, 3), 255), np.full((512, 512, 3), (230, 170, 205))])
def test_nothing_stained_gives_no_nuclei(pixels: np.ndarray) -> None:
    pixels = pixels.astype(np.uint8)
    values = StainModel().predict(pixels[None], scale_pass(256), prepared(pixels))["nucleus"]
    assert (values < 128).all()


def test_the_interior_of_a_tile_does_not_depend_on_the_tile(field: np.ndarray) -> None:
    state, model = prepared(field), StainModel()
    one = model.predict(field[None, :512, :512], scale_pass(256), state)["nucleus"][0]
    other = model.predict(field[None, 100:612, 150:662], scale_pass(256), state)["nucleus"][0]
    difference = np.abs(one[164:448, 214:448].astype(int) - other[64:348, 64:298])
    assert difference.max() <= 1


def test_no_tissue_is_no_crash() -> None:
    slide = open_slide(np.full((300, 300, 3), 250, np.uint8), SlideOptions(mpp=0.5))
    frame = slide.frame(8.0)
    state = StainModel().prepare(slide, TissueMask(np.zeros(frame.box.shape, bool), frame))
    assert state["source"] == "no tissue"


def test_stain_vectors_are_estimated_where_they_can_be() -> None:
    rng = np.random.default_rng(0)
    unit = RUIFROK / np.linalg.norm(RUIFROK, axis=1, keepdims=True)
    amounts = np.concatenate(
        [rng.uniform([0.5, 0], [1, 0.1], (5000, 2)), rng.uniform([0, 0.3], [0.05, 0.8], (5000, 2))]
    )
    stains, source = estimate_stains((amounts @ unit + rng.normal(0, 0.005, (10_000, 3))).astype(np.float32))
    assert source == "estimated"
    assert np.degrees(np.arccos((stains * unit).sum(axis=1))).max() < 8
    one_stain = np.outer(rng.uniform(0.3, 1, 10_000), unit[0]) + rng.normal(0, 0.003, (10_000, 3))
    assert estimate_stains(one_stain.astype(np.float32))[1].startswith("reference")


def test_density_over_is_zero_at_white_and_one_at_a_tenth() -> None:
    image = np.array([[[239, 239, 239], [23, 23, 23]]], np.uint8)
    assert density_over(image, np.full(3, 239.0))[0, :, 0] == pytest.approx([0, 1], abs=0.001)


# ---- labelled data ------------------------------------------------------------------------------------------------


def read_shapes(path: Path) -> np.ndarray:
    features = json.loads(path.read_text())["features"]
    return shapely.make_valid(shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features]))


def raster(shapes: np.ndarray, width: int, height: int) -> np.ndarray:
    from PIL import ImageDraw

    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    for part in shapely.get_parts(shapes):
        if part.geom_type == "Polygon":
            draw.polygon(list(part.exterior.coords), fill=1)
    return np.asarray(canvas)


@pytest.mark.parametrize("name", ["tnbc_mosaic_40x.svs", "tnbc_mosaic_generic_mpp025.tif"])
def test_the_mosaic_whole_pipeline(tmp_path: Path, name: str) -> None:
    folder = shared_data_root() / "slides" / "mosaic"
    settings = RunSettings.load(
        None, ["export.overlay_px=0", "export.report=false"], prompts=("nuclei",), model={"name": "stain"}
    )
    run_slide(folder / name, tmp_path, settings)
    found, known = read_shapes(tmp_path / "annotations.geojson"), read_shapes(folder / "tnbc_mosaic_nuclei.geojson")
    centres = [shapely.get_coordinates(shapely.centroid(shapes)) * 0.25 for shapes in (found, known)]
    f1 = f1_score(len(match_centres(*centres, MATCH_UM)), len(found), len(known))
    overlap = dice(raster(found, 8192, 6144), raster(known, 8192, 6144))
    assert f1 >= 0.78
    assert overlap >= 0.66


@pytest.mark.parametrize(("field", "floor"), [("train_01", 0.55), ("train_13", 0.55), ("train_20", 0.55)])
def test_labelled_fields_of_another_organ(field: str, floor: float) -> None:
    folder = shared_data_root() / "nuclei" / "consep"
    pixels = np.asarray(Image.open(folder / "images" / f"{field}.jpg").convert("RGB"))
    truth = np.asarray(Image.open(folder / "inst" / f"{field}.png")) > 0
    slide = open_slide(pixels, SlideOptions(mpp=0.25))
    frame = slide.frame(0.5)
    state = StainModel().prepare(slide, TissueMask(np.ones(slide.frame(8.0).box.shape, bool), slide.frame(8.0)))
    values = StainModel().predict(slide.read(frame.box, frame)[None], scale_pass(250), state)["nucleus"][0]
    assert dice(values >= 128, truth[::2, ::2]) > floor
