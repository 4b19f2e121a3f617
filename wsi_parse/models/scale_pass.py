"""ScalePass: at which scale a model reads tiles, which channels it returns, and how prompts make objects of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from wsi_parse.cautions import Caution, outside_training
from wsi_parse.prompts import Prompt

ChannelKind = Literal["probability", "distance", "class"]
#: A `min_class_probability` that no cell reaches: the class is never sure.
NEVER_SURE = 2.0


@dataclass(frozen=True, slots=True)
class Channel:
    """One map that a model returns for each tile.

    Parameters
    ----------
    name : str
    kind : {"probability", "distance", "class"}
        "probability": of the target. "distance" (optional): higher towards the middle of a cell, 0 at its border; two
        maxima separate touching cells if the lower one is a tenth of the range above their saddle. "class":
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
        A cell whose class has a lower probability is "unsure"; None: no cell is; :data:`NEVER_SURE`: every cell is.
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
class LearntRange:
    """The range that a number of a slide had in what a model learnt from: outside of it, its classes are less sure.

    Parameters
    ----------
    name : str
        Member of the model's state: a number, several (each must be in the range), or None if it is not known.
    words : str
        What it is, for a caution.
    low, high : float
    """

    name: str
    words: str
    low: float
    high: float

    def value_outside(self, state: Mapping[str, Any]) -> float | None:
        """Return the number of a slide that lies outside of the range; None if there is none."""
        value = state.get(self.name)
        values = value if isinstance(value, list | tuple) else () if value is None else (value,)
        return next((float(one) for one in values if not self.low <= one <= self.high), None)


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
    cautions : tuple of Caution
        What is plausible but wrong with these prompts, on any slide.
    learnt : tuple of LearntRange
        What a slide must look like for `min_class_probability` of the recipes to hold.
    """

    name: str
    field_um: float
    read_mpp: float
    channels: tuple[Channel, ...]
    recipes: tuple[Recipe, ...]
    notes: tuple[str, ...] = ()
    cautions: tuple[Caution, ...] = ()
    learnt: tuple[LearntRange, ...] = ()

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

    def cautions_of(self, state: Mapping[str, Any], model: str) -> tuple[Caution, ...]:
        """Caution for each number of a slide that lies outside of what the model learnt from."""
        found = [(one, one.value_outside(state)) for one in self.learnt]
        return tuple(
            outside_training(one.words, value, one.low, one.high, model) for one, value in found if value is not None
        )


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


def less_sure(scale_pass: ScalePass) -> ScalePass:
    """Raise the probability from which on a class is sure halfway to 1.

    >>> recipe = Recipe(Prompt.parse("nuclei"), "n", classes=("n",), min_class_probability=0.7)
    >>> less_sure(ScalePass("p", 64.0, 0.5, (), (recipe,))).recipes[0].min_class_probability
    0.85
    """

    def raised(recipe: Recipe) -> Recipe:
        line = recipe.min_class_probability
        if not recipe.classes or line is None or line >= 1:
            return recipe
        return replace(recipe, min_class_probability=round((1 + line) / 2, 4))

    return replace(scale_pass, recipes=tuple(raised(recipe) for recipe in scale_pass.recipes))
