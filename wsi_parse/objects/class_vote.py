"""The class of each cell: all its pixels vote with all class channels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wsi_parse.geometry import Box
from wsi_parse.objects.pass_context import PassContext


def class_vote(
    context: PassContext,
    window: Box,
    pixels: NDArray[np.int64],
    seed: NDArray[np.int32],
    size: NDArray[np.int64],
    members: Sequence[int],
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Decide to which recipe each cell belongs; -1 if to none.

    All pixels of a cell vote with all class channels. A cell whose winning class has a prompt becomes an object of
    that prompt; any other goes to the prompt that takes all cells, if there is one. No cell belongs to two prompts.
    `seed` is the number (from 1) of the cell of each of the window's `pixels`, `size` is the pixel count of each cell.
    Returns the recipes and the columns of class probabilities.
    """
    recipes, count = context.scale_pass.recipes, len(size)
    takes_all = [index for index in members if not recipes[index].classes]
    recipe_of_cell = np.full(count, takes_all[0] if takes_all else -1)
    names = next((recipes[index].classes for index in members if recipes[index].classes), ())
    if not names or not count:
        return recipe_of_cell, {}
    channels = (context.channel(name, window)[0].ravel()[pixels] for name in names)
    votes = np.stack([np.bincount(seed, channel, count + 1)[1:] for channel in channels])
    size = np.maximum(size, 1)
    winner = np.argmax(votes, axis=0)
    for index in members:
        if recipes[index].class_channel is not None:
            recipe_of_cell[winner == names.index(str(recipes[index].class_channel))] = index
    mean = np.sort(votes, axis=0)[::-1] / size / 255
    columns = {"class_probability": mean[0]}
    if len(names) > 1:
        columns["runner_up_probability"] = mean[1]
    if recipes[members[0]].competing:
        # Each competing channel belongs to a prompt of its own: their probabilities show which one came second.
        columns |= {
            f"probability_{name.replace(' ', '_')}": vote / size / 255 for name, vote in zip(names, votes, strict=True)
        }
    return recipe_of_cell, columns
