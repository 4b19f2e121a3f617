"""Tiles -> channels: one large read a block, cut in memory, predicted in batches; halved when memory runs out."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import ModelError
from wsi_parse.geometry import Box
from wsi_parse.models.contract import Segmenter, State, to_uint8
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.predict.tiles import Selection
from wsi_parse.slides.slide import Slide

logger = logging.getLogger(__name__)

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
) -> tuple[TileValues, TileNotes]:
    """Predict the chosen tiles of a block.

    Parameters
    ----------
    slide : Slide
    model : Segmenter
    scale_pass : ScalePass
    state : mapping
        What the model prepared for this slide.
    selection : Selection
    block : (row, column)
    batch : int
        Tiles a model call.

    Returns
    -------
    dict of channel -> place -> uint8 array (t, t)
    dict of channel -> place -> list of float
        What the model noted of each tile.
    """
    places = selection.of_block(block)
    boxes = [selection.grid.tile(*place).read for place in places]
    around = Box.from_corners(
        min(box.x for box in boxes),
        min(box.y for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )
    pixels = slide.read(around, selection.grid.frame)
    images = [pixels[box.relative_to(around).slices] for box in boxes]
    answers, notes = _in_batches(model, scale_pass, state, images, batch)
    return (
        {channel.name: dict(zip(places, answers[channel.name], strict=True)) for channel in scale_pass.channels},
        {name: dict(zip(places, noted, strict=True)) for name, noted in notes.items()},
    )


def _in_batches(
    model: Segmenter, scale_pass: ScalePass, state: State, images: Sequence[NDArray[np.uint8]], batch: int
) -> tuple[dict[str, list[NDArray[np.uint8]]], dict[str, list[list[float]]]]:
    batch = min(batch, model.largest_batch or batch)
    answers: dict[str, list[NDArray[np.uint8]]] = {channel.name: [] for channel in scale_pass.channels}
    notes: dict[str, list[list[float]]] = {}
    done = 0
    while done < len(images):
        part = images[done : done + batch]
        # The same shape at every call: the result of a network may depend on it in the last digit.
        stack = np.zeros((batch, *part[0].shape), np.uint8)
        stack[: len(part)] = part
        try:
            given = model.predict(stack, scale_pass, state)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error) or batch == 1:
                raise
            batch //= 2
            # The next block need not run into it again.
            model.largest_batch = batch
            logger.warning("Out of memory: going on with %d tiles at a time.", batch)
            continue
        checked = {name: values[: len(part)] for name, values in _checked(given, scale_pass, batch).items()}
        for name, values in checked.items():
            answers[name].extend(values)
        for name, noted in model.observe(stack[: len(part)], checked, scale_pass).items():
            notes.setdefault(name, []).extend(noted.tolist())
        done += len(part)
    return answers, notes


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _checked(given: Mapping[str, NDArray[Any]], scale_pass: ScalePass, batch: int) -> dict[str, NDArray[np.uint8]]:
    """Hold the model to its contract."""
    checked = {}
    for channel in scale_pass.channels:
        side = scale_pass.tile_px // channel.stride
        values = given.get(channel.name)
        if values is None or values.shape != (batch, side, side):
            found = "nothing" if values is None else values.shape
            raise ModelError(
                f"The model gave {found} for channel {channel.name!r}, not {(batch, side, side)}.",
                "This is a defect of the model plug-in.",
            )
        checked[channel.name] = to_uint8(channel.name, values)
    return checked
