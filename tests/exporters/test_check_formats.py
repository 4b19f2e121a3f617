"""All formats in whole runs: asked for before the work, whole, verified at resume, the same however computed."""

import json
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
import tifffile
import zarr
from highdicom.ann import annread
from ome_zarr_models.v05.image import Image
from packaging.requirements import Requirement

from tests.shared import shared_data_root
from tests.small_slides import SMALL_BLOCKS, tissue_with_nuclei, write_slide
from wsi_parse.errors import MissingPackageError, UnknownNameError
from wsi_parse.exporters import check_formats as formats
from wsi_parse.exporters.check_formats import check_formats
from wsi_parse.files import tree_sha256
from wsi_parse.geometry import Box, Frame
from wsi_parse.models.scale_pass import Channel, Recipe, ScalePass
from wsi_parse.objects.probability_map import ProbabilityMap
from wsi_parse.predict.pass_maps import PassMaps
from wsi_parse.prompts import Prompt
from wsi_parse.registry import EXPORTERS
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
HERE = [name for name in EXPORTERS.names() if name != "spatialdata" or find_spec("spatialdata")]
ZARR, DICOM = "probability.ome.zarr", "annotations.dcm"


def settings_of(names: list[str], *overrides: str) -> RunSettings:
    return RunSettings.load(
        None,
        [*SMALL_BLOCKS, *overrides],
        prompts=("nuclei",),
        model={"name": "stain"},
        export={"formats": tuple(names)},
    )


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    pixels, centres = tissue_with_nuclei(2400, 1800)
    return write_slide(tmp_path_factory.mktemp("slides") / "small.svs", pixels), centres


