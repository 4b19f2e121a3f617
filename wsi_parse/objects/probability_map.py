"""ProbabilityMap: what a run says of each prompt at each pixel, stitched a box at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_parse.geometry import Box, Frame
from wsi_parse.models.scale_pass import Recipe
from wsi_parse.objects.pass_context import PassContext
from wsi_parse.prompts import Prompt


@dataclass(frozen=True)
class ProbabilityMap:
    """The map of one pass; nothing of it is held.

    Parameters
    ----------
    name : str
        Of the pass.
    frame : Frame
        The lattice its objects were outlined on.
    prompts : tuple of Prompt
        Its channels.
    meanings : tuple of str
        What a channel's number is the probability of.
    read : callable
        Box of `frame` -> uint8 (prompts, rows, columns), 0..255 for [0, 1], and bool (rows, columns): where a tile
        answered. What was not looked at is 0 in the first and False in the second.
    is_seen : callable
        Box of `frame` -> whether any of it may have been looked at.
    """

    name: str
    frame: Frame
    prompts: tuple[Prompt, ...]
    meanings: tuple[str, ...]
    read: Callable[[Box], tuple[NDArray[np.uint8], NDArray[np.bool_]]]
    is_seen: Callable[[Box], bool]

    @classmethod
    def of(cls, context: PassContext) -> "ProbabilityMap":
        """Take the stitched channels of a pass.

        Notes
        -----
        The map of a prompt that takes one class of all cells is the probability of a cell times that of its class:
        the chance that the pixel is of such a cell. All others are outlined where their map is above the threshold.
        """
        recipes = context.scale_pass.recipes
        classes = [_class_channel(context, recipe) for recipe in recipes]

        def read(box: Box) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
            names = dict.fromkeys([recipe.probability for recipe in recipes] + [name for name in classes if name])
            channels = {name: context.channel(name, box) for name in names}
            values = np.empty((len(recipes), *box.shape), np.uint8)
            for number, (recipe, name) in enumerate(zip(recipes, classes, strict=True)):
                one = channels[recipe.probability][0]
                values[number] = one if name is None else _product(one, channels[name][0])
            return values, channels[recipes[0].probability][1]

        return cls(
            context.scale_pass.name,
            context.chunks.frame,
            tuple(recipe.prompt for recipe in recipes),
            tuple("cell times class" if name else "target" for name in classes),
            read,
            lambda box: bool(context.selection.reading(box.multiplied(context.chunks.stride))),
        )


def _class_channel(context: PassContext, recipe: Recipe) -> str | None:
    """The channel that says how probable a class is, given a cell; None where the prompt's own says it all."""
    if recipe.class_channel is None or context.scale_pass.channel(recipe.class_channel).kind != "class":
        return None
    return recipe.class_channel


def _product(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Multiply two probabilities of 0..255, rounded."""
    return ((one.astype(np.uint16) * other + np.uint16(127)) // np.uint16(255)).astype(np.uint8)
