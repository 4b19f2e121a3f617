"""Probability: how likely each pixel belongs to a prompt's objects, with the frame of the pixels and what was seen."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_parse.compute.dask_settings import import_dask
from wsi_parse.errors import MissingPackageError, StoreError
from wsi_parse.geometry import Box, Frame
from wsi_parse.objects.probability_map import ProbabilityMap, read_one
from wsi_parse.predict.maps_description import MAPS_NAME, load_description
from wsi_parse.predict.pass_maps import PassMaps
from wsi_parse.prompts import Prompt
from wsi_parse.run.work import maps_of

# Side of a piece of a Dask array, in pixels: 16 MB as float32.
_PIECE_PX = 2048


@dataclass(frozen=True)
class Probability:
    """The probability of one prompt over a box of a frame.

    Parameters
    ----------
    prompt : Prompt
    meaning : {"target", "cell times class"}
        What is probable: that the pixel belongs to the target, or that it belongs to a cell times that the cell is of
        this class.
    array : float32 array (rows, columns), of Dask or numpy
        0 to 1, in steps of 1/255; NaN where nothing was predicted, which is not the same as 0.
    covered : bool array of the same shape and kind
        Where a tile was predicted.
    frame : Frame
        The lattice of the pixels; ``frame.to_level0`` turns points (x, y) into level-0 pixels.
    box_frame : Box
        The part of `frame` that the array covers: its first pixel is pixel (x, y) of the frame.

    Examples
    --------
    >>> from wsi_parse import SlideOptions, open_slide, segment_box
    >>> from wsi_parse.synthetic import SyntheticSlide
    >>> made = SyntheticSlide(900, 700, seed=3, tissue=1.0)
    >>> with open_slide(made.pixels(made.box), SlideOptions(mpp=0.25)) as slide:
    ...     found = segment_box(slide, Box(200, 100, 400, 300), "nuclei", model="stain").probability("nuclei")
    >>> found.array.shape, found.box_frame, found.frame.mpp_x
    ((150, 200), Box(x=100, y=50, width=200, height=150), 0.5)
    >>> row, column = (int(i) for i in np.unravel_index(np.nanargmax(found.array), found.array.shape))
    >>> point = found.frame.to_level0((found.box_frame.x + column + 0.5, found.box_frame.y + row + 0.5))
    >>> bool(200 <= point[0] < 600 and 100 <= point[1] < 400)
    True
    """

    prompt: Prompt
    meaning: str
    array: Any
    covered: Any
    frame: Frame
    box_frame: Box

    def to_xarray(self) -> Any:  # noqa: ANN401 - xarray.DataArray
        """Return an xarray.DataArray whose coordinates x and y are the middles of the pixels, in level-0 pixels.

        Raises
        ------
        MissingPackageError
            xarray is not installed.
        """
        try:
            from xarray import DataArray
        except ImportError as error:
            raise MissingPackageError(
                "This needs the package xarray, which is not installed.", 'Install it: pip install "wsi-parse[xarray]"'
            ) from error
        x = (np.arange(self.box_frame.width) + self.box_frame.x + 0.5) * self.frame.scale_x
        y = (np.arange(self.box_frame.height) + self.box_frame.y + 0.5) * self.frame.scale_y
        unit = {"units": "level-0 pixels"}
        return DataArray(
            self.array,
            dims=("y", "x"),
            coords={"y": ("y", y, unit), "x": ("x", x, unit), "covered": (("y", "x"), self.covered)},
            name="probability",
            attrs={"prompt": self.prompt.name, "mpp_x_um": self.frame.mpp_x, "mpp_y_um": self.frame.mpp_y},
        )


def read_probability(maps: ProbabilityMap, prompt: str, box_frame: Box) -> Probability:
    """Read the probability of a prompt (its name) over a box of the map's frame into memory."""
    number = [one.name for one in maps.prompts].index(prompt)
    values, covered = maps.read(box_frame)
    array = _as_floats(values[number], covered)
    return Probability(maps.prompts[number], maps.meanings[number], array, covered, maps.frame, box_frame)