@pytest.fixture(scope="module")
def run(slide: tuple[Path, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "out"
    run_slide(slide[0], folder, settings_of(["geojson", "parquet", "dicom", "ome-zarr"]))
    return folder


class TestMissing:
    @pytest.mark.parametrize(("name", "package"), [("dicom", "highdicom"), ("spatialdata", "spatialdata")])
    def test_is_one_line_with_the_command_before_anything_is_done(
        self,
        slide: tuple[Path, np.ndarray],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        package: str,
    ) -> None:
        monkeypatch.setattr(formats, "find_spec", lambda wanted: None if wanted == package else find_spec(wanted))
        with pytest.raises(MissingPackageError) as caught:
            run_slide(slide[0], tmp_path / "out", settings_of(["geojson", name]))
        expected = (
            f'The format {name} needs {package}, which is not installed. Install it: pip install "wsi-parse[{name}]"'
        )
        assert str(caught.value) == expected
        assert isinstance(caught.value, ImportError)
        assert not (tmp_path / "out").exists()

    def test_an_unknown_format_is_an_error_before_anything_is_done(
        self, slide: tuple[Path, np.ndarray], tmp_path: Path
    ) -> None:
        with pytest.raises(UnknownNameError, match="ome-zarr"):
            run_slide(slide[0], tmp_path / "out", settings_of(["geojsn"]))
        assert not (tmp_path / "out").exists()

    def test_the_command_line_says_it_in_one_line(self, slide: tuple[Path, np.ndarray], tmp_path: Path) -> None:
        code = (
            "import sys; from wsi_parse.exporters import check_formats as formats\n"
            "formats.find_spec = lambda name: None\n"
            f"sys.argv = ['wsi-parse', {str(slide[0])!r}, '-p', 'nuclei', '--format', 'dicom', '-o', 'out']\n"
            "from wsi_parse.cli.main import main; main()"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.splitlines() == [
            "wsi-parse: The format dicom needs highdicom, which is not installed. "
            'Install it: pip install "wsi-parse[dicom]"'
        ]
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("name", EXPORTERS.names())
    def test_the_extra_installs_what_the_format_needs(self, name: str) -> None:
        kind = EXPORTERS.get(name)
        if extra := getattr(kind, "extra", ""):
            assert {Requirement(item).name for item in EXTRAS[extra]} >= set(kind.packages)
        else:
            check_formats([name])


def test_each_format_has_a_name_of_its_own() -> None:
    names = [EXPORTERS.get(name).file_name for name in EXPORTERS.names()]
    assert len(set(names)) == len(names) >= 5


class TestMaps:
    def test_the_map_is_what_was_outlined(self, run: Path, slide: tuple[Path, np.ndarray]) -> None:
        group = zarr.open_group(str(run / ZARR), mode="r")
        Image.from_zarr(group)
        values, seen = group["0"][0], group["labels/looked_at/0"][:]
        # The slide is 0.5 um/px, and so is the map: a pixel of the one is a pixel of the other.
        assert values.shape == (1800, 2400)
        at = np.floor(slide[1]).astype(int)
        assert (values[at[:, 1], at[:, 0]] >= 128).mean() > 0.99
        assert seen.all()
        frame = geopandas.read_parquet(run / "objects.parquet")
        # Outlines lie between pixels; counts of whole pixels of objects so small come near.
        assert (values >= 128).sum() == pytest.approx(frame.area.sum(), rel=0.03)
        scale, translation = group.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
        assert scale["scale"] == [1, 0.5, 0.5]
        assert np.allclose(translation["translation"], 0)

    def test_pixels_without_prediction_differ_from_nothing_found(
        self, slide: tuple[Path, np.ndarray], tmp_path: Path
    ) -> None:
        square = shapely.box(700, 600, 1300, 1100)
        (tmp_path / "roi.geojson").write_text(shapely.to_geojson(square))
        settings = settings_of(["ome-zarr"], f"slide.roi={tmp_path / 'roi.geojson'}")
        run_slide(slide[0], tmp_path / "out", settings)
        group = zarr.open_group(str(tmp_path / "out" / ZARR), mode="r")
        values, seen = group["0"][0], group["labels/looked_at/0"][:]
        # Whole tiles of 256 px are looked at, so at most that much around the region.
        assert seen[600:1100, 700:1300].all()
        outside = np.ones_like(seen)
        outside[600 - 256 : 1100 + 256, 700 - 256 : 1300 + 256] = 0
        assert not seen[outside == 1].any()
        assert not values[seen == 0].any()
        assert (values[seen == 1] > 0).any()

    def test_a_class_of_cells_is_cell_times_class(self) -> None:
        rng = np.random.default_rng(0)
        channels = {name: rng.integers(0, 256, (6, 8)).astype(np.uint8) for name in ("nucleus", "tumour", "other")}
        kinds = {"nucleus": "probability", "tumour": "class", "other": "class"}
        classes = ("tumour", "other")
        recipes = (
            Recipe(Prompt.parse("neoplastic cells"), "nucleus", None, classes, "tumour"),
            Recipe(Prompt.parse("nuclei"), "nucleus"),
            Recipe(Prompt.parse("glands"), "nucleus", class_channel="nucleus", competing=("nucleus",)),
        )
        scale_pass = ScalePass("cells", 64.0, 0.5, tuple(Channel(name, kind) for name, kind in kinds.items()), recipes)  # type: ignore[arg-type]
        seen = rng.random((6, 8)) > 0.5
        selection: Any = SimpleNamespace(reading=lambda box: [(0, 0)] if box == Box(2, 4, 6, 4) else [])

        class Made(PassMaps):
            stride = 2

            @property
            def frame(self) -> Frame:
                return Frame(8, 6, 0.5, 0.5, 1.0, 1.0)

            def channel(self, name: str, box: Box) -> tuple[np.ndarray, np.ndarray]:
                return channels[name][box.slices], seen[box.slices]

        store: Any = None
        one = ProbabilityMap.of_maps(Made(scale_pass, store, selection))
        box = Box(1, 2, 3, 2)
        values, covered = one.read(box)
        product = channels["nucleus"] / 255 * (channels["tumour"] / 255)
        assert np.array_equal(values[0], np.rint(product * 255)[box.slices])
        assert np.array_equal(values[1], channels["nucleus"][box.slices])
        assert np.array_equal(values[2], channels["nucleus"][box.slices])
        assert np.array_equal(covered, seen[box.slices])
        assert one.meanings == ("cell times class", "target", "target")
        assert one.is_seen(box)
        assert not one.is_seen(Box(0, 0, 1, 1))


class TestRuns:
    def test_outputs_are_named_and_hashed(self, run: Path) -> None:
        manifest = RunManifest.load(run)
        assert manifest is not None
        assert set(manifest.outputs) == {"annotations.geojson", "objects.parquet", "tissue.geojson", ZARR, DICOM}
        assert manifest.outputs[ZARR] == tree_sha256(run / ZARR)
        assert {path.name for path in run.iterdir()} == {*manifest.outputs, "run.json", ".lock"}

    @pytest.mark.parametrize("overrides", [("tiles.block=1",), ("compute.workers=2", "tiles.block=5")])
    def test_they_do_not_depend_on_how_they_are_computed(
        self, run: Path, slide: tuple[Path, np.ndarray], tmp_path: Path, overrides: tuple[str, ...]
    ) -> None:
        expected = RunManifest.load(run)
        assert expected is not None
        # The manifest keeps no digest of blocks and workers, so that all else is equal.
        again = run_slide(slide[0], tmp_path, settings_of(["geojson", "parquet", "dicom", "ome-zarr"], *overrides))
        assert again.outputs == expected.outputs

    @pytest.mark.parametrize("harm", ["chunk", "gone", "more"])
    def test_resume_verifies_folders_and_makes_them_good(
        self, slide: tuple[Path, np.ndarray], tmp_path: Path, harm: str
    ) -> None:
        settings = settings_of(["geojson", "ome-zarr"])
        first = run_slide(slide[0], tmp_path, settings)
        ended = first.ended_utc
        assert run_slide(slide[0], tmp_path, settings).ended_utc == ended
        chunks = sorted(path for path in (tmp_path / ZARR / "0" / "c").rglob("*") if path.is_file())
        if harm == "chunk":
            chunks[0].write_bytes(chunks[0].read_bytes()[:-1] + b"\0")
        elif harm == "gone":
            chunks[0].unlink()
        else:
            (tmp_path / ZARR / "0" / "c" / "stray").write_text("no chunk")
        left = tmp_path / f".{ZARR}.elsewhere-1.part"
        (left / "0").mkdir(parents=True)
        (left / "0" / "zarr.json").write_text("{}")
        mended = run_slide(slide[0], tmp_path, settings)
        assert mended.outputs == first.outputs
        assert tree_sha256(tmp_path / ZARR) == first.outputs[ZARR]
        assert not left.exists()

    def test_planted_identifiers_stay_out_of_every_format(self, tmp_path: Path) -> None:
        planted = ("PAT-4711", "Doe^Jane", "2019-04-01", "04/01/19", "AccNo9988", "SS7123", "tech_user")
        description = (
            "Aperio Image Library v11.2.1\n1000x800|AppMag = 20|MPP = 0.5|User = tech_user|Date = 04/01/19|"
            "Time = 2019-04-01|ScanScope ID = SS7123|Barcode = PAT-4711|Patient = Doe^Jane|Accession = AccNo9988"
        )
        path = tmp_path / "x.svs"
        with tifffile.TiffWriter(path) as tiff:
            pixels = tissue_with_nuclei(1000, 800)[0]
            tiff.write(
                pixels, tile=(256, 256), compression="jpeg", photometric="rgb", description=description, metadata=None
            )
        manifest = run_slide(path, tmp_path / "out", settings_of(HERE))
        assert manifest.counts["nuclei"] > 100
        for name in manifest.outputs:
            output = tmp_path / "out" / name
            files = [file for file in output.rglob("*") if file.is_file()] if output.is_dir() else [output]
            data = [file.read_bytes() for file in files]
            for secret in (*planted, str(tmp_path)):
                assert not any(secret.encode() in one for one in data), (name, secret)
            assert any(b"research use only" in one for one in data), name


@pytest.mark.filterwarnings("ignore" if find_spec("spatialdata") else "error")
def test_each_library_opens_the_run_of_a_real_slide(tmp_path: Path) -> None:
    path = shared_data_root() / "slides" / "aperio" / "CMU-1-Small-Region.svs"
    settings = RunSettings.load(
        None,
        ["export.overlay_px=0", "export.report=false"],
        prompts=("nuclei",),
        model={"name": "stain"},
        export={"formats": tuple(HERE)},
    )
    manifest = run_slide(path, tmp_path, settings)
    count = manifest.counts["nuclei"]
    assert count > 2000
    features = json.loads((tmp_path / "annotations.geojson").read_text())["features"]
    area = shapely.area(shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])).sum()
    table = geopandas.read_parquet(tmp_path / "objects.parquet")
    assert (len(table), table.area.sum()) == (count, area)
    file = annread(tmp_path / DICOM)
    lines = {
        group.label: sum(shapely.Polygon(points).area for points in group.get_graphic_data("2D"))
        for group in file.get_annotation_groups()
    }
    assert lines["Nucleus"] - lines.get("Nucleus (holes)", 0) == area
    group = zarr.open_group(str(tmp_path / ZARR), mode="r")
    image = Image.from_zarr(group)
    assert len(image.datasets[0]) == len(list(group["labels/looked_at"].array_keys()))
    # Points inside the objects, brought to the map by what the metadata say.
    scale, translation = image.datasets[0][0].coordinateTransformations
    level0_um = shapely.get_coordinates(table.representative_point()) * 0.499 - 0.499 / 2
    column, row = np.rint((level0_um - translation.translation[:0:-1]) / scale.scale[:0:-1]).astype(int).T
    assert (group["0"][0][row, column] >= 127).mean() > 0.98
    if "spatialdata" in HERE:
        from spatialdata import read_zarr

        data = read_zarr(tmp_path / "spatialdata.zarr")
        assert (len(data["objects"]), data["objects"].area.sum()) == (count, area)
        assert data["measurements"].n_obs == count
        assert np.array_equal(data["probability_stain"]["scale0"].image, group["0"])
