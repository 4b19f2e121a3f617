"""OME-Zarr: valid by the specification's models, the right numbers at the right microns, in bounded memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from ome_zarr_models.v05.bioformats2raw import BioFormats2Raw
from ome_zarr_models.v05.image import Image
from pydantic import ValidationError

from tests.exporters.made import PROMPTS, cells
from tests.exporters.maps import context_of, frame_of, map_of, ramp
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.ome_zarr import OmeZarrExporter, halved
from wsi_parse.files import tree_sha256
from wsi_parse.geometry import Box, Frame
from wsi_parse.objects.probability_map import ProbabilityMap


def exported(path: Path, context: ExportContext) -> zarr.Group:
    with OmeZarrExporter(path, context) as exporter:
        exporter.write(cells(3))
    return zarr.open_group(str(path), mode="r")


@pytest.fixture(scope="module")
def frame() -> Frame:
    # 2300 x 3300: more than one shard on both axes, odd sizes on the way down, no square pixels on level 0.
    return frame_of(0.5)


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory, frame: Frame) -> zarr.Group:
    one, _ = map_of(*ramp(frame), frame)
    return exported(tmp_path_factory.mktemp("zarr") / "probability.ome.zarr", context_of(one))


def test_it_is_valid_by_the_models_of_the_specification(group: zarr.Group) -> None:
    image = Image.from_zarr(group)
    assert [axis.name for axis in image.ome_attributes.multiscales[0].axes] == ["c", "y", "x"]
    assert {axis.unit for axis in image.ome_attributes.multiscales[0].axes[1:]} == {"micrometer"}
    assert image.labels is not None
    assert image.labels.label_paths == ["looked_at"]


@pytest.mark.parametrize("harm", ["axes", "datasets", "version"])
def test_that_check_can_fail(tmp_path: Path, harm: str) -> None:
    small = Frame(40, 30, 0.5, 0.5, 2.0, 1.0)
    exported(tmp_path / "a", context_of(map_of(*ramp(small), small)[0]))
    group = zarr.open_group(str(tmp_path / "a"), mode="r+")
    ome = dict(group.attrs["ome"])
    if harm == "version":
        ome["version"] = "0.4"
    else:
        del ome["multiscales"][0][harm]
    group.attrs["ome"] = ome
    with pytest.raises(ValidationError):
        Image.from_zarr(group)


def test_every_pixel_is_what_the_map_says(group: zarr.Group, frame: Frame) -> None:
    values, seen = ramp(frame)
    assert group["0"].dtype == np.uint8
    assert np.array_equal(group["0"][:], values)
    assert np.array_equal(group["labels/looked_at/0"][:], seen)
    # Never a zero taken for one that nobody looked at.
    assert (values[:, seen] == 0).any()


def test_coarser_levels_are_means_of_what_was_looked_at(group: zarr.Group, frame: Frame) -> None:
    values, seen = ramp(frame)
    levels = [item["path"] for item in group.attrs["ome"]["multiscales"][0]["datasets"]]
    assert levels == ["0", "1", "2"]
    for level in levels[1:]:
        values, seen = slow_halved(values, seen)
        assert np.array_equal(group[level][:], values)
        assert np.array_equal(group[f"labels/looked_at/{level}"][:], seen)
    assert max(seen.shape) <= 1024


def slow_halved(values: NDArray[np.uint8], seen: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The definition, by floats that know of holes."""
    odd = [(0, side % 2) for side in seen.shape]
    known = np.where(seen, values, np.nan)
    known = np.pad(known, [(0, 0), *odd], constant_values=np.nan)
    quads = np.stack([known[:, row::2, column::2] for row in (0, 1) for column in (0, 1)])
    count = np.isfinite(quads).sum(axis=0)
    mean = np.nansum(quads, axis=0) / np.maximum(count, 1)
    return np.floor(mean + 0.5).astype(np.uint8), count[0] > 0


shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(st.data(), shapes)
def test_halving_is_its_definition(data: st.DataObject, shape: tuple[int, int]) -> None:
    seen = data.draw(arrays.arrays(bool, shape))
    values = data.draw(arrays.arrays(np.uint8, (2, *shape))) * seen
    mean, any_seen = halved(values, seen)
    expected, expected_seen = slow_halved(values, seen)
    assert np.array_equal(any_seen, expected_seen)
    assert np.array_equal(mean, expected)


@given(st.integers(0, 255), shapes)
def test_a_constant_stays_that_constant(value: int, shape: tuple[int, int]) -> None:
    mean, seen = halved(np.full((1, *shape), value, np.uint8), np.ones(shape, bool))
    assert (mean == value).all()
    assert seen.all()


