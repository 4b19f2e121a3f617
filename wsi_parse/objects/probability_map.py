"""ProbabilityMap: the probability of each prompt at each pixel, stitched box by box."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_parse.geometry import Box, Frame
from wsi_parse.models.scale_pass import Recipe
from wsi_parse.objects.pass_context import PassContext
from wsi_parse.predict.pass_maps import PassMaps
from wsi_parse.prompts import Prompt


@dataclass(frozen=True)
class ProbabilityMap:
    """The map of one scale pass; it is read from the store on demand and not held in memory.

    Parameters
    ----------
    name : str
        Name of the scale pass.
    frame : Frame
        The lattice on which its objects were made.
    prompts : tuple of Prompt
        One for each channel of the map.
    meanings : tuple of str
        What each channel is the probability of: "target" or "cell times class".
    read : callable
        Box of `frame` -> uint8 (prompts, rows, columns), 0..255 for [0, 1], and bool (rows, columns), True where a
        tile was predicted. Elsewhere the first is 0 and the second is False.
    is_seen : callable
        Box of `frame` -> whether a tile that overlaps it was predicted.
    """

    name: str
    frame: Frame
    prompts: tuple[Prompt, ...]
    meanings: tuple[str, ...]
    read: Callable[[Box], tuple[NDArray[np.uint8], NDArray[np.bool_]]]
    is_seen: Callable[[Box], bool]

    @classmethod
    def of(cls, context: PassContext) -> "ProbabilityMap":
        """Build the map of a scale pass that is under way; see :meth:`of_maps`."""
        return cls.of_maps(context.maps)

    @classmethod
    def of_maps(cls, maps: PassMaps) -> "ProbabilityMap":
        """Build the map of a scale pass from its stored maps.

        Notes
        -----
        The map of a prompt for one class of cells is the probability of a cell times that of the class: the
        probability that the pixel belongs to such a cell. For all other prompts, objects are the areas in which the
        map is above the threshold.
        """
        recipes = maps.scale_pass.recipes
        classes = [_class_channel(maps, recipe) for recipe in recipes]

        def read(box: Box) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
            names = dict.fromkeys([recipe.probability for recipe in recipes] + [name for name in classes if name])
            channels = {name: maps.channel(name, box) for name in names}
            values = np.empty((len(recipes), *box.shape), np.uint8)
            for number, (recipe, name) in enumerate(zip(recipes, classes, strict=True)):
                one = channels[recipe.probability][0]
                values[number] = one if name is None else _product(one, channels[name][0])
            return values, channels[recipes[0].probability][1]

        return cls(
            maps.scale_pass.name,
            maps.frame,
            tuple(recipe.prompt for recipe in recipes),
            tuple("cell times class" if name else "target" for name in classes),
            read,
            maps.is_seen,
        )


def read_one(maps: PassMaps, number: int, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read the map of one prompt as :class:`ProbabilityMap` reads all: uint8 (rows, columns), and where it is known."""
    recipe = maps.scale_pass.recipes[number]
    one, covered = maps.channel(recipe.probability, box)
    name = _class_channel(maps, recipe)
    return one if name is None else _product(one, maps.channel(name, box)[0]), covered


def _class_channel(maps: PassMaps, recipe: Recipe) -> str | None:
    """Return the channel with the probability of a recipe's class, given a cell; None if its own map is enough."""
    if recipe.class_channel is None or maps.scale_pass.channel(recipe.class_channel).kind != "class":
        return None
    return recipe.class_channel


def _product(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Multiply two probabilities of 0..255, rounded."""
    return ((one.astype(np.uint16) * other + np.uint16(127)) // np.uint16(255)).astype(np.uint8)
