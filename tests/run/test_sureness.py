"""From when on a class is sure on a slide: raised where it is unlike the training, and told in run.json."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.small_slides import tissue_with_nuclei, write_slide
from tests.test_cautions import builders
from wsi_parse.cautions import OF_THE_INPUT
from wsi_parse.models.mini.confidence import CONFIDENCE_NAME, Confidence
from wsi_parse.models.mini.facts import EMBEDDED
from wsi_parse.models.scale_pass import NEVER_SURE, Channel, LearntRange, Recipe, ScalePass
from wsi_parse.models.weights import Weights
from wsi_parse.prompts import Prompt
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.pipeline import run_slide
from wsi_parse.run.resolve import resolve
from wsi_parse.run.sureness import passes_on_slide, raised_note, sure_from, training_cautions
from wsi_parse.settings import ObjectSettings, RunSettings

NAMES = ("neoplastic cells", "epithelial cells", "inflammatory cells")
LINES = (0.7, NEVER_SURE, 0.9)
PASS = ScalePass(
    "one",
    128.0,
    0.5,
    (Channel("nucleus", "probability"), Channel("kind", "class")),
    (
        *(
            Recipe(Prompt.parse(name), "nucleus", None, ("kind",), "kind", min_class_probability=line)
            for name, line in zip(NAMES, LINES, strict=True)
        ),
        Recipe(Prompt.parse("nuclei"), "nucleus"),
    ),
    learnt=(LearntRange("strength", "the strength of the stain", 0.2, 0.9), LearntRange("white", "white", 0.0, 0.7)),
)
LIKE = {"strength": 0.5, "white": [0.1, 0.2, 0.1]}


def lines_on(
    state: dict[str, object], codes: tuple[str, ...] = (), line: float | None = None
) -> dict[str, float | None]:
    (on_slide,) = passes_on_slide((PASS,), state, codes, ObjectSettings(min_class_probability=line))
    return sure_from(on_slide)


class TestLines:
    def test_a_slide_like_the_training_keeps_them(self) -> None:
        assert lines_on(LIKE, ("few-pixels-of-stain",)) == {
            "neoplastic cells": 0.7,
            "epithelial cells": None,
            "inflammatory cells": 0.9,
        }
        assert training_cautions((PASS,), LIKE, "mini") == ()

    @pytest.mark.parametrize(
        ("state", "codes"),
        [
            ({"strength": 1.1}, ()),
            ({"white": [0.1, 0.8, 0.1]}, ()),
            *((LIKE, (code,)) for code in sorted(OF_THE_INPUT)),
        ],
    )
    def test_on_another_slide_they_lie_halfway_to_one(self, state: dict[str, object], codes: tuple[str, ...]) -> None:
        assert lines_on(LIKE | state, codes) == {
            "neoplastic cells": 0.85,
            "epithelial cells": None,
            "inflammatory cells": 0.95,
        }

    def test_that_is_said(self) -> None:
        state = LIKE | {"strength": 1.1}
        (caution,) = training_cautions((PASS,), state, "mini")
        assert (caution.code, caution.number) == ("outside-training", 1.1)
        assert "the strength of the stain is 1.1, but what mini learnt from has 0.2 to 0.9" in caution.text
        on_slide = passes_on_slide((PASS,), state, (), ObjectSettings())
        assert "neoplastic cells from 0.85 on, in place of 0.7; inflammatory" in raised_note((PASS,), on_slide)
        assert raised_note((PASS,), (PASS,)) == ""

    def test_what_the_user_sets_and_what_knows_no_training_is_not_raised(self) -> None:
        assert lines_on({"strength": 1.1}, line=0.7) == sure_from(PASS)
        plain = replace(PASS, learnt=())
        assert passes_on_slide((plain,), {"strength": 1.1}, ("pixel-size",), ObjectSettings()) == (plain,)


def test_the_cautions_that_doubt_the_input_are_cautions() -> None:
    assert {caution.code for caution in builders().values()} >= OF_THE_INPUT


@pytest.mark.whole
class TestRuns:
    """Whole runs with own weights (a copy of the embedded ones), whose confidence.json changes from run to run."""

    @pytest.fixture
    def slide(self, tmp_path: Path) -> Path:
        return write_slide(tmp_path / "small.svs", tissue_with_nuclei(700, 700)[0])

    def run(self, slide: Path, confidence: dict[str, object], **model: object) -> RunManifest:
        weights = slide.with_name("own.safetensors")
        if not weights.exists():
            weights.write_bytes(EMBEDDED.read_bytes())
        content = Confidence.model_validate({"weights_sha256": Weights.of_file(weights).sha256, **confidence})
        weights.with_name(CONFIDENCE_NAME).write_text(content.model_dump_json())
        settings = RunSettings.load(
            None,
            ["export.overlay_px=0", "export.keep=[predictions]"],
            prompts=("neoplastic cells", "inflammatory cells"),
            model={"name": "mini", "field_um": 128.0, "weights": weights, **model},
        )
        return run_slide(slide, slide.parent / "out", settings)

    def test_lines_organ_and_training_are_told_and_nothing_is_taken_for_done_that_is_not(self, slide: Path) -> None:
        lines = {"neoplastic": 0.0, "epithelial": 0.5, "inflammatory": None, "connective": 0.5}
        organs = {"colon": {"neoplastic": None}}
        first = self.run(slide, {"lines": lines, "organs": organs})
        assert first.passes[0]["sure_from"] == {"neoplastic cells": 0.0, "inflammatory cells": None}
        assert first.unsure.get("neoplastic cells", 0) == 0
        found = first.counts["inflammatory cells"]
        assert first.unsure.get("inflammatory cells", 0) == found
        codes = [caution["code"] for caution in first.cautions]
        assert "normal-breast" in codes
        assert "mostly-unsure" not in codes, "never sure is known, and no surprise"

        # Lines are the same in an organ that has none of its own; what is said of breast is not.
        of_lung = self.run(slide, {"lines": lines, "organs": organs}, organ="lung")
        assert of_lung.digests.objects == first.digests.objects
        assert [item["stage"] for item in of_lung.reused] == ["objects"], "only the outputs are written again"
        assert "normal-breast" not in [caution["code"] for caution in of_lung.cautions]
        assert of_lung.passes == first.passes

        of_colon = self.run(slide, {"lines": lines, "organs": organs}, organ="colon")
        assert of_colon.digests.predict == first.digests.predict
        assert of_colon.passes[0]["sure_from"] == {"neoplastic cells": None, "inflammatory cells": None}
        assert sum(of_colon.unsure.values()) == sum(of_colon.counts.values()) > 0

        learnt = {"strength": (2.0, 3.0)}
        unlike = self.run(slide, {"lines": lines | {"inflammatory": 0.5}, "learnt": learnt}, organ="lung")
        assert unlike.passes[0]["sure_from"] == {"neoplastic cells": 0.5, "inflammatory cells": 0.75}
        assert "outside-training" in [caution["code"] for caution in unlike.cautions]
        assert any(note.startswith("Because of its cautions") for note in unlike.notes)
        stored = json.loads((slide.parent / "out" / "run.json").read_text())
        assert stored["passes"][0]["sure_from"] == unlike.passes[0]["sure_from"]


class TestNotes:
    def notes(self, model: str, *overrides: str, organ: str | None = None) -> str:
        settings = RunSettings.load(
            None, overrides, prompts=("neoplastic cells",), model={"name": model, "organ": organ}
        )
        return " ".join(resolve(settings).notes)

    def test_an_organ_is_ignored_by_models_that_do_not_use_it(self) -> None:
        assert "--organ is ignored" not in self.notes("mini", organ="colon")
        settings = RunSettings.load(prompts=("nuclei",), model={"name": "stain", "organ": "colon"})
        assert "--organ is ignored, because the model stain does not use it." in resolve(settings).notes

    def test_a_line_of_the_user_is_said_to_replace_those_of_the_model(self) -> None:
        assert "A class is sure from a probability of 0.9 on" in self.notes("mini", "objects.min_class_probability=0.9")
        assert "objects.min_class_probability" not in self.notes("mini")
