"""The contract: channels of several kinds and strides, recipes that share them, answers that are checked."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.fake import IMMUNE, TUMOUR, FakeClassModel
from tests.one_pass import white
from wsi_parse.errors import ModelError, UnknownPromptError
from wsi_parse.models.contract import to_uint8
from wsi_parse.models.scale_pass import Recipe, ScalePass
from wsi_parse.predict.inference import _predict_in_batches
from wsi_parse.prompts import Prompt
from wsi_parse.registry import MODELS
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import ModelSettings, RunSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.testing.segmenters import SegmenterTests


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    MODELS.add("fake", FakeClassModel)
    yield
    MODELS.remove("fake")


def discs(centres: dict[tuple[int, int], tuple[int, int, int]], width: int = 700, height: int = 600) -> np.ndarray:
    pixels = white(width, height)
    rows, columns = np.mgrid[:height, :width]
    for (x, y), hue in centres.items():
        pixels[(columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 < 10**2] = hue
    return pixels


CENTRES = {(x, y): TUMOUR if (x + y) // 60 % 2 else IMMUNE for x in range(40, 660, 60) for y in range(40, 560, 60)}


def run(pixels: np.ndarray, folder: Path, *prompts: str) -> dict[str, int]:
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / "discs.png")
    settings = RunSettings.load(
        None,
        [
            "tissue.detect=false",
            "objects.chunk_px=256",
            "export.overlay_px=0",
            "export.report=false",
            "compute.threads=2",
        ],
        prompts=prompts,
        model={"name": "fake"},
        slide={"mpp": 0.5},
    )
    return run_slide(folder / "discs.png", folder / "out", settings).counts


def test_class_prompts_answer_with_whole_nuclei_of_their_class(tmp_path: Path) -> None:
    counts = run(discs(CENTRES), tmp_path, "tumour cells", "lymphocytes")
    tumour = sum(hue == TUMOUR for hue in CENTRES.values())
    assert counts == {"neoplastic cells": tumour, "inflammatory cells": len(CENTRES) - tumour}
    features = json.loads((tmp_path / "out" / "annotations.geojson").read_text())["features"]
    assert all("class_probability" in feature["properties"]["measurements"] for feature in features)


def test_one_class_alone_takes_only_its_own(tmp_path: Path) -> None:
    assert run(discs(CENTRES), tmp_path, "neoplastic cells") == {
        "neoplastic cells": sum(hue == TUMOUR for hue in CENTRES.values())
    }


def test_no_nucleus_answers_two_prompts(tmp_path: Path) -> None:
    counts = run(discs(CENTRES), tmp_path, "nuclei", "neoplastic cells")
    assert sum(counts.values()) == len(CENTRES)
    assert counts["neoplastic cells"] == sum(hue == TUMOUR for hue in CENTRES.values())


def test_a_cell_of_two_hues_goes_to_the_larger_share_and_stays_whole(tmp_path: Path) -> None:
    pixels = discs({(100, 100): TUMOUR})
    pixels[:, 104:][(pixels[:, 104:] == TUMOUR).all(axis=2)] = IMMUNE
    assert run(pixels, tmp_path, "neoplastic cells", "inflammatory cells") == {
        "neoplastic cells": 1,
        "inflammatory cells": 0,
    }


def test_the_distance_channel_splits_what_touches(tmp_path: Path) -> None:
    pixels = discs({(100, 100): TUMOUR, (118, 100): TUMOUR, (118, 118): TUMOUR})
    assert run(pixels, tmp_path, "neoplastic cells") == {"neoplastic cells": 3}


def test_words_that_mean_the_same_are_one_prompt(tmp_path: Path) -> None:
    assert run(discs(CENTRES), tmp_path, "nuclei", "Cells", " cell  nuclei ") == {"nuclei": len(CENTRES)}


def test_what_the_model_does_not_know_is_an_error() -> None:
    with pytest.raises(UnknownPromptError):
        FakeClassModel.plan([Prompt.parse("glands")], ModelSettings())


class TestFake(SegmenterTests):
    @pytest.fixture
    def model(self) -> FakeClassModel:
        return FakeClassModel()

    @pytest.fixture
    def scale_pass(self) -> ScalePass:
        return FakeClassModel.plan([Prompt.parse("neoplastic cells")], ModelSettings())[0]

    @pytest.fixture
    def state(self) -> dict[str, float]:
        return {}

    @pytest.fixture
    def images(self) -> np.ndarray:
        whole = discs(CENTRES)
        return np.stack([whole[y : y + 256, x : x + 256] for x, y in ((0, 0), (200, 100), (300, 300))])


class Hungry(FakeClassModel):
    """Runs out of memory above one tile at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def predict(self, images: np.ndarray, scale_pass: ScalePass, state: Any) -> Any:
        self.asked.append(len(images))
        if len(images) > 1:
            raise MemoryError
        return super().predict(images, scale_pass, state)


def test_a_batch_too_large_is_halved_and_nothing_is_lost() -> None:
    scale_pass = FakeClassModel.plan([Prompt.parse("nuclei")], ModelSettings())[0]
    whole = discs(CENTRES)
    images = [whole[y : y + 256, x : x + 256] for x, y in ((0, 0), (200, 100), (300, 300))]
    model = Hungry()
    frugal, _ = _predict_in_batches(model, scale_pass, {}, images, 4)
    plain, _ = _predict_in_batches(FakeClassModel(), scale_pass, {}, images, 4)
    assert model.asked == [4, 2, 1, 1, 1]
    for channel in scale_pass.channels:
        assert np.array_equal(np.stack(frugal[channel.name]), np.stack(plain[channel.name]))


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"nucleus": np.zeros((1, 7, 7), np.uint8)},
    ],
)
def test_an_answer_out_of_contract_is_an_error(answer: dict[str, np.ndarray]) -> None:
    class Wrong(FakeClassModel):
        def predict(self, images: np.ndarray, scale_pass: ScalePass, state: Any) -> Any:
            return answer

    scale_pass = FakeClassModel.plan([Prompt.parse("nuclei")], ModelSettings())[0]
    with pytest.raises(ModelError, match="nucleus"):
        _predict_in_batches(Wrong(), scale_pass, {}, [np.zeros((256, 256, 3), np.uint8)], 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.5, 1.5])
def test_numbers_that_are_no_probabilities_are_an_error(bad: float) -> None:
    with pytest.raises(ModelError):
        to_uint8("x", np.array([[0.5, bad]], np.float32))


def test_floats_become_bytes_by_rounding() -> None:
    assert to_uint8("x", np.array([0, 0.5, 1.0], np.float32)).tolist() == [0, 128, 255]


def test_a_slide_of_another_scale_is_read_at_the_models(tmp_path: Path) -> None:
    pixels = discs({(200, 200): TUMOUR}).repeat(2, axis=0).repeat(2, axis=1)
    slide = open_slide(pixels, SlideOptions(mpp=0.25))
    assert slide.frame(0.5).width == pixels.shape[1] // 2


def test_the_recipe_names_the_setting_that_outlines_and_no_number() -> None:
    assert str(Recipe.__doc__).count("``objects.threshold``") == 2
    assert "0.5" not in str(Recipe.__doc__)
