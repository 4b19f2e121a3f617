"""ScalePass: at which scale a model reads tiles, which channels it gives, and how prompts make objects of these."""

from dataclasses import dataclass, replace
from typing import Literal

from wsi_parse.prompts import Prompt

ChannelKind = Literal["probability", "distance", "class"]


@dataclass(frozen=True, slots=True)
class Channel:
    """One map that a model gives for each tile.

    Parameters
    ----------
    name : str
    kind : {"probability", "distance", "class"}
        "probability": of being the target. "distance" (optional): higher towards the middle of a cell, 0 at its
        border; two maxima part touching cells where the lower one is a tenth of the range above their saddle.
        "class": probability of one class, given a cell.
    stride : int
        Read pixels per output pixel; divides the tile and the overlap.
    """

    name: str
    kind: ChannelKind
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the objects of one prompt are made of channels.

    Parameters
    ----------
    prompt : Prompt
    probability : str
        Channel whose 0.5 level is the outline.
    distance : str or None
        Channel that splits touching cells; without one the distance to the outline does it.
    classes : tuple of str
        Class channels that vote over each cell; empty where the prompt takes all cells.
    class_channel : str or None
        The class channel of this prompt: a cell is its object where this channel wins the vote.
    competing : tuple of str
        Probability channels that claim the same cells: these are outlined where the highest of all is above 0.5.
    model_prompt : str
        What the model is told, where it reads words.
    min_class_probability : float or None
        A cell whose class has a lower probability is "unsure"; None: none is.
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
    """One grid of tiles over a slide: the scale read at, and what comes back.

    Parameters
    ----------
    name : str
        Short, unique among the passes of a plan; names files.
    field_um : float
        What a tile covers.
    read_mpp : float
        Microns per pixel at which tiles are read and handed to the model.
    channels : tuple of Channel
    recipes : tuple of Recipe
        One a prompt.
    notes : tuple of str
        What the user should know of how the prompts are answered.
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

    def channel(self, name: str) -> Channel:
        """Return the channel called `name`."""
        return next(channel for channel in self.channels if channel.name == name)


def exclusive_classes(scale_pass: ScalePass) -> ScalePass:
    """Let the cell prompts of a pass compete: a cell is outlined once and belongs to the most probable of them.

    Recipes that vote over classes already do so, and are left as they are.
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


def min_class_probability(scale_pass: ScalePass, probability: float) -> ScalePass:
    """Call cells unsure whose class is less probable, in every recipe whose cells vote."""
    return replace(
        scale_pass,
        recipes=tuple(replace(r, min_class_probability=probability) if r.classes else r for r in scale_pass.recipes),
    )
