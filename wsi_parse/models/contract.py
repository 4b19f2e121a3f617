"""The contract of a model: channels per tile, and how prompts make objects of channels.

A model is asked in three steps. `plan(prompts, settings)` needs no weights: it says at which scales tiles are read and
which channels come back, one :class:`Pass` a scale. `prepare(slide, tissue)` looks at a slide once and returns
a small JSON-able state (a stain estimate); it is kept in the manifest. `predict(images, job, state)` turns a
batch of tiles into channels. Tiles know nothing of prompts: a prompt chooses among the channels when objects
are made, by its :class:`Recipe`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import ModelError
from wsi_parse.models.weights import Weights
from wsi_parse.prompts import Prompt
from wsi_parse.settings import ModelSettings
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask

ChannelKind = Literal["probability", "distance", "class"]
State = Mapping[str, Any]


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
    answer : str or None
        The class channel of this prompt: a cell is its object where this channel wins the vote.
    rivals : tuple of str
        Probability channels that claim the same cells: these are outlined where the highest of all is above 0.5.
    words : str
        What the model is told, where it reads words.
    unsure_below : float or None
        A cell whose class has a lower probability is "unsure"; None: none is.
    """

    prompt: Prompt
    probability: str
    distance: str | None = None
    classes: tuple[str, ...] = ()
    answer: str | None = None
    rivals: tuple[str, ...] = ()
    words: str = ""
    unsure_below: float | None = None


@dataclass(frozen=True, slots=True)
class Pass:
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

        >>> Pass("p", 512.0, 0.5, (), ()).tile_px
        1024
        """
        return round(self.field_um / self.read_mpp)

    def channel(self, name: str) -> Channel:
        """Return the channel called `name`."""
        return next(channel for channel in self.channels if channel.name == name)


def one_class(job: Pass) -> Pass:
    """Let the cell prompts of a pass compete: a cell is outlined once and belongs to the most probable of them.

    Recipes that vote over classes already do so, and are left as they are.
    """
    rivals = tuple(r.probability for r in job.recipes if r.prompt.kind == "cell" and not r.classes)
    if len(rivals) < 2:
        return job
    recipes = tuple(
        replace(r, rivals=rivals, classes=rivals, answer=r.probability) if r.probability in rivals else r
        for r in job.recipes
    )
    return replace(job, recipes=recipes)


def unsure_below(job: Pass, probability: float) -> Pass:
    """Call cells unsure whose class is less probable, in every recipe whose cells vote."""
    return replace(job, recipes=tuple(replace(r, unsure_below=probability) if r.classes else r for r in job.recipes))


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What is known of a model without loading it.

    Parameters
    ----------
    name, summary : str
    prompts : tuple of str
        Canonical names of the targets it answers (see :mod:`wsi_parse.prompts`).
    free_text : bool
        Whether it also takes words outside `prompts`.
    licence, purpose : str
        Licence of the weights, and what they may be used for.
    cpu_seconds_a_tile : float
        Core-seconds; for estimates.
    fields_um : tuple of float
        Fields to choose among, for models whose cost depends on it.
    """

    name: str
    summary: str
    prompts: tuple[str, ...]
    free_text: bool = False
    licence: str = "Apache-2.0"
    purpose: str = "research use only, not for clinical decisions"
    cpu_seconds_a_tile: float = 0.0
    fields_um: tuple[float, ...] = ()