def test_it_lies_where_the_slide_lies(tmp_path: Path, frame: Frame) -> None:
    one, _ = map_of(*ramp(frame), frame)
    offset = (300, 40)
    group = exported(tmp_path / "a", context_of(one, offset=offset))
    for multiscale in (group.attrs["ome"]["multiscales"][0], group["labels/looked_at"].attrs["ome"]["multiscales"][0]):
        for level, dataset in enumerate(multiscale["datasets"]):
            scale, translation = (item[item["type"]] for item in dataset["coordinateTransformations"])
            # Level-0 pixels are 0.25 um wide and 0.5 um high; pixels here 0.5 um, twice that a level.
            assert scale[-2:] == [0.5 * 2**level, 0.5 * 2**level]
            # The right and lower edges of pixel (9, 9), in level-0 pixels of the slide less the offset.
            edge_y, edge_x = (np.array(translation[-2:]) + np.array(scale[-2:]) * 9.5) / (0.5, 0.25) + 0.5
            assert edge_x == pytest.approx(10 * 2 * 2**level - offset[0])
            assert edge_y == pytest.approx(10 * 1 * 2**level - offset[1])


def test_channels_are_the_prompts(group: zarr.Group) -> None:
    channels = group.attrs["ome"]["omero"]["channels"]
    assert [channel["label"] for channel in channels] == [prompt.name for prompt in PROMPTS]
    colours = [tuple(bytes.fromhex(channel["color"])) for channel in channels]
    assert colours == [prompt.colour for prompt in PROMPTS]
    assert all(channel["window"] == {"min": 0, "max": 255, "start": 0, "end": 255} for channel in channels)
    assert group.attrs["wsi_parse"]["notice"] == "research use only, not for clinical decisions"


def test_the_same_map_gives_the_same_bytes(tmp_path: Path, frame: Frame) -> None:
    for name in ("a", "b"):
        exported(tmp_path / name, context_of(map_of(*ramp(frame), frame)[0]))
    assert tree_sha256(tmp_path / "a") == tree_sha256(tmp_path / "b")


def test_several_passes_are_a_collection(tmp_path: Path) -> None:
    frames = [frame_of(0.5), frame_of(4.0)]
    maps = [map_of(*ramp(frame), frame, name)[0] for frame, name in zip(frames, ("cells", "glands"), strict=True)]
    group = exported(tmp_path / "a", context_of(*maps))
    BioFormats2Raw.from_zarr(group)
    assert group["OME"].attrs["ome"]["series"] == ["0", "1"]
    for number, frame in enumerate(frames):
        image = Image.from_zarr(group[str(number)])
        assert image.ome_attributes.multiscales[0].name == ("cells", "glands")[number]
        assert np.array_equal(group[f"{number}/0"][:], ramp(frame)[0])


def test_nothing_looked_at_is_a_result(tmp_path: Path) -> None:
    frame = frame_of(2.0)
    blank = np.zeros((3, *frame.box.shape), np.uint8)
    one, asked = map_of(blank, np.zeros(frame.box.shape, bool), frame)
    group = exported(tmp_path / "a", context_of(one))
    Image.from_zarr(group)
    assert not asked
    assert not group["labels/looked_at/0"][:].any()


def test_memory_does_not_grow_with_the_slide(tmp_path: Path) -> None:
    """100,000 px a side, of which a diagonal is looked at: 10 GB a channel, were it held."""
    frame = Frame(100_000, 100_000, 0.25, 0.25, 1.0, 1.0)
    largest: list[int] = []

    def read(box: Box) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        largest.append(box.area)
        return np.full((1, *box.shape), 200, np.uint8), np.ones(box.shape, bool)

    one = ProbabilityMap("cells", frame, PROMPTS[:1], ("target",), read, lambda box: box.x == box.y)
    tracemalloc.start()
    group = exported(tmp_path / "a", context_of(one))
    peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert max(largest) <= 2048**2
    assert len(largest) == 49
    assert peak_mb < 150
    coarsest = group.attrs["ome"]["multiscales"][0]["datasets"][-1]["path"]
    assert group[coarsest].shape == (1, 782, 782)
    assert set(np.unique(group[coarsest][:])) == {0, 200}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    frame = frame_of(2.0)
    target = tmp_path / "probability.ome.zarr"
    exported(target, context_of(map_of(*ramp(frame), frame)[0]))
    before = tree_sha256(target)

    def failing(box: Box) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        raise error

    broken = ProbabilityMap("cells", frame, PROMPTS, ("target",) * 3, failing, lambda box: True)
    with pytest.raises(error):
        exported(target, context_of(broken))
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert tree_sha256(target) == before
    exported(target, context_of(map_of(*[part[..., ::-1] for part in ramp(frame)], frame)[0]))
    assert tree_sha256(target) != before
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
