"""From when on a class is sure: by class, by organ, by weights; what is not calibrated says so."""

import json
from pathlib import Path
from typing import Any

import pytest

from wsi_parse.cautions import normal_breast
from wsi_parse.errors import WeightsError
from wsi_parse.models.mini import card
from wsi_parse.models.mini.confidence import (
    CONFIDENCE_NAME,
    UNCALIBRATED,
    Confidence,
    confidence_of,
    embedded_confidence,
)
from wsi_parse.models.mini.facts import CLASS_OF, EMBEDDED, LIMITATION, LIMITATION_OF_OWN, MIN_CLASS_PROBABILITY
from wsi_parse.models.mini.segmenter import MiniModel
from wsi_parse.models.scale_pass import NEVER_SURE, ScalePass
from wsi_parse.models.weights import Weights
from wsi_parse.prompts import Prompt
from wsi_parse.settings import ModelSettings

LINES = {"neoplastic": 0.71, "epithelial": None, "inflammatory": 0.6, "connective": 0.6}
CALIBRATED = Confidence.model_validate(
    {
        "lines": LINES,
        "reached": {"neoplastic": [0.93, 0.9, 0.96], "inflammatory": [0.912, 0.88, 0.95]},
        "organs": {"breast": {"neoplastic": None}, "colon": {"epithelial": 0.9}},
        "reached_in_organs": {"colon": {"epithelial": [0.95, 0.92, 0.98]}},
        "learnt": {"strength": [0.2, 0.9]},
    }
)


def planned(*words: str, **settings: Any) -> ScalePass:
    (scale_pass,) = MiniModel.plan([Prompt.parse(text) for text in words], ModelSettings(name="mini", **settings))
    return scale_pass


