"""Run: what a finished run gives to Python, and what it says where something is not there."""

import pickle
import sys
from pathlib import Path

import dask
import geopandas
import numpy as np
import pytest
import shapely
from PIL import Image

import wsi_parse
from tests.run.test_pipeline import settings_of
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.errors import (
    ManifestError,
    MissingPackageError,
    ModelError,
    StageError,
    StoreError,
    UnknownNameError,
    UsageError,
)
from wsi_parse.geometry import Box
from wsi_parse.models.stain import StainModel
from wsi_parse.run.result import Run
from wsi_parse.run.segment import segment_slide
from wsi_parse.settings import RunSettings

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slides") / "small.svs", tissue_with_nuclei(900, 700)[0])


@pytest.fixture(scope="module")
def run(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = settings_of("export.keep=predictions", "objects.cell_expansion_um=3", "objects.stains=true")
    return segment_slide(slide, tmp_path_factory.mktemp("runs") / "kept", settings)


@pytest.fixture(scope="module")
def bare(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that wrote only GeoJSON."""
    settings = settings_of("export.formats=geojson", "export.overlay_px=0", "export.report=false")
    return segment_slide(slide, tmp_path_factory.mktemp("runs") / "bare", settings)


def test_a_folder_that_is_a_file_is_refused(slide: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(UsageError, match=r"file is a file, not a folder\. Choose another folder"):
            segment_slide(slide, folder, prompts="nuclei", model="stain")


def test_paths_and_words_may_be_texts(slide: Path, tmp_path: Path) -> None:
    settings = settings_of()
    run = segment_slide(str(slide), str(tmp_path / "out"), settings, prompts="cells", model="stain")
    assert run.folder == tmp_path / "out"
    assert run.manifest.state == "done"
    assert run == Run.open(str(tmp_path / "out"))
    assert [one["text"] for one in run.manifest.prompts] == ["cells"]
    assert segment_slide(slide, tmp_path / "out", settings, prompts=["cells"]) == run, "it is not done again"


def test_settings_that_are_left_out_have_their_defaults(slide: Path, tmp_path: Path) -> None:
    run = segment_slide(slide, tmp_path, prompts="nuclei", model="stain")
    assert run.manifest.settings["objects"]["threshold"] == 0.5
    with pytest.raises(UsageError, match="no prompt"):
        segment_slide(slide, tmp_path / "other")


def test_words_in_the_place_of_settings_are_told_where_they_belong(slide: Path, tmp_path: Path) -> None:
    for given in ("nuclei", {"prompts": "nuclei"}):
        with pytest.raises(UsageError, match=r'RunSettings, not .*prompts="nuclei"'):
            segment_slide(slide, tmp_path, given)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"distributed\.Client, not 'tcp://a:1'.*cluster"):
        segment_slide(slide, tmp_path, settings_of(), client="tcp://a:1")  # type: ignore[arg-type]


def test_a_run_without_objects_has_an_empty_table(slide: Path, tmp_path: Path) -> None:
    run = segment_slide(
        slide, tmp_path, settings_of("objects.min_cell_area_um2=9000", "export.overlay_px=0", "export.report=false")
    )
    assert run.counts == {"nuclei": 0}
    objects = run.objects()
    assert len(objects) == 0
    assert isinstance(objects, geopandas.GeoDataFrame)
    assert {"prompt", "class_name", "kind"} <= set(objects.columns)


def test_a_model_by_name_keeps_the_other_settings_of_models(slide: Path, tmp_path: Path) -> None:
    settings = RunSettings(
        prompts="nuclei", model={"name": "mini", "field_um": 128.0}, export={"overlay_px": 0, "report": False}
    )
    run = segment_slide(slide, tmp_path, settings, model="stain")
    assert (run.manifest.model["name"], run.manifest.settings["model"]["field_um"]) == ("stain", 128.0)


def test_objects_are_those_of_the_annotations(run: Run) -> None:
    objects = run.objects()
    assert isinstance(objects, geopandas.GeoDataFrame)
    assert len(objects) == run.counts["nuclei"] > 50
    written = geopandas.read_file(run.folder / "annotations.geojson", columns=[], engine="pyogrio")
    assert shapely.equals(objects.geometry.to_numpy(), written.geometry.to_numpy()).all()
    assert objects.index.is_unique
    assert set(objects["class_name"]) == {"Nucleus"}
    assert objects.geometry.contains(geopandas.GeoSeries(objects["nucleus_geometry"])).mean() > 0.9
    areas = objects.geometry.area * 0.25
    assert np.allclose(areas, objects["cell_area_um2"], rtol=1e-5)


def test_objects_are_in_level_0_pixels_whatever_the_frame_of_the_outputs(tmp_path: Path) -> None:
    from wsi_parse.synthetic import SyntheticSlide, write_leica_scn

    write_leica_scn(tmp_path / "a.scn", SyntheticSlide(704, 608, mpp=0.5, seed=1, tissue=1.0))
    settings = settings_of("export.overlay_px=0", "export.report=false")
    runs = [
        segment_slide(tmp_path / "a.scn", tmp_path / frame, settings.model_copy(update={"export": export}))
        for frame in ("qupath", "level0")
        for export in [settings.export.model_copy(update={"frame": frame})]
    ]
    offset = runs[0].manifest.offset_level0
    assert min(offset) > 0
    first, second = (run.objects() for run in runs)
    assert shapely.equals(first.geometry.to_numpy(), second.geometry.to_numpy()).all()
    centres = shapely.get_coordinates(shapely.centroid(first.geometry.to_numpy()))
    assert np.allclose(centres, first[["centroid_x_level0", "centroid_y_level0"]])


def test_the_probability_is_an_array_that_is_read_piece_by_piece(run: Run) -> None:
    found = run.probability("cell nuclei")
    assert (found.prompt.name, found.meaning) == ("nuclei", "target")
    assert found.array.shape == found.covered.shape == found.frame.box.shape == found.box_frame.shape
    assert found.array.dtype == np.float32
    values, covered = dask.compute(found.array, found.covered, scheduler="threads")
    assert np.array_equal(np.isnan(values), ~covered)
    assert covered.any()
    assert not covered.all()
    parts = (
        np.s_[30:200, 41:300],
        np.s_[::7, 300:40:-11],
        np.s_[100, 200],
        np.s_[5, 3:90],
        np.s_[9:9, :],
        np.s_[[4, 9], :],
    )
    for part in parts:
        assert np.array_equal(found.array[part].compute(scheduler="threads"), values[part], equal_nan=True)
    assert np.array_equal(found.array[10:][:200:2].compute(), values[10:][:200:2], equal_nan=True)
    # Outlines lie where it crosses the threshold: nuclei are likely inside, and unlikely outside.
    nuclei = run.objects()["nucleus_geometry"].to_numpy()
    middles = found.frame.from_level0(shapely.get_coordinates(shapely.point_on_surface(nuclei))).astype(int)
    assert np.nanmin(values[middles[:, 1], middles[:, 0]]) >= 0.5
    assert set(np.unique(np.rint(values[covered] * 255) / np.float32(255) - values[covered])) == {0.0}


def test_the_probability_can_be_read_in_another_process(run: Run) -> None:
    found = run.probability("nuclei")
    again = pickle.loads(pickle.dumps(found))
    assert np.array_equal(again.array[:99, :99].compute(), found.array[:99, :99].compute(), equal_nan=True)
    assert again.array.name == run.probability("nuclei").array.name


def test_the_probability_as_xarray(run: Run) -> None:
    pytest.importorskip("xarray", reason="xarray is not installed")
    found = run.probability("nuclei")
    labelled = found.to_xarray()
    assert labelled.dims == ("y", "x")
    assert labelled.attrs["prompt"] == "nuclei"
    one = labelled[100, 200]
    assert (float(one.x), float(one.y)) == tuple(found.frame.to_level0((200.5, 100.5)))
    assert float(one) == pytest.approx(float(found.array[100, 200].compute()), nan_ok=True)
    assert bool(one.covered) == bool(found.covered[100, 200].compute())


def test_without_xarray_or_geopandas_it_is_said_how_to_install_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    monkeypatch.setitem(sys.modules, "geopandas", None)
    with pytest.raises(MissingPackageError, match=r'pip install "wsi-parse\[xarray\]"'):
        run.probability("nuclei").to_xarray()
    with pytest.raises(MissingPackageError, match=r'pip install "wsi-parse\[geo\]"'):
        run.objects()


def test_what_was_not_kept_or_written_is_told_with_what_to_do(bare: Run) -> None:
    with pytest.raises(UsageError, match=r"did not keep.*--keep predictions"):
        bare.probability("nuclei")
    with pytest.raises(UsageError, match=r"no objects\.parquet.*--format parquet"):
        bare.objects()
    with pytest.raises(UsageError, match=r"no overlay\.png.*export\.overlay_px"):
        bare.thumbnail()
    with pytest.raises(UnknownNameError, match=r"no prompt called 'glands'.*nuclei"):
        bare.probability("glands")


def test_damage_to_kept_predictions_is_noticed(slide: Path, tmp_path: Path) -> None:
    run = segment_slide(
        slide, tmp_path, settings_of("export.keep=predictions", "export.overlay_px=0", "export.report=false")
    )
    found = run.probability("nuclei")
    whole = found.array.compute()
    shard = max((tmp_path / ".work").glob("maps-*/stain/nucleus/c/*/*"), key=lambda path: path.stat().st_size)
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(StoreError, match=r"damaged or were removed at block.*--keep predictions"):
        run.probability("nuclei").array.compute()
    shard.unlink()
    with pytest.raises(StoreError, match="damaged or were removed at block"):
        run.probability("nuclei").array.compute()
    assert np.nanmax(whole) > 0.9
    for path in (tmp_path / ".work").glob("maps-*/stain/maps.json"):
        path.unlink()
    with pytest.raises(StoreError, match="were removed"):
        run.probability("nuclei")


def test_the_thumbnail_is_the_overlay(run: Run) -> None:
    picture = run.thumbnail()
    with Image.open(run.folder / "overlay.png") as stored:
        assert np.array_equal(np.asarray(picture), np.asarray(stored.convert("RGB")))
    assert picture.mode == "RGB"


class TestOpen:
    def test_a_folder_without_a_run(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for folder, message in (
            (tmp_path, r"holds no run: there is no run\.json"),
            (tmp_path / "missing", "There is no file or folder .*missing"),
            (tmp_path / "file", r"holds no run: there is no run\.json"),
        ):
            with pytest.raises(UsageError, match=message):
                Run.open(folder)

    def test_a_run_that_failed(self, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def failing(*_: object) -> None:
            raise ModelError("The network is lost.")

        with monkeypatch.context() as patch:
            patch.setattr(StainModel, "predict", failing)
            with pytest.raises(StageError):
                segment_slide(slide, tmp_path, settings_of())
        with pytest.raises(UsageError, match=r"is not finished\. It failed: .*The network is lost\."):
            Run.open(tmp_path)

    def test_a_manifest_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "run.json").write_text("[]")
        with pytest.raises(ManifestError):
            Run.open(tmp_path)

    def test_an_output_that_was_changed(self, slide: Path, tmp_path: Path) -> None:
        segment_slide(slide, tmp_path, settings_of("export.overlay_px=0", "export.report=false"))
        with (tmp_path / "annotations.geojson").open("a") as file:
            file.write(" ")
        (tmp_path / "tissue.geojson").unlink()
        with pytest.raises(UsageError, match=r"annotations\.geojson, tissue\.geojson in .* was changed or removed"):
            Run.open(tmp_path)
        assert Run.open(tmp_path, verify=False).counts


def test_how_a_run_is_shown(run: Run) -> None:
    assert repr(run) == f"<Run of small.svs in {run.folder}: {run.counts['nuclei']:,} nuclei>"
    page = run._repr_html_()
    assert f"<td>{run.counts['nuclei']:,}</td>" in page
    assert "esearch use only" in page


def test_text_from_outside_is_escaped_in_html(run: Run) -> None:
    harm = "<script>alert(1)</script>"
    manifest = run.manifest.model_copy(
        update={"slide": {"name": harm}, "model": {"name": harm}, "counts": {harm: 3}, "per_mm2": {}}
    )
    assert "<script" not in Run(run.folder, manifest)._repr_html_()


class TestBox:
    BOX = Box(250, 180, 300, 260)

    def test_it_is_what_a_run_with_that_region_gives(self, slide: Path, tmp_path: Path) -> None:
        import json

        ring = shapely.box(250, 180, 550, 440)
        roi = tmp_path / "roi.geojson"
        feature = {"type": "Feature", "properties": {}, "geometry": json.loads(shapely.to_geojson(ring))}
        roi.write_text(json.dumps(feature))
        settings = settings_of("export.keep=predictions")
        run = segment_slide(slide, tmp_path / "out", RunSettings.load(**_sections(settings), slide={"roi": str(roi)}))
        found = wsi_parse.segment_box(str(slide), self.BOX, settings=settings)
        assert found.counts == run.counts
        assert found.counts["nuclei"] > 5
        assert found.objects().equals(run.objects())
        whole = run.probability("nuclei")
        box = whole.frame.box_in(self.BOX, whole.frame)
        part = found.probability("nuclei")
        assert part.box_frame == box
        assert np.array_equal(part.array, whole.array[box.slices].compute(), equal_nan=True)
        assert np.array_equal(part.covered, whole.covered[box.slices].compute())

    def test_nothing_is_left_on_the_disk(self, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import tempfile

        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        before = sorted(slide.parent.rglob("*"))
        with wsi_parse.open_slide(slide) as opened:
            found = wsi_parse.segment_box(opened, self.BOX, "nuclei", "stain", settings=settings_of())
            assert opened.read(Box(0, 0, 2, 2)).shape == (2, 2, 3), "the slide stays open"
        # Dask leaves a folder of its own, which it shares among its clusters.
        assert {path.name for path in tmp_path.iterdir()} <= {"dask-scratch-space"}
        assert sorted(slide.parent.rglob("*")) == before
        assert len(found.objects()) == found.table().num_rows == found.counts["nuclei"]

    def test_a_box_in_another_frame_is_the_same_place(self, slide: Path) -> None:
        with wsi_parse.open_slide(slide) as opened:
            frame = opened.frame(1.0)
            halved = wsi_parse.segment_box(opened, Box(125, 90, 150, 130), settings=settings_of(), frame=frame)
            plain = wsi_parse.segment_box(opened, self.BOX, settings=settings_of())
        assert halved.box_level0 == plain.box_level0 == self.BOX
        assert halved.objects().equals(plain.objects())
        assert halved.probability("nuclei").box_frame == plain.probability("nuclei").box_frame

    def test_an_array_is_a_slide_too(self) -> None:
        pixels = tissue_with_nuclei(700, 600)[0]
        with wsi_parse.open_slide(pixels, wsi_parse.SlideOptions(mpp=0.5)) as opened:
            found = wsi_parse.segment_box(opened, Box(150, 150, 300, 300), settings=settings_of())
        assert found.counts["nuclei"] > 5

    @pytest.mark.parametrize("box", [Box(5000, 0, 10, 10), Box(10, 10, 0, 5), Box(-50, 0, 50, 10)])
    def test_a_box_without_pixels_of_the_slide_is_refused(self, slide: Path, box: Box) -> None:
        with pytest.raises(UsageError, match=r"lies outside of small\.svs, or is empty"):
            wsi_parse.segment_box(slide, box, "nuclei", "stain")

    def test_what_is_no_box_or_a_second_region_is_refused(self, slide: Path) -> None:
        with pytest.raises(UsageError, match=r"wsi_parse\.Box"):
            wsi_parse.segment_box(slide, (0, 0, 10, 10), "nuclei")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=r"Leave out slide\.roi"):
            wsi_parse.segment_box(slide, self.BOX, "nuclei", settings=RunSettings(slide={"roi": "a.geojson"}))
        found = wsi_parse.segment_box(slide, self.BOX, settings=settings_of())
        with pytest.raises(UnknownNameError, match="no prompt called 'glands'"):
            found.probability("glands")
        assert repr(found).startswith("<BoxResult at (250, 180), 300 x 260 level-0 pixels: ")


def _sections(settings: RunSettings) -> dict[str, object]:
    return settings.model_dump(exclude={"slide"})
