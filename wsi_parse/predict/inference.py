"""predict_block: one large read per block is cut into tiles, which the model predicts in batches.

A batch is halved when the memory of the device is not sufficient.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from wsi_parse.errors import ModelError
from wsi_parse.geometry import Box
from wsi_parse.models.contract import Segmenter, State, to_uint8
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.predict.tiles import Selection
from wsi_parse.predict.unreadable import Unreadable, is_needed
from wsi_parse.registry import plugin_named
from wsi_parse.slides.bands import shared_in_bands
from wsi_parse.slides.lattice import WHITE
from wsi_parse.slides.slide import Slide

logger = logging.getLogger(__name__)

# Black filling is at most that bright, and wider than the dark part of a nucleus; its edge is mixed with tissue.
_BLACK, _FILLING_PX, _MIXED_PX = 20, 15, 2
# The filter that finds filling repeats the image at its edge, where the half of its width is left.
_LEAST_PX = _FILLING_PX // 2 + 1

TileValues = dict[str, dict[tuple[int, int], NDArray[np.uint8]]]
TileNotes = dict[str, dict[tuple[int, int], list[float]]]


def predict_block(
    slide: Slide,
    model: Segmenter,
    scale_pass: ScalePass,
    state: State,
    selection: Selection,
    block: tuple[int, int],
    batch: int,
    tell: Callable[[int], None] = lambda _: None,
    roi: Any = None,  # noqa: ANN401 - a shapely geometry or None
) -> tuple[TileValues, TileNotes, Unreadable]:
    """Predict the chosen tiles of a block.

    Parameters
    ----------
    slide : Slide
    model : Segmenter
    scale_pass : ScalePass
    state : mapping
        Returned by the model's ``prepare`` for this slide.
    selection : Selection
    block : (row, column)
        Contains at least one chosen tile.
    batch : int
        Tiles per model call; halved if memory runs out.
    tell : callable, optional
        Called after each call of the model, with the number of tiles that are predicted.
    roi : shapely geometry, optional
        Region of interest in level-0 pixels: what cannot be read outside of it stops nothing.

    Returns
    -------
    dict of channel -> index (row, column) -> uint8 array (t, t)
        Probabilities, 0..255, with t = tile_px / stride of the channel.
    dict of channel -> index (row, column) -> list of float
        The model's notes about each tile.
    Unreadable
        Where the slide could not be read: outside of the region, or anywhere on a slide that was opened to leave such
        places out. The model sees white there.

    Raises
    ------
    ModelError
        The model returned an array of another shape than its contract says, or values out of range.
    SlideReadError
        Pixels of the block cannot be read.
    """
    indices = selection.of_block(block)
    boxes = [selection.grid.tile(*index).read for index in indices]
    around = Box.from_corners(
        min(box.x for box in boxes),
        min(box.y for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )
    grid = selection.grid
    shared = shared_in_bands(slide, block[1], grid.block_px, grid.overlap_px, grid.frame)
    read = slide.read_readable(around, grid.frame, shared)
    unreadable = Unreadable(read.unknown, read.tiles_level0)
    if read.error and not slide.options.skip_unreadable and is_needed(unreadable, selection.grid.frame, roi):
        raise read.error
    on_slide = slide.box_on_slide(selection.grid.frame).relative_to(around)
    images = [cut_tile(read.pixels, box.relative_to(around), on_slide) for box in boxes]
    with plugin_named("model", model.spec.name):
        maps, notes = _predict_in_batches(model, scale_pass, state, images, batch, tell)
    return (
        {channel.name: dict(zip(indices, maps[channel.name], strict=True)) for channel in scale_pass.channels},
        {name: dict(zip(indices, noted, strict=True)) for name, noted in notes.items()},
        unreadable,
    )


def cut_tile(pixels: NDArray[np.uint8], box: Box, on_slide: Box) -> NDArray[np.uint8]:
    """Cut a tile as models see it: mirrored beyond the slide, and white where nothing was scanned.

    Models take white for an edge of the tissue, and black beside tissue for something dark.

    Parameters
    ----------
    pixels : uint8 array (H, W, 3)
        Read from the slide.
    box, on_slide : Box
        The tile and the slide, relative to the pixels.

    Returns
    -------
    uint8 array (box.height, box.width, 3)
    """
    inside = box.intersection(on_slide)
    if inside == box or not inside.area:
        return _without_filling(pixels[box.slices])
    around = [(inside.y - box.y, box.bottom - inside.bottom), (inside.x - box.x, box.right - inside.right), (0, 0)]
    return _without_filling(np.pad(pixels[inside.slices], around, "reflect"))


def _without_filling(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Whiten black where nothing was scanned: beside it, models would take tissue for its pale surroundings."""
    if not _may_be_filled(image):
        return image
    filling = minimum_filter(_is_black(image), _FILLING_PX)
    if not filling.any():
        return image
    whitened = image.copy()
    whitened[maximum_filter(filling, _FILLING_PX + 2 * _MIXED_PX)] = WHITE
    return whitened


