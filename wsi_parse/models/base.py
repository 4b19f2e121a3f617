"""The contract of a model: channels per tile, and how prompts make objects of channels.

A model is asked in three steps. `plan(prompts, field_um)` needs no weights: it says at which scales tiles are read and
which channels come back, one :class:`Pass` a scale. `prepare(slide, tissue)` looks at a slide once and returns
a small JSON-able state (a stain estimate); it is kept in the manifest. `predict(images, job, state)` turns a
batch of tiles into channels. Tiles know nothing of prompts: a prompt chooses among the channels when objects
are made, by its :class:`Recipe`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import ModelError
from wsi_parse.prompts import Prompt
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue import TissueMask

ChannelKind = Literal["probability", "distance", "class"]
State = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Channel:
    """One map that a model gives for each tile.

    Parameters
    ----------
    name : str
    kind : {"probability", "distance", "class"}
        "probability": of being the target. "distance": higher towards the middle of a cell, 0 at its border;
        its maxima split touching cells. "class": probability of one class, given a cell.
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
    """

    prompt: Prompt
    probability: str
    distance: str | None = None
    classes: tuple[str, ...] = ()
    answer: str | None = None


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
    """

    name: str
    field_um: float
    read_mpp: float
    channels: tuple[Channel, ...]
    recipes: tuple[Recipe, ...]

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
    needs_device : bool
        Whether it profits from an accelerator; then one task a device runs at a time.
    weights_sha256 : str or None
        None for a model without weights.
    """

    name: str
    summary: str
    prompts: tuple[str, ...]
    free_text: bool = False
    licence: str = "Apache-2.0"
    purpose: str = "research use only, not for clinical decisions"
    needs_device: bool = False
    weights_sha256: str | None = None
    cpu_seconds_a_tile: float = 0.0


class Segmenter(Protocol):
    """A model. One instance lives in each worker process and serves many slides from several threads."""

    spec: ClassVar[ModelSpec]

    @classmethod
    def plan(cls, prompts: Sequence[Prompt], field_um: float | None = None) -> tuple[Pass, ...]:
        """Say how `prompts` are answered: one pass a scale, every prompt in exactly one recipe.

        Parameters
        ----------
        prompts : sequence of Prompt
        field_um : float, optional
            What a tile shall cover, where the user says so.

        Raises
        ------
        UnknownPromptError
            Lists what the model knows, and which models know more.
        """
        ...

    def prepare(self, slide: Slide, tissue: TissueMask) -> State:
        """Look at a slide once; deterministic. Returns a small JSON-able state."""
        ...

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
        ...


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
