"""The plug-ins of this package keep their contracts: they pass the suites of wsi_parse.testing."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from wsi_parse_example.exporter import ExampleExporter
from wsi_parse_example.model import ExampleModel

from wsi_parse.geometry import Box
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.prompts import Prompt
from wsi_parse.settings import ComputeSettings, ModelSettings
from wsi_parse.slides import Slide, SlideOptions, open_slide
from wsi_parse.synthetic import SyntheticSlide
from wsi_parse.testing import ClusterTests, ExporterTests, ReaderTests, SegmenterTests

PIXELS = SyntheticSlide(700, 600, seed=1).pixels(Box(0, 0, 700, 600))


class TestReaderOfFiles(ReaderTests):
    @pytest.fixture
    def slide(self, tmp_path_factory: pytest.TempPathFactory) -> Slide:
        path = tmp_path_factory.mktemp("slides") / "a.exs"
        with path.open("wb") as file:
            np.save(file, PIXELS)
        return open_slide(path, SlideOptions(mpp=0.5))


class TestReaderOfFolders(ReaderTests):
    @pytest.fixture
    def slide(self, tmp_path_factory: pytest.TempPathFactory) -> Slide:
        folder = tmp_path_factory.mktemp("slides") / "a"
        folder.mkdir()
        with (folder / "pixels.exs").open("wb") as file:
            np.save(file, PIXELS)
        (folder / "slide.json").write_text(json.dumps({"mpp": 0.5}))
        return open_slide(folder)


class TestModel(SegmenterTests):
    @pytest.fixture
    def model(self, tmp_path: Path) -> ExampleModel:
        (tmp_path / "weights").write_bytes(b"30")
        settings = ModelSettings(weights=tmp_path / "weights")
        return ExampleModel(settings, ExampleModel.find_weights(settings))

    @pytest.fixture
    def scale_pass(self) -> ScalePass:
        return ExampleModel.plan([Prompt.parse("nuclei")], ModelSettings())[0]

    @pytest.fixture
    def state(self) -> dict[str, int]:
        return {"threshold": 30}

    @pytest.fixture
    def images(self) -> np.ndarray:
        return np.stack([PIXELS[:128, x : x + 128] for x in (0, 100, 300)])


class TestExporter(ExporterTests):
    @pytest.fixture
    def kind(self) -> type[ExampleExporter]:
        return ExampleExporter

    def count(self, written: Sequence[Path]) -> int:
        return len(written[0].read_text().splitlines()) - 2


class TestCluster(ClusterTests):
    @pytest.fixture
    def settings(self) -> ComputeSettings:
        return ComputeSettings(cluster="example-cluster")