def lines_of(scale_pass: ScalePass) -> list[float | None]:
    return [recipe.min_class_probability for recipe in scale_pass.recipes]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Weights of a user with a confidence.json."""
    weights = tmp_path / "own.safetensors"
    weights.write_bytes(b"some weights")
    content = CALIBRATED.model_dump(mode="json") | {"weights_sha256": Weights.of_file(weights).sha256}
    weights.with_name(CONFIDENCE_NAME).write_text(json.dumps(content))
    return weights


class TestEmbedded:
    def test_it_is_of_the_embedded_weights(self) -> None:
        assert embedded_confidence().weights_sha256 == Weights.of_file(EMBEDDED).sha256

    def test_what_is_sure_was_right_nine_times_in_ten_or_it_says_that_nobody_knows(self) -> None:
        confidence, (limitation,) = embedded_confidence(), planned(*CLASS_OF).notes
        if not confidence.is_calibrated:
            assert "(not calibrated)" in limitation
            assert "not calibrated" in card.short_card()
        for name in set(CLASS_OF.values()) & confidence.reached.keys():
            assert confidence.line(name, None) == NEVER_SURE or confidence.reached[name][0] >= 0.9

    def test_it_knows_what_the_weights_learnt_from(self) -> None:
        names = {one.name for one in embedded_confidence().ranges()}
        assert names == {"strength", "white", "sharpness", "nuclear_area_um2"}
        assert planned("neoplastic cells").learnt == embedded_confidence().ranges()


class TestOwnWeights:
    def test_each_class_has_its_line_and_each_organ_may_have_others(self, own: Path) -> None:
        words = tuple(CLASS_OF)
        assert lines_of(planned(*words, weights=own)) == [0.71, NEVER_SURE, 0.6, 0.6]
        assert lines_of(planned(*words, weights=own, organ=" Mamma")) == [NEVER_SURE, NEVER_SURE, 0.6, 0.6]
        assert lines_of(planned(*words, weights=own, organ="colon")) == [0.71, 0.9, 0.6, 0.6]
        assert lines_of(planned(*words, weights=own, organ="lung")) == [0.71, NEVER_SURE, 0.6, 0.6]
        told = [planned("neoplastic cells", weights=own, organ=organ).notes[0] for organ in ("lung", "Breast", None)]
        assert ["For lung, there are no lines of its own" in note for note in told] == [True, False, False]
        of_prompt = planned("epithelial cells in colon pathology", weights=own, organ="breast")
        assert lines_of(of_prompt) == [0.9], "the organ that the words name"

    def test_what_is_known_of_the_embedded_weights_is_not_told_of_others(self, own: Path) -> None:
        (limitation,) = planned("neoplastic cells", weights=own).notes
        assert LIMITATION_OF_OWN in limitation
        assert LIMITATION not in limitation

    def test_without_a_file_that_belongs_to_them_they_are_not_calibrated(self, own: Path, tmp_path: Path) -> None:
        assert confidence_of(own).is_calibrated
        own.write_bytes(b"weights of another training")
        for weights in (own, tmp_path / "other folder" / "own.safetensors"):
            assert confidence_of(weights) == UNCALIBRATED
            scale_pass = planned("neoplastic cells", weights=weights)
            assert lines_of(scale_pass) == [MIN_CLASS_PROBABILITY]
            assert "(not calibrated)" in scale_pass.notes[0]

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("{", "JSON"),
            (json.dumps({"lines": {"neoplastic": 0.7}}), "lines has none for"),
            (json.dumps({"lines": LINES | {"connective": 1.2}}), "less than or equal to 1"),
            (json.dumps({"lines": LINES, "organs": {"colon": {"glands": 0.5}}}), "glands"),
        ],
    )
    def test_a_damaged_file_is_refused(self, own: Path, content: str, words: str) -> None:
        own.with_name(CONFIDENCE_NAME).write_text(content)
        with pytest.raises(WeightsError, match=words):
            planned("neoplastic cells", weights=own)


class TestSentence:
    """What the screen shows is the first sentence: when a class is sure, which never is, and normal tissue."""

    @pytest.mark.parametrize(
        ("prompts", "words"),
        [
            (
                ("neoplastic cells",),
                "from a probability of 0.71 on; sure ones were right in 93% or more",
            ),
            (tuple(CLASS_OF), "(neoplastic 0.71, inflammatory 0.6, connective 0.6), epithelial never"),
            (("epithelial cells",), "epithelial is never sure; nuclei of normal tissue"),
        ],
    )
    def test_when_a_class_is_sure(self, own: Path, prompts: tuple[str, ...], words: str) -> None:
        (limitation,) = planned(*prompts, weights=own).notes
        assert words in limitation
        assert limitation.startswith("Experimental: ")

    def test_an_organ_says_how_often_its_own_lines_were_right(self, own: Path) -> None:
        (limitation,) = planned("epithelial cells", weights=own, organ="colon").notes
        assert "from a probability of 0.9 on; sure ones were right in 95% or more" in limitation
        (limitation,) = planned("neoplastic cells", "inflammatory cells", weights=own, organ="breast").notes
        assert "from a probability of 0.6 on, neoplastic never; sure ones were right in 91% or more" in limitation

    def test_normal_tissue_is_in_the_first_sentence(self, own: Path) -> None:
        for settings in ({}, {"weights": own}):
            first = planned("neoplastic cells", **settings).notes[0].split(". ")[0]
            assert "breast ducts and skin" in first


@pytest.mark.parametrize(
    ("prompt", "organ", "questioned"),
    [
        ("neoplastic cells", None, True),
        ("neoplastic cells", "Breast", True),
        ("neoplastic cells", "mammary gland", True),
        ("neoplastic cells", "colon", False),
        ("neoplastic cells in colon pathology", None, False),
        ("neoplastic cells in breast pathology", "colon", True),
        ("inflammatory cells", None, False),
        ("nuclei", "breast", False),
    ],
)
def test_neoplastic_nuclei_are_questioned_where_the_tissue_may_be_breast(
    prompt: str, organ: str | None, questioned: bool
) -> None:
    assert planned(prompt, organ=organ).cautions == ((normal_breast("neoplastic cells", "mini"),) if questioned else ())


class TestShortCard:
    def test_it_copes_with_missing_sets_and_classes_that_are_never_sure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(card, "embedded_confidence", lambda: CALIBRATED)
        monkeypatch.setattr(card, "figures", lambda: {"sets": {"new": {"dice": [0.8, 0.7, 0.9]}}})
        shown = card.short_card()
        assert "new: Dice 0.80 (0.70-0.90)." in shown
        assert "F1 of classes" not in shown
        assert "epithelial never" in shown
        assert "neoplastic 0.93 (0.90-0.96), inflammatory 0.91 (0.88-0.95)" in shown
        assert "Other lines hold in breast, colon" in shown
        monkeypatch.setattr(card, "figures", lambda: {"sets": {}})
        assert "Dice" not in card.short_card()