class Segmenter(ABC):
    """A model. One instance lives in each worker process and serves many slides from several threads.

    Parameters
    ----------
    settings : ModelSettings
    weights : Weights, optional
        What :meth:`find_weights` found.
    """

    spec: ClassVar[ModelSpec]
    #: Tiles a call of `predict`, where the settings do not say; one shape for a whole run.
    batch: int = 1
    #: What memory turned out to hold.
    largest_batch: int | None = None
    #: Blocks that a process predicts at once; None: one a thread.
    at_once: int | None = None

    def __init__(self, settings: ModelSettings | None = None, weights: Weights | None = None) -> None:
        self.settings = settings or ModelSettings()
        self.weights = weights

    @classmethod
    def find_weights(cls, settings: ModelSettings) -> Weights | None:
        """Find the weights without loading them; None for a model that has none.

        Raises
        ------
        WeightsError
            Where they are not installed; says how to get them.
        """
        del settings
        return None

    @classmethod
    def card(cls) -> str:
        """In short, what the model learnt from and how well it does; empty where nobody wrote it."""
        return ""

    @classmethod
    def targets(cls, settings: ModelSettings) -> tuple[str, ...]:
        """Names of all targets that can be asked for at once: what `--prompt all` means."""
        del settings
        return cls.spec.prompts

    @classmethod
    @abstractmethod
    def plan(cls, prompts: Sequence[Prompt], settings: ModelSettings) -> tuple[Pass, ...]:
        """Say how `prompts` are answered: one pass a scale, every prompt in exactly one recipe.

        Parameters
        ----------
        prompts : sequence of Prompt
        settings : ModelSettings
            Among them what a tile shall cover, where the user says so.

        Raises
        ------
        UnknownPromptError
            Lists what the model knows, and which models know more.
        """

    def prepare(self, slide: Slide, tissue: TissueMask) -> State:
        """Look at a slide once; deterministic on one kind of device. Returns a small JSON-able state."""
        del slide, tissue
        return {}

    def warm_up(self, job: Pass, state: State) -> None:
        """Load, and whatever else only the first prediction would wait for; what it takes counts to no tile."""
        del job, state

    @abstractmethod
    def predict(self, images: NDArray[np.uint8], job: Pass, state: State) -> Mapping[str, NDArray[Any]]:
        """Answer a batch of tiles.

        Parameters
        ----------
        images : uint8 array (B, tile_px, tile_px, 3)
            RGB at `job.read_mpp`.
        job : Pass
        state : mapping
            What `prepare` returned for this slide.

        Returns
        -------
        mapping of channel name to array (B, tile_px / stride, tile_px / stride)
            uint8 0..255, or floats in [0, 1].
        """

    def observe(
        self, images: NDArray[np.uint8], answers: Mapping[str, NDArray[np.uint8]], job: Pass
    ) -> Mapping[str, NDArray[np.float64]]:
        """Note a few numbers of each tile, for :meth:`summarise`.

        Parameters
        ----------
        images : uint8 array (B, tile_px, tile_px, 3)
        answers : mapping of channel name to uint8 array (B, tile_px / stride, tile_px / stride)
        job : Pass

        Returns
        -------
        mapping of channel name to float array (B, K)
        """
        del images, answers, job
        return {}

    def summarise(self, noted: Mapping[str, NDArray[np.float64]], job: Pass) -> dict[str, Any]:
        """Say what the numbers noted of all tiles mean for the slide.

        Parameters
        ----------
        noted : mapping of channel name to float array (tiles, K)
        job : Pass

        Returns
        -------
        dict of prompt name to JSON-able facts
        """
        del noted, job
        return {}


def to_uint8(name: str, values: NDArray[Any]) -> NDArray[np.uint8]:
    """Bring a channel to its form on disk: [0, 1] -> 0..255, rounded.

    Raises
    ------
    ModelError
        Where values are not finite or leave [0, 1]: a failing model must not look like "nothing found".
    """
    if values.dtype == np.uint8:
        return values
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if not (np.isfinite(low) and np.isfinite(high) and low >= -1e-3 and high <= 1 + 1e-3):
        raise ModelError(
            f"Channel {name!r} of the model leaves [0, 1]: {low:.3g} to {high:.3g}.",
            "This is a defect of the model (or of its weights), not of the slide.",
        )
    return np.clip(np.rint(values * np.float32(255)), 0, 255).astype(np.uint8)
