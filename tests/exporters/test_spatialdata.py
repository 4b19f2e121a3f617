"""SpatialData: read back by its own library: shapes, table and maps in one place; skipped where it is not installed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from tests.exporters.made import CLASSES, PROMPTS, PROVENANCE, batch_of, cells
from tests.exporters.maps import SLIDE, context_of, frame_of, map_of, ramp
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.spatialdata import SpatialDataExporter
from wsi_parse.files import tree_sha256
from wsi_parse.objects.batch import ObjectBatch

spatialdata = pytest.importorskip(
    "spatialdata", reason="the extra spatialdata wants an older Dask than constraints.txt pins", exc_type=ImportError
)
# Its libraries warn of one another at import and at use.
pytestmark = pytest.mark.filterwarnings("ignore")
OFFSET = (300, 40)


def written(path: Path, context: ExportContext, *batches: ObjectBatch) -> Any:
    with SpatialDataExporter(path, context) as exporter:
        for batch in batches:
            exporter.write(batch)
    return spatialdata.read_zarr(path)


def whole(path: Path) -> tuple[Any, ObjectBatch]:
    frame = frame_of(0.5)
    batch = cells(150)
    batch = replace(batch, class_index=batch.class_index + (np.arange(150) % 7 == 0).astype(np.int16))
    late = cells(1, seed=5)
    late = replace(late, measurements={"class_probability": np.array([0.5], np.float32)})
    context = context_of(map_of(*ramp(frame), frame)[0], offset=OFFSET)
    return written(path, context, batch.part(0, 50), batch.part(50, 150), late), batch


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ObjectBatch]:
    return whole(tmp_path_factory.mktemp("spatial") / "spatialdata.zarr")


def test_shapes_come_back_in_the_frame_of_the_geojson(read: tuple[Any, ObjectBatch]) -> None:
    data, batch = read
    shapes = data["objects"]
    assert shapes.index[:150].tolist() == batch.ids.tolist()
    moved = shapely.transform(batch.geometry, lambda points: points - OFFSET)
    assert all(one.equals_exact(other, 0) for one, other in zip(shapes.geometry[:150], moved, strict=True))
    assert shapes["class_name"].iloc[0].endswith(": Unsure")


def test_grown_nuclei_are_shapes_beside_their_cells(tmp_path: Path) -> None:
    nuclei = np.array([shapely.box(10, 10, 20, 20), shapely.box(40, 10, 50, 20)], object)
    bodies = shapely.buffer(nuclei, 5, join_style="mitre")
    data = written(tmp_path / "a.zarr", context_of(), replace(batch_of(bodies), nuclei=nuclei))
    assert data["objects"].area.tolist() == [400, 400]
    assert data["nuclei"].area.tolist() == [100, 100]
    assert data["nuclei"].index.tolist() == data["objects"].index.tolist()


def test_holes_and_parts_are_kept(tmp_path: Path) -> None:
    ring = shapely.box(0, 0, 40, 30).difference(shapely.box(5, 5, 10, 10))
    several = shapely.MultiPolygon([shapely.box(60, 60, 70, 61), ring])
    data = written(tmp_path / "a.zarr", context_of(), batch_of(np.array([ring, several], object)))
    assert data["objects"].geometry.tolist() == [ring, several]
    assert data["objects"].area.tolist() == [1175, 1185]


def test_the_table_measures_the_shapes(read: tuple[Any, ObjectBatch]) -> None:
    data, batch = read
    table = data["measurements"]
    joined, rows = spatialdata.join_spatialelement_table(data, "objects", table_name="measurements")
    assert len(joined["objects"]) == rows.n_obs == 151
    assert table.obs["object_id"].tolist()[:150] == batch.ids.tolist()
    assert table.var_names.tolist() == ["area_um2", "probability_mean", "class_probability"]
    for column, name in enumerate(batch.measurements):
        expected = batch.measurements[name].astype(np.float32)
        assert np.array_equal(table.X[:150, column], expected, equal_nan=True)
    assert np.isnan(table.X[:150, 2]).all()
    assert table.X[150].tolist()[2] == 0.5
    assert table.obs["prompt"].tolist()[:150] == [CLASSES.rows[index].prompt.name for index in batch.class_index]


def test_maps_are_the_maps(read: tuple[Any, ObjectBatch]) -> None:
    data, _ = read
    values, seen = ramp(frame_of(0.5))
    image, labels = data["probability_cells"], data["looked_at_cells"]
    assert np.array_equal(np.asarray(image["scale0"].image), values)
    assert np.array_equal(np.asarray(labels["scale0"].image), seen)
    assert image["scale0"].image.c.values.tolist() == [prompt.name for prompt in PROMPTS]
    assert len(image) == len(labels) == 3


@pytest.mark.parametrize(("system", "unit"), [("global", (1.0, 1.0)), ("um", (0.25, 0.5))])
def test_maps_and_shapes_meet_in_each_coordinate_system(
    read: tuple[Any, ObjectBatch], system: str, unit: tuple[float, float]
) -> None:
    from spatialdata.transformations import get_transformation

    def placed(element: Any, points: np.ndarray) -> np.ndarray:
        matrix = get_transformation(element, system).to_affine_matrix(("x", "y"), ("x", "y"))
        return points @ matrix[:2, :2].T + matrix[:2, 2]

    data, _ = read
    # The lower right corner of pixel (99, 49) of the map is at 200, 50 on level 0, and 300, 40 less in the outputs.
    expected = (np.array([200, 50]) - OFFSET) * unit
    assert np.allclose(placed(data["probability_cells"], np.array([[100, 50]])), expected)
    assert np.allclose(placed(data["looked_at_cells"], np.array([[100, 50]])), expected)
    assert np.allclose(placed(data["objects"], np.array([[200, 50]]) - OFFSET), expected)


def test_it_says_what_it_is_for(read: tuple[Any, ObjectBatch]) -> None:
    assert read[0].attrs["wsi_parse"] == {**PROVENANCE, "slide": SLIDE, "digest": "0123456789abcdef"}


def test_the_same_run_gives_the_same_bytes_and_leaves_nothing_else(tmp_path: Path) -> None:
    for name in ("a.zarr", "b.zarr"):
        whole(tmp_path / name)
    assert tree_sha256(tmp_path / "a.zarr") == tree_sha256(tmp_path / "b.zarr")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr", "b.zarr"]


def test_nothing_found_is_a_result(tmp_path: Path) -> None:
    frame = frame_of(4.0)
    context = context_of(map_of(*ramp(frame), frame)[0])
    data = written(tmp_path / "a.zarr", context, cells(3).part(0, 0))
    assert set(data.images) == {"probability_cells"}
    assert not data.shapes
    assert not data.tables


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    frame = frame_of(4.0)
    one, _ = map_of(*ramp(frame), frame)

    def failing(box: object) -> Any:
        raise error

    with pytest.raises(error):
        written(tmp_path / "a.zarr", context_of(replace(one, read=failing)), cells(3))
    assert not list(tmp_path.iterdir())
