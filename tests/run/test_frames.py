"""Coordinates of results: bounds are subtracted as in QuPath, and regions of interest use the same frame."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import shapely

from tests.shared import shared_data_root
from wsi_parse.errors import UsageError
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings
from wsi_parse.slides import open_slide
from wsi_parse.synthetic import SyntheticSlide, write_leica_scn, write_svs_like

pytestmark = pytest.mark.whole

SIDES = (2048, 1536)


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("painted")
    slide = SyntheticSlide(*SIDES, seed=4, tissue=0.8)
    write_svs_like(folder / "plain.svs", slide)
    write_leica_scn(folder / "bounds.scn", slide)
    return folder


def found(path: Path, out: Path, *overrides: str, roi: Path | None = None) -> np.ndarray:
    settings = RunSettings.load(
        None,
        ["export.overlay_px=0", "export.report=false", *overrides],
        prompts=("nuclei",),
        model={"name": "stain"},
        slide={"roi": roi},
    )
    run_slide(path, out, settings)
    features = json.loads((out / "annotations.geojson").read_text())["features"]
    shapes = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])
    return shapely.get_coordinates(shapely.centroid(shapes))


def nearest(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.array([np.hypot(*(other - point).T).min() for point in one])


def test_a_slide_with_bounds_gives_the_coordinates_of_qupath(painted: Path, tmp_path: Path) -> None:
    plain = found(painted / "plain.svs", tmp_path / "plain")
    cropped = found(painted / "bounds.scn", tmp_path / "cropped")
    assert len(plain) > 100
    assert len(cropped) == pytest.approx(len(plain), rel=0.03)
    assert np.median(nearest(plain, cropped)) < 0.5
    bounds = open_slide(painted / "bounds.scn").info.bounds_level0
    assert bounds is not None
    whole = found(painted / "bounds.scn", tmp_path / "whole", "export.frame=level0")
    assert np.allclose(whole - (bounds.x, bounds.y), cropped)


def test_a_region_of_interest_counts_from_the_bounds_too(painted: Path, tmp_path: Path) -> None:
    square = [[500, 400], [1400, 400], [1400, 1200], [500, 1200], [500, 400]]
    roi = tmp_path / "roi.geojson"
    roi.write_text(json.dumps([{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [square]}}]))
    inside = found(painted / "bounds.scn", tmp_path / "roi", roi=roi)
    everything = found(painted / "bounds.scn", tmp_path / "all")
    assert len(inside) > 20
    assert (inside > (480, 380)).all()
    assert (inside < (1420, 1220)).all()
    expected = ((everything > (500, 400)) & (everything < (1400, 1200))).all(axis=1).sum()
    assert len(inside) == pytest.approx(expected, rel=0.1)


def test_the_frame_of_the_outputs_moves_no_region(painted: Path, tmp_path: Path) -> None:
    square = [[500, 400], [1400, 400], [1400, 1200], [500, 1200], [500, 400]]
    drawn = tmp_path / "roi.geojson"
    drawn.write_text(json.dumps({"type": "Polygon", "coordinates": [square]}))
    inside = found(painted / "bounds.scn", tmp_path / "qupath", roi=drawn)
    whole = found(painted / "bounds.scn", tmp_path / "level0", "export.frame=level0", roi=drawn)
    bounds = open_slide(painted / "bounds.scn").info.bounds_level0
    assert bounds is not None
    assert len(inside) > 20
    assert np.allclose(whole - (bounds.x, bounds.y), inside)


@pytest.mark.parametrize("frame", ["qupath", "level0"])
def test_a_region_that_states_its_frame_is_read_in_it(painted: Path, tmp_path: Path, frame: str) -> None:
    """Files that this package writes say what was subtracted."""
    everything = found(painted / "bounds.scn", tmp_path / "first", f"export.frame={frame}")
    tissue = tmp_path / "first" / "tissue.geojson"
    for other in ("qupath", "level0"):
        again = found(painted / "bounds.scn", tmp_path / other, f"export.frame={other}", roi=tissue)
        assert len(again) == pytest.approx(len(everything), rel=0.1)


def test_the_truth_lies_under_what_is_found(painted: Path, tmp_path: Path) -> None:
    slide = SyntheticSlide(*SIDES, seed=4, tissue=0.8)
    nuclei = np.concatenate([np.stack([cell["x"], cell["y"]], axis=1) for cell in slide.iterate_nuclei()])
    inner = nuclei[((nuclei > 40) & (nuclei < np.array(SIDES) - 40)).all(axis=1)]
    plain = found(painted / "plain.svs", tmp_path / "plain")
    distances = nearest(inner, plain)
    assert (distances * 0.25 < 3).mean() > 0.85
    assert np.median(distances) < 1.5


def test_one_slide_as_svs_and_as_dicom_gives_the_same_objects(tmp_path: Path) -> None:
    slides = shared_data_root() / "slides"
    settings = RunSettings.load(
        None, ["export.overlay_px=0", "export.report=false"], prompts=("nuclei",), model={"name": "stain"}
    )
    features = []
    for name in ("aperio/CMU-1-Small-Region.svs", "dicom/CMU-1-Small-Region/01.dcm"):
        out = tmp_path / Path(name).suffix
        run_slide(slides / name, out, settings)
        features.append(json.loads((out / "annotations.geojson").read_text())["features"])
    assert len(features[0]) > 2000
    assert features[0] == features[1]


@pytest.mark.parametrize("at", [5_000, -900])
def test_a_region_outside_of_the_slide_is_an_error(painted: Path, tmp_path: Path, at: int) -> None:
    roi = tmp_path / "roi.geojson"
    roi.write_text(shapely.to_geojson(shapely.box(at, at, at + 100, at + 100)))
    with pytest.raises(UsageError, match=r"lies outside of the slide, which has \d+ x \d+ px"):
        found(painted / "plain.svs", tmp_path / "out", roi=roi)
    assert not list((tmp_path / "out").glob("annotations*"))


def test_a_region_of_another_slide_is_cautioned(painted: Path, tmp_path: Path) -> None:
    def codes(slide: Path, out: Path, roi: Path | None = None) -> list[str]:
        found(slide, out, roi=roi)
        manifest = RunManifest.load(out)
        assert manifest is not None
        return [caution["code"] for caution in manifest.cautions if caution["code"] == "roi-of-another-slide"]

    assert codes(painted / "plain.svs", tmp_path / "out") == []
    tissue = tmp_path / "out" / "tissue.geojson"
    # A slide that was copied under another name is the same one.
    copy = Path(shutil.copy2(painted / "plain.svs", tmp_path / "copy.svs"))
    assert codes(copy, tmp_path / "copied", tissue) == []
    assert codes(painted / "bounds.scn", tmp_path / "other", tissue) == ["roi-of-another-slide"]
