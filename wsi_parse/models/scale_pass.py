"""ScalePass: at which scale a model reads tiles, which channels it returns, and how prompts make objects of them."""

from dataclasses import dataclass, replace
from typing import Literal

from wsi_parse.prompts import Prompt

ChannelKind = Literal["probability", "distance", "class"]


@dataclass(frozen=True, slots=True)
class Channel:
    """One map that a model returns for each tile.

    Parameters
    ----------
    name : str
    kind : {"probability", "distance", "class"}
        "probability": of the target. "distance" (optional): higher towards the middle of a cell, 0 at its border,
        with the same range in cells of every size; two maxima separate touching cells if the valley between them is
        deep enough for the width of the mask there and its probability (`wsi_parse/objects/split.py`). "class":
        probability of one class, given a cell.
    stride : int
        Read pixels per output pixel; divides the tile and the overlap.
    """

    name: str
    kind: ChannelKind
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the objects of one prompt are made from channels.

    Parameters
    ----------
    prompt : Prompt
    probability : str
        The channel whose contour at ``objects.threshold`` is the outline.
    distance : str or None
        The channel that splits touching cells; None: the distance to the outline does.
    classes : tuple of str
        Class channels that vote over each cell; empty if the prompt takes all cells.
    class_channel : str or None
        The class channel of this prompt: a cell belongs to the prompt if this channel wins the vote.
    competing : tuple of str
        Probability channels that compete for the same cells; these are outlined where the highest reaches
        ``objects.threshold``.
    model_prompt : str
        The text for the model, if it reads text.
    min_class_probability : float or None
        A cell whose class has a lower probability is "unsure"; None: no cell is.
    """

    prompt: Prompt
    probability: str
    distance: str | None = None
    classes: tuple[str, ...] = ()
    class_channel: str | None = None
    competing: tuple[str, ...] = ()
    model_prompt: str = ""
    min_class_probability: float | None = None


@dataclass(frozen=True, slots=True)
class ScalePass:
    """One grid of tiles over a slide at one scale, with its channels and recipes.

    Parameters
    ----------
    name : str
        Short, and unique among the passes of a plan; used in file names.
    field_um : float
        Side of a tile.
    read_mpp : float
        Microns per pixel at which tiles are read and given to the model.
    channels : tuple of Channel
    recipes : tuple of Recipe
        One per prompt.
    notes : tuple of str
        What the user should know about the results of these prompts.
    """

    name: str
    field_um: float
    read_mpp: float
    channels: tuple[Channel, ...]
    recipes: tuple[Recipe, ...]
    notes: tuple[str, ...] = ()

    @property
    def tile_px(self) -> int:
        """Side of a tile in read pixels.

        >>> ScalePass("p", 512.0, 0.5, (), ()).tile_px
        1024
        """
        return round(self.field_um / self.read_mpp)

    @property
    def object_stride(self) -> int:
        """Read pixels per pixel of the lattice that objects are made on: that of the finest probability channel."""
        return min(self.channel(recipe.probability).stride for recipe in self.recipes)

    def channel(self, name: str) -> Channel:
        """Return the channel named `name`."""
        return next(channel for channel in self.channels if channel.name == name)


def with_exclusive_classes(scale_pass: ScalePass) -> ScalePass:
    """Let the cell prompts of a pass compete: a cell is outlined once and belongs to the most probable of them.

    Recipes that vote over classes already do so, and stay unchanged.
    """
    competing = tuple(r.probability for r in scale_pass.recipes if r.prompt.kind == "cell" and not r.classes)
    if len(competing) < 2:
        return scale_pass
    recipes = tuple(
        replace(r, competing=competing, classes=competing, class_channel=r.probability)
        if r.probability in competing
        else r
        for r in scale_pass.recipes
    )
    return replace(scale_pass, recipes=recipes)


def with_min_class_probability(scale_pass: ScalePass, probability: float) -> ScalePass:
    """Mark cells with a less probable class as unsure, in every recipe that votes over classes."""
    return replace(
        scale_pass,
        recipes=tuple(replace(r, min_class_probability=probability) if r.classes else r for r in scale_pass.recipes),
    )
