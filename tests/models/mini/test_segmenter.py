"""The embedded model on the contract: plans, prompts, determinism."""

import itertools

import numpy as np
import pytest

from wsi_parse.errors import SettingsError, UnknownPromptError
from wsi_parse.geometry import Box
from wsi_parse.models.contract import State
from wsi_parse.models.mini.confidence import embedded_confidence
from wsi_parse.models.mini.facts import CLASSES
from wsi_parse.models.mini.segmenter import MiniModel
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.prompts import Prompt
from wsi_parse.settings import ModelSettings
from wsi_parse.synthetic import SyntheticSlide
from wsi_parse.testing.segmenters import SegmenterTests

STATE: State = {"white": [0.05, 0.05, 0.05], "strength": 0.45, "precision": "float32", "threads": 1}
SETTINGS = ModelSettings(name="mini", device="cpu", threads=1, field_um=64.0)


def plan(*words: str, **settings: object) -> ScalePass:
    (scale_pass,) = MiniModel.plan([Prompt.parse(text) for text in words], ModelSettings(name="mini", **settings))
    return scale_pass


class TestContract(SegmenterTests):
    @pytest.fixture
    def model(self) -> MiniModel:
        return MiniModel(SETTINGS)

    @pytest.fixture
    def scale_pass(self) -> ScalePass:
        return plan("nuclei", "neoplastic cells", "inflammatory cells", field_um=64.0)

    @pytest.fixture
    def state(self) -> State:
        return STATE

    @pytest.fixture
    def images(self) -> np.ndarray:
        slide = SyntheticSlide(1024, 512, seed=2, mpp=0.5)
        return np.stack([slide.pixels(Box(x, 200, 128, 128)) for x in (100, 400, 700)])


def test_the_missions_own_line_is_one_pass_at_half_a_micron() -> None:
    scale_pass = plan("neoplastic cells")
    assert (scale_pass.tile_px, scale_pass.read_mpp) == (1024, 0.5)
    (recipe,) = scale_pass.recipes
    assert (recipe.classes, recipe.class_channel, recipe.min_class_probability) == (
        CLASSES,
        "neoplastic",
        embedded_confidence().line("neoplastic", None),
    )
    assert recipe.distance == "distance"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("Tumour cells", "neoplastic"),
        ("lymphocytes", "inflammatory"),
        ("fibroblasts", "connective"),
        ("epithelium", "epithelial"),
        ("cells", None),
        ("nucleus", None),
    ],
)
def test_synonyms(words: str, answer: str | None) -> None:
    assert plan(words).recipes[0].class_channel == answer


def test_nuclei_alone_need_no_classes_and_no_caution() -> None:
    scale_pass = plan("nuclei")
    assert [channel.name for channel in scale_pass.channels] == ["nucleus", "distance"]
    assert (scale_pass.notes, scale_pass.cautions, scale_pass.learnt) == ((), (), ())


@pytest.mark.parametrize("words", ["glands", "mitotic figures", "necrosis"])
def test_other_words_are_refused_with_the_list_and_the_model_that_takes_them(words: str) -> None:
    with pytest.raises(UnknownPromptError) as error:
        plan(words)
    for name in (words, "nuclei", "neoplastic cells", "connective tissue cells", "BiomedParse", "models get"):
        assert name in str(error.value)


@pytest.mark.parametrize("field_um", [500.0, 8.0, 4096.0])
def test_fields_that_cannot_be_cut_are_refused(field_um: float) -> None:
    with pytest.raises(SettingsError, match="multiple of 8"):
        plan("nuclei", field_um=field_um)


def test_every_set_of_prompts_asks_each_class_once() -> None:
    names = MiniModel.spec.prompts
    for count in range(1, len(names) + 1):
        for some in itertools.combinations(names, count):
            answers = [recipe.class_channel for recipe in plan(*some).recipes]
            assert len(set(answers)) == len(some)


def test_one_tile_alone_or_among_others_says_the_same_within_a_level() -> None:
    model, scale_pass = MiniModel(SETTINGS), plan("nuclei", field_um=64.0)
    slide = SyntheticSlide(512, 512, seed=2, mpp=0.5)
    images = np.stack([slide.pixels(Box(x, 200, 128, 128)) for x in (50, 200, 300)])
    together = model.predict(images, scale_pass, STATE)["nucleus"]
    for image, expected in zip(images, together, strict=True):
        alone = model.predict(image[None], scale_pass, STATE)["nucleus"][0]
        assert np.abs(alone.astype(int) - expected).max() <= 1
