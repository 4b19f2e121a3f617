"""Real slides that are as they should be, at their right pixel size: nothing is questioned."""

from pathlib import Path

import pytest

from tests.shared import shared_data_root
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings

CLEAN = {
    "CMU-1": "slides/aperio/CMU-1-Small-Region.svs",
    "mosaic": "slides/mosaic/tnbc_mosaic_generic_mpp025.tif",
    "OS-1": "slides/ome/OS-1-detail.ome.tif",
    "BCSS A0D2": "regions/bcss/slides/bcss_TCGA-A2-A0D2.tiff",
    "BCSS A1G6": "regions/bcss/slides/bcss_TCGA-A2-A1G6.tiff",
}
#: Those that take some seconds; the others are among the long tests.
QUICK = ("CMU-1", "OS-1")


@pytest.mark.whole
@pytest.mark.parametrize("model", ["stain", "mini"])
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CLEAN]
)
def test_nothing_is_questioned(name: str, model: str, tmp_path: Path) -> None:
    settings = RunSettings(
        prompts="nuclei", model=model, export={"overlay_px": 0, "report": False, "formats": "parquet"}
    )
    manifest = run_slide(shared_data_root() / CLEAN[name], tmp_path, settings)
    assert manifest.cautions == []
    assert manifest.counts["nuclei"] > 0
    assert manifest.tissue_mm2 is not None
    assert manifest.search_mm2 is not None
    assert 0 < manifest.tissue_mm2 <= manifest.search_mm2
