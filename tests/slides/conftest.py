"""Slides to read: those of the test data, and a painted one in four formats."""

from pathlib import Path

import pytest

from tests.shared import shared_data_root
from wsi_parse.synthetic import SyntheticSlide, write_generic_tiff, write_leica_scn, write_ome_tiff, write_svs_like


@pytest.fixture(scope="session")
def slides() -> Path:
    return shared_data_root() / "slides"


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One painted slide in four formats."""
    folder = tmp_path_factory.mktemp("painted")
    slide = SyntheticSlide(1536, 1120, seed=2)
    write_svs_like(folder / "a.svs", slide)
    write_generic_tiff(folder / "a.tif", slide)
    write_ome_tiff(folder / "a.ome.tif", slide)
    write_leica_scn(folder / "a.scn", slide)
    return folder