def _may_be_filled(image: NDArray[np.uint8]) -> bool:
    """Look at a few pixels: False only where there is surely no filling.

    Also at the edge of an image, filling has at least `_LEAST_PX` black pixels one beside the other in both directions:
    among them are two by two of those that are looked at.
    """
    if min(image.shape[:2]) < _LEAST_PX:
        return True
    black = _is_black(image[:: _LEAST_PX // 2, :: _LEAST_PX // 2])
    beside = black[:, 1:] & black[:, :-1]
    return bool((beside[1:] & beside[:-1]).any())


def _is_black(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    # Several times as fast as the maximum along an axis of three.
    brightest = np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2])
    return np.asarray(brightest <= _BLACK)


def _predict_in_batches(
    model: Segmenter,
    scale_pass: ScalePass,
    state: State,
    images: Sequence[NDArray[np.uint8]],
    batch: int,
    tell: Callable[[int], None] = lambda _: None,
) -> tuple[dict[str, list[NDArray[np.uint8]]], dict[str, list[list[float]]]]:
    batch = min(batch, model.largest_batch or batch)
    maps: dict[str, list[NDArray[np.uint8]]] = {channel.name: [] for channel in scale_pass.channels}
    notes: dict[str, list[list[float]]] = {}
    done = 0
    while done < len(images):
        part = images[done : done + batch]
        # Every call has the same shape, because the last digit of a network's result may depend on it.
        stack = np.zeros((batch, *part[0].shape), np.uint8)
        stack[: len(part)] = part
        try:
            returned = model.predict(stack, scale_pass, state)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error) or batch == 1:
                raise
            batch //= 2
            # The next block then starts with the smaller batch.
            model.largest_batch = batch
            logger.warning("The memory is not sufficient: the run continues with %d tiles at a time.", batch)
            continue
        checked = {name: values[: len(part)] for name, values in _checked(returned, scale_pass, batch).items()}
        for name, values in checked.items():
            maps[name].extend(values)
        for name, noted in model.observe(stack[: len(part)], checked, scale_pass).items():
            notes.setdefault(name, []).extend(noted.tolist())
        done += len(part)
        tell(done)
    return maps, notes


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _checked(returned: Mapping[str, NDArray[Any]], scale_pass: ScalePass, batch: int) -> dict[str, NDArray[np.uint8]]:
    """Return the model's channels as uint8 after checking them against its contract."""
    checked = {}
    for channel in scale_pass.channels:
        side = scale_pass.tile_px // channel.stride
        values = returned.get(channel.name)
        if values is None or values.shape != (batch, side, side):
            found = "nothing" if values is None else f"an array of shape {values.shape}"
            raise ModelError(
                f"The model returned {found} for channel {channel.name!r}, "
                f"but its shape must be {(batch, side, side)}.",
                "Report this error to the author of the model.",
            )
        checked[channel.name] = to_uint8(channel.name, values)
    return checked
