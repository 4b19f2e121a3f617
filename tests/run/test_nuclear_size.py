"""What the size of nuclei says of a run: medians, and cautions where something does not fit."""

from pathlib import Path

import numpy as np
import pytest
import shapely

from tests.shared import shared_data_root
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Prompt
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.nuclear_size import NuclearAreas, pixel_size_cautions, pixel_size_facts, unsure_cautions
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings, TissueSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.tissue.detection import detect_tissue

CLASSES = ClassTable.of([Prompt.parse("nuclei"), Prompt.parse("tumour cells"), Prompt.parse("glands")])
NUCLEI, UNSURE_TUMOUR, GLANDS = 0, 3, 4


def batch(areas: list[float], row: int = NUCLEI, **columns: list[float]) -> ObjectBatch:
    measured = {"area_um2": areas, **columns}
    return ObjectBatch(
        shapely.points(np.zeros((len(areas), 2))),
        np.full(len(areas), row, np.int16),
        np.array([str(number) for number in range(len(areas))], object),
        {name: np.array(values, np.float32) for name, values in measured.items()},
    )


def medians(*batches: ObjectBatch) -> dict[str, float]:
    areas = NuclearAreas(CLASSES)
    for one in batches:
        areas.write(one)
    return areas.medians()


class TestMedians:
    def test_of_each_prompt_of_cells_within_half_a_percent(self) -> None:
        found = medians(batch([20, 30, 41, 55, 900]), batch([70.0], UNSURE_TUMOUR), batch([5000.0], GLANDS))
        assert found == {"nuclei": pytest.approx(41, rel=0.005), CLASSES.prompts[1].name: pytest.approx(70, rel=0.005)}

    def test_the_nucleus_counts_and_not_the_cell(self) -> None:
        found = medians(batch([200, 210], nucleus_area_um2=[40, 40]))
        assert found == {"nuclei": pytest.approx(40, rel=0.005)}

    def test_neither_order_nor_division_matters(self) -> None:
        values = np.random.default_rng(0).lognormal(3.6, 0.5, 900).tolist()
        whole = medians(batch(values))
        assert whole == medians(*(batch(values[start : start + 7]) for start in range(0, 900, 7)))
        assert whole == medians(batch(values[::-1]))
        assert whole["nuclei"] == pytest.approx(float(np.median(values)), rel=0.01)

    def test_what_is_no_area_is_left_out(self) -> None:
        assert medians(batch([float("nan"), 0.0, -1.0])) == {}
        assert medians(batch([])) == {}
        assert medians(batch([1e-9, 1e12, 1e12])) == {"nuclei": pytest.approx(0.1 * np.exp(14.9975), rel=1e-3)}


class TestRange:
    @pytest.mark.parametrize(("area", "codes"), [(40.0, []), (3.0, ["nuclear-size"]), (600.0, ["nuclear-size"])])
    def test_out_of_what_tissue_can_have(self, area: float, codes: list[str]) -> None:
        areas = NuclearAreas(CLASSES)
        areas.write(batch([area] * 60))
        assert [caution.code for caution in areas.cautions()] == codes

    def test_a_few_objects_say_nothing(self) -> None:
        areas = NuclearAreas(CLASSES)
        areas.write(batch([600.0] * 20))
        assert areas.cautions() == ()


class TestUnsure:
    def test_more_than_half(self) -> None:
        (caution,) = unsure_cautions({"a": 100, "b": 100, "c": 20}, {"a": 51, "b": 50, "c": 20})
        assert caution.code == "mostly-unsure"
        assert "51%" in caution.text
        assert caution.number == 0.51

    def test_nothing_found(self) -> None:
        assert unsure_cautions({"a": 0}, {}) == ()


@pytest.mark.parametrize(
    ("name", "mpp"),
    [
        ("slides/aperio/CMU-1-Small-Region.svs", 0.499),
        ("slides/mosaic/tnbc_mosaic_40x.svs", 0.25),
        ("slides/ome/OS-1-detail.ome.tif", 0.227),
        ("regions/bcss/slides/bcss_TCGA-A2-A0D2.tiff", 0.28),
        ("regions/bcss/slides/bcss_TCGA-A2-A1G6.tiff", 0.26),
        ("nuclei/consep/images/train_07.jpg", 0.25),
    ],
)
@pytest.mark.parametrize("times", [0.5, 1.0, 2.0])
def test_half_and_double_of_the_pixel_size_are_questioned(name: str, mpp: float, times: float) -> None:
    with open_slide(shared_data_root() / name, SlideOptions(mpp=mpp * times, override_mpp=True)) as slide:
        cautions = pixel_size_cautions(slide, pixel_size_facts(slide, detect_tissue(slide, TissueSettings())))
    assert [caution.code for caution in cautions] == ([] if times == 1 else ["pixel-size"])
    for caution in cautions:
        assert mpp / 1.5 < (caution.number or 0) < 1.5 * mpp


def test_one_field_is_too_little() -> None:
    facts = {"mpp_um": 0.25, "low_um": 0.17, "high_um": 0.37, "fields": 1}
    with open_slide(np.full((9, 9, 3), 200, np.uint8), SlideOptions(mpp=1.0)) as slide:
        assert pixel_size_cautions(slide, facts) == ()  # type: ignore[arg-type]
        assert pixel_size_cautions(slide, facts | {"fields": 2})  # type: ignore[arg-type]
        assert pixel_size_cautions(slide, None) == ()


class TestRun:
    """Discs of 5 to 9 µm; the same slide also as if its pixels were a quarter or four times as wide."""

    def run(self, folder: Path, mpp: float) -> RunManifest:
        pixels, _ = tissue_with_nuclei(1300, 1100)
        slide = write_slide(folder / "s.svs", pixels, mpp)
        settings = {"prompts": ("nuclei",), "model": {"name": "stain"}, "compute": {"workers": 0}}
        return run_slide(slide, folder / "out", RunSettings.model_validate(settings))

    def test_what_the_manifest_says(self, tmp_path: Path) -> None:
        manifest = self.run(tmp_path, 0.5)
        assert manifest.cautions == []
        assert 25 < manifest.nuclear_area_um2["nuclei"] < 60
        facts = manifest.pixel_size_from_nuclei
        assert facts is not None
        assert 0.5 / 1.5 < facts["mpp_um"] < 0.5 * 1.5
        assert facts["low_um"] < 0.5 < facts["high_um"]
        assert RunManifest.load(tmp_path / "out") == manifest

    @pytest.mark.parametrize("mpp", [0.125, 2.0])
    def test_a_wrong_pixel_size_is_questioned(self, tmp_path: Path, mpp: float) -> None:
        assert "pixel-size" in [caution["code"] for caution in self.run(tmp_path, mpp).cautions]
