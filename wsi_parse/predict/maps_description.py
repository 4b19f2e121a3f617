"""The description beside stored maps (maps.json), by which they are opened again without slide, model or plan."""

import base64
import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from wsi_parse.errors import StoreError
from wsi_parse.files import clear_for_file, read_regular, write_text
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.predict.pass_maps import PassMaps
from wsi_parse.predict.tile_store import TileStore
from wsi_parse.predict.tiles import Selection, TileGrid

MAPS_NAME = "maps.json"
_VERSION = 1
# What a file may claim, far beyond every slide: memory is bounded also where the file is damaged or was made to harm.
_MAX_FILE_BYTES = 32_000_000
_MAX_SIDE_PX, _MAX_TILE_PX, _MAX_BLOCK = 2**31, 16_384, 64
_MAX_TILES, _MAX_NAMES = 2**26, 1_000


class _Description(BaseModel):
    """The form of the file."""

    model_config = ConfigDict(allow_inf_nan=False)

    version: int
    scale_pass: ScalePass
    grid: TileGrid
    #: One bit a tile, row by row, in base64: whether it was predicted.
    chosen: str


def save_description(maps: PassMaps) -> None:
    """Write the description of maps into the folder of their store."""
    bits = base64.b64encode(np.packbits(maps.selection.chosen).tobytes()).decode()
    described = _Description(version=_VERSION, scale_pass=maps.scale_pass, grid=maps.selection.grid, chosen=bits)
    write_text(clear_for_file(maps.store.folder / MAPS_NAME), described.model_dump_json() + "\n")


def load_description(folder: Path) -> PassMaps:
    """Open the maps of a scale pass for reading; nothing is unpickled, and what the file claims is checked.

    Parameters
    ----------
    folder : Path
        The folder of their store.

    Raises
    ------
    StoreError
        The description is missing or damaged, or the stored maps are not as it says.
    """
    path = folder / MAPS_NAME
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ValueError("it is too large")
        described = _Description.model_validate(json.loads(read_regular(path)))
        if described.version != _VERSION:
            raise ValueError(f"it has version {described.version}, and this wsi-parse reads version {_VERSION}")
        _check_grid(described.grid)
        _check_channels(described.scale_pass, described.grid)
        chosen = _unpacked(described.chosen, described.grid.shape)
    except (OSError, ValueError, RecursionError) as error:
        reason = f"it has no valid {_first_place(error)}" if isinstance(error, ValidationError) else str(error)
        raise StoreError(
            f"The description of the kept predictions ({MAPS_NAME}) cannot be read: {reason}.",
            "Run the same command again with --keep predictions.",
        ) from error
    strides = {channel.name: channel.stride for channel in described.scale_pass.channels}
    store = TileStore(folder, described.grid, strides, create=False)
    return PassMaps(described.scale_pass, store, Selection(described.grid, chosen))


def _first_place(error: ValidationError) -> str:
    return ".".join(str(part) for part in error.errors()[0]["loc"]) or "content"


def _check_grid(grid: TileGrid) -> None:
    """Hold a description to what a grid can be.

    Raises
    ------
    ValueError
        Says what is not possible.
    """
    frame = grid.frame
    numbers = (frame.mpp_x, frame.mpp_y, frame.scale_x, frame.scale_y)
    if not (1 <= frame.width < _MAX_SIDE_PX and 1 <= frame.height < _MAX_SIDE_PX):
        raise ValueError("the size of its frame is not possible")
    if not all(math.isfinite(number) and number > 0 for number in numbers):
        raise ValueError("the scale of its frame is not possible")
    if not (1 <= grid.tile_px <= _MAX_TILE_PX and 0 <= grid.overlap_px < grid.tile_px):
        raise ValueError("the size of its tiles is not possible")
    if not 1 <= grid.block <= _MAX_BLOCK or math.prod(grid.shape) > _MAX_TILES:
        raise ValueError("the number of its tiles is not possible")


def _check_channels(scale_pass: ScalePass, grid: TileGrid) -> None:
    """Hold a description to what a pass can be; raises ValueError as :func:`_check_grid` does."""
    names = {channel.name for channel in scale_pass.channels}
    if not 1 <= len(scale_pass.channels) <= _MAX_NAMES or len(names) < len(scale_pass.channels):
        raise ValueError("its channels are not possible")
    strides = [channel.stride for channel in scale_pass.channels]
    if any(stride < 1 or grid.tile_px % stride or grid.step % stride for stride in strides):
        raise ValueError("the stride of a channel is not possible")
    if not 1 <= len(scale_pass.recipes) <= _MAX_NAMES:
        raise ValueError("its recipes are not possible")
    for recipe in scale_pass.recipes:
        if not {recipe.probability, recipe.class_channel} - {None} <= names:
            raise ValueError(f"the recipe of {recipe.prompt.name!r} names a channel that is not there")


def _unpacked(chosen: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    packed = np.frombuffer(base64.b64decode(chosen, validate=True), np.uint8)
    count = math.prod(shape)
    if len(packed) != -(-count // 8):
        raise ValueError("its tiles are not those of its grid")
    return np.unpackbits(packed, count=count).astype(bool).reshape(shape)
