"""Whole runs with models that do what those of this package do not: a plug-in ends no run without a sentence."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.small_slides import SMALL_BLOCKS, tissue_with_nuclei, write_slide
from wsi_parse.errors import ModelError, StageError
from wsi_parse.models.scale_pass import Recipe, ScalePass
from wsi_parse.models.stain import StainModel
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slides") / "small.svs", tissue_with_nuclei(700, 600)[0])


def settings_of(*overrides: str, prompts: tuple[str, ...] = ("nuclei",)) -> RunSettings:
    return RunSettings.load(None, [*SMALL_BLOCKS, *overrides], prompts=prompts, model={"name": "stain"})


def saying(monkeypatch: pytest.MonkeyPatch, facts: Any) -> None:
    monkeypatch.setattr(StainModel, "summarise", lambda *_: {"nuclei": facts})


def test_what_a_model_says_of_the_slide_is_in_the_manifest(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"sentence": "Most nuclei are pale.", "pale": 3}
    saying(monkeypatch, facts)
    run_slide(slide, tmp_path, settings_of())
    manifest = RunManifest.load(tmp_path)
    assert manifest is not None
    assert manifest.existence == {"nuclei": facts}


@pytest.mark.parametrize("facts", [3, ["a"], {"median": np.float32(0.5)}, {"median": float("nan")}])
def test_what_cannot_be_written_is_the_defect_of_the_model(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: Any
) -> None:
    saying(monkeypatch, facts)
    with pytest.raises(ModelError, match=r"summarise.*Report this error to the author of the model"):
        run_slide(slide, tmp_path, settings_of())


def planning(monkeypatch: pytest.MonkeyPatch, change: Callable[[Recipe], Recipe]) -> None:
    """Let the model say something else of each recipe."""
    plan = StainModel.plan

    def changed(*given: Any) -> tuple[ScalePass, ...]:
        return tuple(replace(one, recipes=tuple(map(change, one.recipes))) for one in plan(*given))

    monkeypatch.setattr(StainModel, "plan", changed)


@pytest.mark.parametrize("by", ["setting", "model"])
def test_without_classes_nothing_is_unsure(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    plain = run_slide(slide, tmp_path / "plain", settings_of())
    if by == "model":
        planning(monkeypatch, lambda recipe: replace(recipe, min_class_probability=0.9))
    overrides = ["objects.min_class_probability=0.9"] if by == "setting" else []
    manifest = run_slide(slide, tmp_path / "limited", settings_of(*overrides))
    assert manifest.counts == plain.counts
    assert manifest.counts["nuclei"] > 50
    assert manifest.unsure == {}
    assert any("min_class_probability is ignored" in note for note in manifest.notes) == (by == "setting")


def test_a_prompt_is_known_by_its_name(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model may hand on other words or another colour; names are what no two prompts of a run share."""
    plain = run_slide(slide, tmp_path / "plain", settings_of())
    planning(monkeypatch, lambda recipe: replace(recipe, prompt=replace(recipe.prompt, text="dots", colour=(1, 2, 3))))
    assert run_slide(slide, tmp_path / "changed", settings_of()).counts == plain.counts


def test_a_plan_answers_every_prompt_once(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planning(monkeypatch, lambda recipe: replace(recipe, prompt=replace(recipe.prompt, name="dots")))
    with pytest.raises(ModelError, match=r"every prompt in exactly one recipe\. Report this error to the author"):
        run_slide(slide, tmp_path, settings_of())


@pytest.mark.parametrize("plan", [None, "nuclei", ({"name": "nuclei"},)])
def test_a_plan_is_made_of_passes(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: object) -> None:
    monkeypatch.setattr(StainModel, "plan", classmethod(lambda *_: plan))
    with pytest.raises(ModelError, match=r"The plan of the model stain is no tuple of ScalePass.*Report this error"):
        run_slide(slide, tmp_path, settings_of())


class _OutOfMemoryError(RuntimeError):
    """Called as torch's is."""


_OutOfMemoryError.__name__ = "OutOfMemoryError"


def limited(monkeypatch: pytest.MonkeyPatch, most: int, fail_after: int | None = None) -> list[int]:
    """Let the model hold at most so many tiles, and give up after some calls; returns the sizes that it was given."""
    predict, sizes = StainModel.predict, list[int]()

    def predicting(self: StainModel, images: np.ndarray, *more: Any) -> Any:
        sizes.append(len(images))
        if len(images) > most:
            raise _OutOfMemoryError
        if fail_after is not None and len(sizes) > fail_after:
            raise ValueError("gave up")
        return predict(self, images, *more)

    monkeypatch.setattr(StainModel, "predict", predicting)
    monkeypatch.setattr("wsi_parse.compute.worker._models", {})
    return sizes


@pytest.mark.parametrize("threads", [1, 3])
def test_a_halved_batch_is_in_the_manifest(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    overrides = ("model.batch=8", f"compute.threads={threads}")
    plain = run_slide(slide, tmp_path / "plain", settings_of(*overrides))
    assert "largest_batch" not in plain.model
    assert not [note for note in plain.notes if "Memory ran out" in note]
    sizes = limited(monkeypatch, 3)
    manifest = run_slide(slide, tmp_path / "halved", settings_of(*overrides))
    assert {8, 4, 2} <= set(sizes)
    assert manifest.model["largest_batch"] == 2
    words = "Memory ran out: some tiles were predicted 2 at a time"
    assert len([note for note in manifest.notes if words in note]) == 1
    loaded = RunManifest.load(tmp_path / "halved")
    assert loaded is not None
    assert loaded.model["largest_batch"] == 2
    assert manifest.outputs == plain.outputs, "a model without weights does not depend on it"


def test_a_slide_after_the_one_that_halved_it_says_so_too(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, 3)
    for name in ("one", "two"):
        manifest = run_slide(slide, tmp_path / name, settings_of("model.batch=8"))
        assert manifest.model["largest_batch"] == 2


def test_a_resumed_run_knows_what_was_halved_before(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        limited(patched, 3, fail_after=5)
        with pytest.raises(StageError, match="gave up"):
            run_slide(slide, tmp_path, settings_of("model.batch=8", "compute.threads=1"))
    sizes = limited(monkeypatch, 8)
    manifest = run_slide(slide, tmp_path, settings_of("model.batch=8", "compute.threads=1"))
    assert set(sizes) == {8}
    assert manifest.model["largest_batch"] == 2