def open_probability(folder: Path, prompt: str) -> Probability | None:
    """Open the probability of a prompt in a folder of stored maps as a Dask array; nothing is read yet.

    Parameters
    ----------
    folder : Path
        Of one scale pass.
    prompt : str
        Its name.

    Returns
    -------
    Probability or None
        None if the maps of this pass are those of other prompts.

    Raises
    ------
    StoreError
        The description of the maps is missing or damaged.
    """
    stored = StoredMaps(folder)
    maps = stored.map
    names = [one.name for one in maps.prompts]
    if prompt not in names:
        return None
    number = names.index(prompt)
    shape = maps.frame.box.shape
    array, covered = (
        _dask_array(_Lazy(stored, number, shape, dtype), name)
        for name, dtype in (("probability", np.dtype(np.float32)), ("covered", np.dtype(np.bool_)))
    )
    return Probability(maps.prompts[number], maps.meanings[number], array, covered, maps.frame, maps.frame.box)


def _as_floats(values: NDArray[np.uint8], covered: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(covered, values / np.float32(255), np.float32(np.nan)).astype(np.float32)


def folders_of_maps(folder: Path, predict_digest: str) -> list[Path]:
    """Return the folders of the scale passes whose maps a run kept."""
    kept = maps_of(folder, predict_digest)
    return [described.parent for maps in kept for described in sorted(maps.glob(f"*/{MAPS_NAME}"))]


class StoredMaps:
    """Stored maps that are opened when they are first read, also in another process; damage is noticed.

    Parameters
    ----------
    folder : Path
        Of one scale pass.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._opened: tuple[PassMaps, ProbabilityMap] | None = None
        self._whole: dict[tuple[int, int], object] = {}

    @property
    def map(self) -> ProbabilityMap:
        """The map itself, whose blocks are not looked at before they are read.

        Raises
        ------
        StoreError
            Its description is missing or damaged.
        """
        return self._open()[1]

    def __reduce__(self) -> tuple[Callable[[Path], "StoredMaps"], tuple[Path]]:
        return StoredMaps, (self.folder,)

    def read(self, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Read a box; see :class:`ProbabilityMap`.

        Raises
        ------
        StoreError
            A block under the box is missing, incomplete or was changed.
        """
        self._check(box)
        return self.map.read(box)

    def read_one(self, number: int, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Read a box of the map of one prompt; see :class:`ProbabilityMap`, and :meth:`read`."""
        self._check(box)
        return read_one(self._open()[0], number, box)

    def _check(self, box: Box) -> None:
        """Hold each block under a box to its checksums, and again where its files are not those of the last time."""
        maps, _ = self._open()
        for block in maps.selection.blocks_under(box.multiplied(maps.stride)):
            stamp = maps.store.stamp(block)
            if self._whole.get(block) == stamp:
                continue
            if not maps.store.is_whole(block):
                raise StoreError(
                    f"The kept predictions are damaged or were removed at block (row {block[0]}, column {block[1]}).",
                    "Run the same command again with --keep predictions: the block is predicted again.",
                )
            self._whole[block] = stamp

    def _open(self) -> tuple[PassMaps, ProbabilityMap]:
        if self._opened is None:
            maps = load_description(self.folder)
            self._opened = maps, ProbabilityMap.of_maps(maps)
        return self._opened


@dataclass(frozen=True, eq=False)
class _Lazy:
    """One array of stored maps as Dask reads it: shape, type, and slices."""

    stored: StoredMaps
    number: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    ndim = 2

    def __getitem__(self, index: tuple[int | slice, int | slice]) -> NDArray[Any]:
        # Dask joins slices of slices, also to whole numbers and steps: the box around them is read.
        (rows, row_step), (columns, column_step) = (
            _span(part, length) for part, length in zip(index, self.shape, strict=True)
        )
        box = Box.from_corners(columns.start, rows.start, columns.stop, rows.stop)
        if box.area:
            values, covered = self.stored.read(box)
            found = covered if self.dtype == np.bool_ else _as_floats(values[self.number], covered)
        else:
            found = np.empty(box.shape, self.dtype)
        return np.asarray(found[row_step, column_step])


def _span(part: int | slice, length: int) -> tuple[range, int | slice]:
    """Return the pixels around a part of an axis, and what of them the part takes."""
    line = range(length)[part]
    if isinstance(line, int):
        return range(line, line + 1), 0
    return range(min(line), max(line) + 1) if line else range(0), slice(None, None, line.step)


def _dask_array(lazy: _Lazy, name: str) -> Any:  # noqa: ANN401 - dask.array.Array
    import_dask()
    from dask.array import from_array
    from dask.base import tokenize

    key = f"{name}-{tokenize(str(lazy.stored.folder), lazy.number, lazy.shape)}"
    return from_array(lazy, chunks=_PIECE_PX, name=key, fancy=False, meta=np.empty((0, 0), lazy.dtype))
