"""OME-Zarr 0.5 of the probability maps: a pyramid of uint8, one channel per prompt, written shard by shard."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import zarr
from numpy.typing import NDArray

from wsi_parse.exporters.base import ExportContext, StreamingExporter
from wsi_parse.geometry import Box
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.probability_map import ProbabilityMap

#: Name of the label image that shows what was predicted (1) and what was not (0).
COVERAGE = "looked_at"
_VERSION = "0.5"
# A shard is one file: small enough to be built in memory, large enough that a slide has thousands, not a million.
_CHUNK_PX, _SHARD_PX = 512, 2048
# The pyramid ends when a level is small enough to be shown as one picture.
_MIN_PX = 1024


class OmeZarrExporter(StreamingExporter):
    """A folder for readers of OME-Zarr 0.5: napari with the plug-in napari-ome-zarr, and other viewers of Zarr 3.

    Notes
    -----
    Axes c, y, x; 0..255 for probabilities 0..1. The origin of the coordinates in microns is the middle of the slide's
    first level-0 pixel, minus the offset of the outputs' frame. A coarser pixel is the mean of those of the four
    pixels below it that were predicted. Pixels that were not predicted are 0, also in the label image ``looked_at``.
    A run of several passes (scales) becomes a collection of images in the layout of bioformats2raw, named in
    ``OME/zarr.json``.
    """

    file_name: ClassVar[str] = "probability.ome.zarr"
    needs_maps: ClassVar[bool] = True

    def _open(self, temporary: Path, stack: ExitStack) -> None:
        del stack
        self._temporary = temporary

    def write(self, batch: ObjectBatch) -> None:
        """Ignore objects: this format holds the maps."""

    def _finish(self) -> None:
        maps, attributes = self.context.maps, {"wsi_parse": self.provenance}
        if len(maps) == 1:
            write_pyramid(self._temporary, maps[0], self.context, attributes)
            return
        _group(self._temporary, {"ome": {"version": _VERSION, "bioformats2raw.layout": 3}, **attributes})
        names = [str(number) for number in range(len(maps))]
        _group(self._temporary / "OME", {"ome": {"version": _VERSION, "series": names}})
        for name, one in zip(names, maps, strict=True):
            write_pyramid(self._temporary / name, one, self.context, attributes)


def write_pyramid(path: Path, one: ProbabilityMap, context: ExportContext, attributes: dict[str, Any]) -> None:
    """Write a map as an image, in memory that does not grow with the slide.

    Parameters
    ----------
    path : Path
        Is created.
    one : ProbabilityMap
    context : ExportContext
    attributes : dict
        Added to the attributes of OME-Zarr.
    """
    shapes = level_shapes(one)
    _group(path, {"ome": _image(one, context, len(shapes)), **attributes})
    _group(path / "labels", {"ome": {"version": _VERSION, "labels": [COVERAGE]}})
    _group(path / "labels" / COVERAGE, {"ome": _labels(one, context, len(shapes))})
    values = [_array(path / str(level), (len(one.prompts), *shape), "cyx") for level, shape in enumerate(shapes)]
    coverage = [_array(path / "labels" / COVERAGE / str(level), shape, "yx") for level, shape in enumerate(shapes)]
    # One shard at a time, so that each file is written once; shards without predictions make no file.
    shards = {shard for shard in np.ndindex(*_shard_grid(shapes[0])) if one.is_seen(_box(shard, shapes[0]))}
    for shard in sorted(shards):
        box = _box(shard, shapes[0])
        values[0][:, *box.slices], covered = one.read(box)
        coverage[0][box.slices] = covered.astype(np.uint8)
    for level in range(1, len(shapes)):
        finer = Box(0, 0, shapes[level - 1][1], shapes[level - 1][0])
        shards = {(row // 2, column // 2) for row, column in shards}
        for shard in sorted(shards):
            box = _box(shard, shapes[level])
            below = box.multiplied(2).intersection(finer).slices
            covered = np.asarray(coverage[level - 1][below]) > 0
            values[level][:, *box.slices], covered = halved(np.asarray(values[level - 1][:, *below]), covered)
            coverage[level][box.slices] = covered.astype(np.uint8)


def halved(values: NDArray[np.uint8], covered: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Halve a map: means over the predicted pixels, halves rounded up.

    Parameters
    ----------
    values : uint8 array (channels, rows, columns)
        0 if not covered.
    covered : bool array (rows, columns)

    >>> halved(np.array([[[200, 0], [101, 0]]], np.uint8), np.array([[True, False], [True, False]]))[0].tolist()
    [[[151]]]
    """
    odd = [(0, side % 2) for side in covered.shape]
    total = _fours(np.pad(values, [(0, 0), *odd]))
    count = _fours(np.pad(covered, odd)[None])
    mean = (total + count // 2) // np.maximum(count, 1)
    return mean.astype(np.uint8), count[0] > 0


def level_shapes(one: ProbabilityMap) -> list[tuple[int, int]]:
    """Return rows and columns of each level, finest first."""
    shapes = [one.frame.box.shape]
    while max(shapes[-1]) > _MIN_PX:
        shapes.append((-(-shapes[-1][0] // 2), -(-shapes[-1][1] // 2)))
    return shapes


def _fours(values: NDArray[Any]) -> NDArray[np.uint16]:
    rows = values[:, ::2].astype(np.uint16) + values[:, 1::2]
    return rows[:, :, ::2] + rows[:, :, 1::2]


def _shard_grid(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the number of shards along rows and columns."""
    return -(-shape[0] // _SHARD_PX), -(-shape[1] // _SHARD_PX)


def _box(shard: tuple[int, ...], shape: tuple[int, int]) -> Box:
    """Return the box of a shard, in pixels of its level."""
    row, column = shard
    return Box(column * _SHARD_PX, row * _SHARD_PX, _SHARD_PX, _SHARD_PX).intersection(Box(0, 0, shape[1], shape[0]))


def _group(path: Path, attributes: dict[str, Any]) -> None:
    zarr.create_group(str(path), zarr_format=3, attributes=attributes)


def _array(path: Path, shape: Sequence[int], axes: str) -> Any:  # noqa: ANN401 - zarr has no types here
    lone = (1,) * (len(shape) - 2)
    return zarr.create_array(
        str(path),
        shape=tuple(shape),
        chunks=(*lone, _CHUNK_PX, _CHUNK_PX),
        shards=(*lone, _SHARD_PX, _SHARD_PX),
        dtype="uint8",
        compressors=zarr.codecs.ZstdCodec(level=3),
        fill_value=0,
        dimension_names=tuple(axes),
    )


def _image(one: ProbabilityMap, context: ExportContext, levels: int) -> dict[str, Any]:
    channels = [
        {
            "label": prompt.name,
            "color": "".join(f"{value:02X}" for value in prompt.colour),
            "window": {"min": 0, "max": 255, "start": 0, "end": 255},
            "active": True,
        }
        for prompt in one.prompts
    ]
    facts = {"downsampling": "2 x 2 mean over what was looked at", "probability_of": list(one.meanings)}
    return {**_multiscale(one, context, levels, "cyx", facts), "omero": {"channels": channels}}


def _labels(one: ProbabilityMap, context: ExportContext, levels: int) -> dict[str, Any]:
    label = {
        "colors": [{"label-value": 1, "rgba": [90, 170, 90, 64]}],
        "properties": [{"label-value": 1, "meaning": "looked at"}],
        "source": {"image": "../../"},
    }
    facts = {"downsampling": "any of 2 x 2"}
    return {**_multiscale(replace(one, name=COVERAGE), context, levels, "yx", facts), "image-label": label}


def _multiscale(
    one: ProbabilityMap, context: ExportContext, levels: int, axes: str, facts: dict[str, Any]
) -> dict[str, Any]:
    known = {
        "c": {"name": "c", "type": "channel"},
        "y": {"name": "y", "type": "space", "unit": "micrometer"},
        "x": {"name": "x", "type": "space", "unit": "micrometer"},
    }
    datasets = [
        {"path": str(level), "coordinateTransformations": _transformations(one, context, level, axes)}
        for level in range(levels)
    ]
    scales = {"name": one.name, "type": "mean", "axes": [known[axis] for axis in axes], "datasets": datasets}
    return {"version": _VERSION, "multiscales": [{**scales, "metadata": facts}]}


def _transformations(one: ProbabilityMap, context: ExportContext, level: int, axes: str) -> list[dict[str, Any]]:
    """Return the transformations from a level's pixels to microns from the middle of the slide's first pixel."""
    frame = one.frame.coarser(2**level)
    size = {"c": 1.0, "y": frame.mpp_y, "x": frame.mpp_x}
    pixel_x, pixel_y = frame.mpp_x / frame.scale_x, frame.mpp_y / frame.scale_y
    offset_x, offset_y = context.offset_level0
    first = {
        "c": 0.0,
        "y": (frame.mpp_y - pixel_y) / 2 - offset_y * pixel_y,
        "x": (frame.mpp_x - pixel_x) / 2 - offset_x * pixel_x,
    }
    return [
        {"type": "scale", "scale": [size[axis] for axis in axes]},
        {"type": "translation", "translation": [first[axis] for axis in axes]},
    ]
