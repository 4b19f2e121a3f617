"""The suites for plug-ins can fail: each finds the defect that it is for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from distributed import Client, LocalCluster

from tests.models.fake import FakeClassModel
from wsi_parse.errors import UsageError
from wsi_parse.exporters.csv import CsvExporter
from wsi_parse.models.contract import ModelSpec
from wsi_parse.prompts import Prompt, Target
from wsi_parse.registry import CLUSTERS, READERS
from wsi_parse.settings import ComputeSettings, ModelSettings
from wsi_parse.slides import open_slide
from wsi_parse.slides.openslide_reader import OpenSlideReader
from wsi_parse.synthetic import SyntheticSlide, write_svs_like
from wsi_parse.testing import ClusterTests, ExporterTests, ReaderTests, SegmenterTests

FAILS = (AssertionError, pytest.fail.Exception)


class TwoRecipes(FakeClassModel):
    @classmethod
    def plan(cls, prompts: Any, settings: ModelSettings) -> Any:
        (one,) = super().plan(prompts, settings)
        return (replace(one, recipes=one.recipes * 2),)


class NeedsWeights(FakeClassModel):
    @classmethod
    def plan(cls, prompts: Any, settings: ModelSettings) -> Any:
        cls.find_weights(settings)
        return super().plan(prompts, settings)


class PassByColour(FakeClassModel):
    @classmethod
    def plan(cls, prompts: Any, settings: ModelSettings) -> Any:
        (one,) = super().plan(prompts, settings)
        return (replace(one, name=f"fake-{prompts[0].colour[0]}"),)


class TakesAnything(FakeClassModel):
    @classmethod
    def plan(cls, prompts: Any, settings: ModelSettings) -> Any:
        return super().plan([replace(prompt, name="nuclei") for prompt in prompts], settings)


class MapsByKind(FakeClassModel):
    def predict(self, images: Any, scale_pass: Any, state: Any) -> Any:
        found = dict(super().predict(images, scale_pass, state))
        if scale_pass.recipes[0].prompt.kind == "region":
            found["nucleus"] = 1 - found["nucleus"]
        return found


class Remembers(FakeClassModel):
    def predict(self, images: Any, scale_pass: Any, state: Any) -> Any:
        self.calls = getattr(self, "calls", 0) + 1
        found = dict(super().predict(images, scale_pass, state))
        return {**found, "distance": found["distance"] / self.calls}


class BatchMean(FakeClassModel):
    def predict(self, images: Any, scale_pass: Any, state: Any) -> Any:
        found = dict(super().predict(images, scale_pass, state))
        return {**found, "nucleus": found["nucleus"] * float(images.mean() / 255)}


class NotJson(FakeClassModel):
    def prepare(self, *_: Any) -> Any:
        return {"mean": np.float32(1)}


class SaysNothingUseful(FakeClassModel):
    def summarise(self, *_: Any) -> Any:
        return {"unicorns": {"sentence": "There are none."}}


class WordsThatLeadElsewhere(FakeClassModel):
    spec: ClassVar = ModelSpec(
        "fake", "for tests", ("nuclei",), vocabulary=(Target("discs", "cell", "Disc", (1, 2, 3), ("nuclei",)),)
    )


@pytest.fixture
def images() -> np.ndarray:
    images = np.full((3, 256, 256, 3), 240, np.uint8)
    images[0, 50:80, 50:80] = (200, 30, 40)
    images[1, 90:99, 50:80] = (40, 30, 200)
    return images


def of_images(test: Callable[..., None]) -> Callable[..., None]:
    """Give a test of predictions what it needs."""

    def run(model: FakeClassModel, images: np.ndarray) -> None:
        scale_pass = FakeClassModel.plan([Prompt.parse("neoplastic cells")], ModelSettings())[0]
        test(SegmenterTests(), model, scale_pass, {}, images)

    return run


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (TwoRecipes, SegmenterTests.test_every_prompt_is_in_exactly_one_recipe),
        (PassByColour, SegmenterTests.test_the_plan_does_not_depend_on_classes_and_colours),
        (TakesAnything, SegmenterTests.test_unknown_words_are_refused_or_taken_as_free_text),
        (WordsThatLeadElsewhere, SegmenterTests.test_the_spec_says_what_it_is_and_which_words_it_knows),
    ],
)
def test_a_plan_that_breaks_the_contract_is_found(kind: type, test: Callable[..., None]) -> None:
    with pytest.raises(FAILS):
        test(SegmenterTests(), kind())


def test_a_plan_that_needs_weights_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Exception, match="There are none"):
        SegmenterTests().test_the_plan_needs_no_weights(NeedsWeights(), monkeypatch)


def test_a_class_that_no_worker_can_import_is_found() -> None:
    class Local(FakeClassModel):
        pass

    with pytest.raises((AttributeError, TypeError, ValueError), match="Local"):
        SegmenterTests().test_the_class_can_be_found_by_a_worker(Local())


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (MapsByKind, SegmenterTests.test_predictions_depend_on_nothing_but_what_names_their_maps),
        (Remembers, SegmenterTests.test_the_same_tiles_give_the_same_channels),
        (Remembers, SegmenterTests.test_threads_predict_the_same),
        (BatchMean, SegmenterTests.test_a_tile_does_not_depend_on_the_others_of_its_batch),
        (SaysNothingUseful, SegmenterTests.test_what_it_says_of_a_slide_is_json_facts_of_its_prompts),
    ],
)
def test_predictions_that_break_the_contract_are_found(
    kind: type, test: Callable[..., None], images: np.ndarray
) -> None:
    with pytest.raises(FAILS):
        of_images(test)(kind(), images)


def test_a_state_that_cannot_be_kept_is_found(images: np.ndarray) -> None:
    scale_pass = FakeClassModel.plan([Prompt.parse("nuclei")], ModelSettings())[0]
    with pytest.raises(TypeError, match="JSON"):
        SegmenterTests().test_the_state_is_json_and_repeats(NotJson(), scale_pass, images)


class WritesInPlace(CsvExporter):
    def __enter__(self) -> Any:
        self.path.write_text("not yet")
        return super().__enter__()


class ByBatch(CsvExporter):
    def write(self, batch: Any) -> None:
        super().write(batch)
        self._file.write(b"\r\n")


class TellsThePath(CsvExporter):
    def _finish(self) -> None:
        self._file.write(str(self.path).encode())
        super()._finish()


class LeavesMore(CsvExporter):
    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.path.with_name("more.txt").touch()


@pytest.mark.parametrize(
    ("kind", "test", "more"),
    [
        (WritesInPlace, ExporterTests.test_nothing_has_its_name_before_all_is_written, ()),
        (WritesInPlace, ExporterTests.test_an_error_leaves_nothing, (RuntimeError,)),
        (WritesInPlace, ExporterTests.test_an_error_keeps_what_was_there, ()),
        (ByBatch, ExporterTests.test_bytes_do_not_depend_on_batches_and_repeat, ()),
        (TellsThePath, ExporterTests.test_it_says_what_it_is_for_and_nothing_of_patients_and_folders, ()),
        (LeavesMore, ExporterTests.test_what_it_says_was_written_is_all_there_is, ()),
    ],
)
def test_an_exporter_that_breaks_the_contract_is_found(
    kind: type, test: Callable[..., None], more: tuple[Any, ...], tmp_path: Path
) -> None:
    with pytest.raises(FAILS):
        test(ExporterTests(), kind, tmp_path, *more)


class ClaimsEverything(OpenSlideReader):
    @staticmethod
    def detect(path: Path) -> bool:
        return True


class OtherEnding(OpenSlideReader):
    suffixes: ClassVar = (".xyz",)


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (ClaimsEverything, ReaderTests.test_the_reader_claims_its_slides_and_nothing_else),
        (OtherEnding, ReaderTests.test_a_folder_with_the_slide_lists_it),
    ],
)
def test_a_reader_that_breaks_the_contract_is_found(kind: type, test: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    write_svs_like(tmp_path / "in" / "a.svs", SyntheticSlide(512, 512, seed=1))
    (tmp_path / "in" / "a.svs").rename(tmp_path / "in" / "a.scan")
    slide = open_slide(tmp_path / "in" / "a.scan")
    slide.info = replace(slide.info, reader="other")
    READERS.add("other", kind)
    try:
        with pytest.raises((AssertionError, UsageError)):
            test(ReaderTests(), slide, tmp_path / "out")
    finally:
        READERS.remove("other")
        slide.close()


@contextmanager
def without_device(settings: ComputeSettings, at_once: int | None, folder: Path) -> Iterator[Client]:
    """Start workers none of which may run the model."""
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as started,
        Client(started, set_as_default=False) as client,
    ):
        yield client


def test_a_cluster_that_predicts_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsi_parse.compute.cluster._DEVICE_WITHIN_SECONDS", 0.0)
    CLUSTERS.add("without-device", without_device)
    try:
        with pytest.raises(Exception, match=r"declares the resource|assert"):
            ClusterTests().test_a_worker_may_run_the_model(ComputeSettings(cluster="without-device"), tmp_path)
    finally:
        CLUSTERS.remove("without-device")
