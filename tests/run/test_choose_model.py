"""Which model `auto` takes: by rank among those that know the words; a broken plug-in is a warning, and skipped."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from tests.models.fake import FakeClassModel
from wsi_parse.errors import PluginError, UnknownPromptError, UsageError, WeightsError
from wsi_parse.models.contract import ModelSpec
from wsi_parse.prompts import Prompt, Target
from wsi_parse.registry import MODELS
from wsi_parse.run.choose_model import choose_model
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import ClassSettings, ModelSettings, RunSettings

MITOSES = Target("mitoses", "cell", "Mitosis", (0, 120, 0), ("mitotic figures",))
LYMPHOCYTES = Target("lymphocytes", "cell", "Lymphocyte", (1, 2, 3))
WORDS = ("mitoses", "lymphocytes", "nuclei")


class Mitoses(FakeClassModel):
    spec: ClassVar = ModelSpec("mitoses", "for tests", WORDS, rank=90, vocabulary=(MITOSES, LYMPHOCYTES))


class Failing(Mitoses):
    @classmethod
    def find_weights(cls, settings: ModelSettings) -> None:
        raise ZeroDivisionError("no weights today")


class NotInstalled(Mitoses):
    @classmethod
    def find_weights(cls, settings: ModelSettings) -> None:
        raise WeightsError("The weights of mitoses are not installed.", "Get them: wsi-parse models get mitoses")


@pytest.fixture
def added(request: pytest.FixtureRequest) -> Iterator[None]:
    MODELS.add("mitoses", request.param)
    yield
    MODELS.remove("mitoses")


def chosen(*texts: str, **settings: Any) -> tuple[str, tuple[str, ...]]:
    return choose_model(ModelSettings(**settings), [Prompt.parse(text) for text in texts], require_weights=True)


@pytest.mark.parametrize("added", [Mitoses], indirect=True)
class TestOfAnother:
    def test_auto_takes_it_by_rank_for_its_own_words_and_for_ours(self, added: None) -> None:
        for text in ("mitoses", "Mitotic figure", "nuclei"):
            assert chosen(text)[0] == "mitoses"
        assert chosen("mitoses", "nuclei")[0] == "mitoses"
        assert chosen("neoplastic cells")[0] != "mitoses"

    def test_its_words_get_their_own_kind_class_and_colour(self, added: None) -> None:
        request = resolve(RunSettings.load(prompts=("Mitotic figures", "lymphocytes", "cells")))
        assert [(one.name, one.kind, one.class_name, one.colour, one.known) for one in request.prompts] == [
            ("mitoses", "cell", "Mitosis", (0, 120, 0), True),
            ("lymphocytes", "cell", "Lymphocyte", (1, 2, 3), True),
            ("nuclei", "cell", "Nucleus", (60, 90, 220), True),
        ]
        assert Prompt.parse("lymphocytes").name == "inflammatory cells"

    def test_classes_of_the_settings_are_named_in_its_words(self, added: None) -> None:
        classes = {"mitotic figures": ClassSettings(name="Mit")}
        request = resolve(RunSettings.load(prompts=("mitoses",), export={"classes": classes}))
        assert request.prompts[0].class_name == "Mit"
        assert not [note for note in request.notes if "is not used" in note]

    def test_all_means_its_targets(self, added: None) -> None:
        request = resolve(RunSettings.load(prompts=("all",), model={"name": "mitoses"}))
        assert [prompt.name for prompt in request.prompts] == list(WORDS)
        assert request.prompts[0].colour == (0, 120, 0)


@pytest.mark.parametrize("added", [NotInstalled], indirect=True)
def test_a_better_model_that_is_not_installed_is_named(added: None) -> None:
    name, notes = chosen("nuclei")
    assert name == "mini"
    assert any("wsi-parse models get mitoses" in note for note in notes)
    with pytest.raises(UnknownPromptError, match="wsi-parse models get mitoses"):
        chosen("mitoses")


@pytest.mark.parametrize("added", [Failing, object], indirect=True)
def test_a_broken_model_is_one_warning_and_skipped(added: None) -> None:
    name, notes = chosen("nuclei")
    assert name == "mini"
    (warning,) = [note for note in notes if "mitoses" in note]
    assert warning.endswith("It is skipped.")
    assert ("no weights today" in warning) or ("it has no spec, plan, predict, find_weights" in warning)
    with pytest.raises(UnknownPromptError, match=r"mitoses.*It is skipped"):
        chosen("unicorns")
    with pytest.raises(PluginError, match="mitoses"):
        resolve(RunSettings.load(prompts=("nuclei",), model={"name": "mitoses"}))


def test_weights_need_the_name_of_their_model() -> None:
    with pytest.raises(UsageError, match="Name the model of the weights with --model"):
        chosen("nuclei", weights="a.safetensors")
