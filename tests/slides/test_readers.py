"""All readers keep the contract of the Reader protocol."""

from pathlib import Path

import numpy as np
import pytest

from wsi_parse.slides import Slide, SlideOptions, open_slide
from wsi_parse.testing.readers import ReaderTests

APERIO = "aperio/CMU-1-Small-Region.svs"
DICOM = "dicom/CMU-1-Small-Region"


class TestAperio(ReaderTests):
    @pytest.fixture
    def slide(self, slides: Path) -> Slide:
        return open_slide(slides / APERIO)


class TestDicom(ReaderTests):
    @pytest.fixture
    def slide(self, slides: Path) -> Slide:
        return open_slide(slides / DICOM / "03.dcm")


class TestOddDownsample(ReaderTests):
    @pytest.fixture
    def slide(self, slides: Path) -> Slide:
        return open_slide(slides / "aperio/tcga-cr-7395-01a-01-ts1.svs", SlideOptions(mpp=0.5))


class TestOmeTiff(ReaderTests):
    @pytest.fixture
    def slide(self, slides: Path) -> Slide:
        return open_slide(slides / "ome/OS-1-detail.ome.tif")


class TestPyramidalOmeTiff(ReaderTests):
    @pytest.fixture
    def slide(self, painted: Path) -> Slide:
        return open_slide(painted / "a.ome.tif")


class TestLeica(ReaderTests):
    @pytest.fixture
    def slide(self, painted: Path) -> Slide:
        return open_slide(painted / "a.scn")


class TestPicture(ReaderTests):
    @pytest.fixture
    def slide(self, slides: Path) -> Slide:
        return open_slide(slides / "odd/openslide-python/boxes.png", SlideOptions(mpp=0.5))


class TestArray(ReaderTests):
    @pytest.fixture
    def slide(self) -> Slide:
        pixels = np.random.default_rng(0).integers(60, 256, (300, 400, 3), dtype=np.uint8)
        return open_slide(pixels, SlideOptions(mpp=0.5))
