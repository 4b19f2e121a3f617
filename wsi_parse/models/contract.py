"""The contract of a model: channels for each tile, and recipes that make objects from channels.

A model works in three steps. `plan(prompts, settings)` needs no weights: it decides at which scales tiles are read and
which channels come back, one :class:`ScalePass` per scale. `prepare(slide, tissue)` looks at a slide once and returns
a small state for JSON (an estimate of its staining), which is kept in the manifest. `predict(images, scale_pass,
state)` turns a batch of tiles into channels. Tiles do not depend on prompts: a prompt selects channels when objects are
made, by its :class:`Recipe`.

What `predict` may depend on, besides the images, the weights and the state: the name of the pass, its `field_um` and
`read_mpp`, its channels, and the words of its recipes (`model_prompt`, with the channel that they belong to). A run
keeps its predicted maps by these. Class names, colours, the kind of a prompt and thresholds are of the objects: a model
that lets them change its maps gives wrong results when maps are used again. :class:`wsi_parse.testing.SegmenterTests`
holds a model to all of this.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wsi_parse.cautions import Caution
from wsi_parse.errors import ModelError, UsageError
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.models.weights import Weights
from wsi_parse.prompts import Prompt, Target
from wsi_parse.settings import ModelSettings
from wsi_parse.slides.slide import Slide
from wsi_parse.text import RESEARCH_ONLY
from wsi_parse.tissue.mask import TissueMask

State = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What is known of a model without loading it.

    Parameters
    ----------
    name, summary : str
    prompts : tuple of str
        Canonical names of the targets it knows: those of :data:`wsi_parse.prompts.TARGETS`, and of its `vocabulary`.
    free_text : bool
        Whether it also accepts other texts than `prompts`.
    licence, purpose : str
        Licence of the weights, and what they may be used for.
    cpu_seconds_per_tile : float
        Core-seconds; for estimates.
    fields_um : tuple of float
        Fields that a user may choose from, for models whose cost depends on it.
    rank : int
        Of the installed models that know every prompt, `auto` takes the one with the highest rank; never rank 0.
    download : str
        Size of what `models get` downloads; empty if nothing is.
    published : str
        Results that the authors report for their weights, in a sentence.
    uses_organ : bool
        Whether the organ of the tissue changes what it plans; a model for free text always uses it.
    reference, bibtex : str
        The publication behind the model, for a list of references and as an entry of BibTeX; empty if there is none.
    vocabulary : tuple of Target
        Targets that :data:`wsi_parse.prompts.TARGETS` lacks, with their words, kind, class and colour. Where it has
        the same words, those of the model count.
    """

    name: str
    summary: str
    prompts: tuple[str, ...]
    free_text: bool = False
    licence: str = "Apache-2.0"
    purpose: str = RESEARCH_ONLY
    cpu_seconds_per_tile: float = 0.0
    fields_um: tuple[float, ...] = ()
    rank: int = 0
    download: str = ""
    published: str = ""
    uses_organ: bool = False
    reference: str = ""
    bibtex: str = ""
    vocabulary: tuple[Target, ...] = ()

    def prompt_of(self, text: str) -> Prompt:
        """Turn words into a prompt, as this model understands them."""
        return Prompt.parse(text, self.vocabulary)

    def knows(self, text: str) -> bool:
        """Return whether words name a target of this model."""
        return self.prompt_of(text).name in self.prompts


class Segmenter(ABC):
    """A model. One instance lives in each worker process and serves many slides from several threads.

    Parameters
    ----------
    settings : ModelSettings
    weights : Weights, optional
        What :meth:`find_weights` found.
    """

    spec: ClassVar[ModelSpec]
    #: Whether it runs on a device (a GPU, if there is one): its tasks then go to workers that declare one. A model that
    #: needs a processor only runs on every worker.
    uses_device: ClassVar[bool] = False
    #: Tiles per call of `predict`, unless the settings decide; one shape for a whole run.
    batch: int = 1
    #: The largest batch that fits into memory, once known.
    largest_batch: int | None = None
    #: Blocks that a process predicts at once; None: one per thread.
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
            If they are not installed; the remedy says how to get them.
        """
        del settings
        return None

    @classmethod
    def install(cls, file: Path | None = None, revision: str = "main") -> Weights:
        """Get the weights, check them, and install them.

        Parameters
        ----------
        file : Path, optional
            A local checkpoint; without it one is downloaded.
        revision : str
            Branch, tag or commit of the repository to download from.

        Raises
        ------
        UsageError
            If the model has no weights to install.
        """
        del file, revision
        raise UsageError(
            f"The model {cls.spec.name} has no weights to install.",
            f"Run it with --model {cls.spec.name}.",
        )

    @classmethod
    def weights_info(cls, weights: Weights) -> dict[str, Any]:
        """Describe a file of weights for JSON; the file is read completely and its tensors are checked by name."""
        del weights
        return {}

    @classmethod
    def recorded_sha256(cls) -> str | None:
        """Return the hash that the installed weights must have, by what came with them; None if nothing says so."""
        return None

    @classmethod
    def card(cls) -> str:
        """Return a short model card: training data and performance; empty if there is none."""
        return ""

    @classmethod
    def targets(cls, settings: ModelSettings) -> tuple[str, ...]:
        """Return the names of all targets of `--prompt all`."""
        del settings
        return cls.spec.prompts

    @classmethod
    @abstractmethod
    def plan(cls, prompts: Sequence[Prompt], settings: ModelSettings) -> tuple[ScalePass, ...]:
        """Plan how to predict `prompts`: one pass per scale, every prompt in exactly one recipe.

        Parameters
        ----------
        prompts : sequence of Prompt
        settings : ModelSettings
            Among them the field of a tile, if the user sets it.

        Raises
        ------
        UnknownPromptError
            Lists what the model knows, and a model that knows more.
        """

    def prepare(self, slide: Slide, tissue: TissueMask) -> State:
        """Look at a slide once; return a small state for JSON. Deterministic on one kind of device."""
        del slide, tissue
        return {}

    @classmethod
    def cautions_of(cls, state: State) -> tuple[Caution, ...]:
        """Return what is plausible but wrong about a slide, by what :meth:`prepare` found out about it."""
        del state
        return ()

    def warm_up(self, scale_pass: ScalePass, state: State) -> None:
        """Load the network and do what else the first prediction would wait for; its time counts to no tile."""
        del scale_pass, state

    @abstractmethod
    def predict(self, images: NDArray[np.uint8], scale_pass: ScalePass, state: State) -> Mapping[str, NDArray[Any]]:
        """Predict the channels of a batch of tiles; called from several threads at once.

        Parameters
        ----------
        images : uint8 array (B, tile_px, tile_px, 3)
            RGB at `scale_pass.read_mpp`.
        scale_pass : ScalePass
        state : mapping
            What `prepare` returned for this slide.

        Returns
        -------
        mapping of channel name to array (B, tile_px / stride, tile_px / stride)
            uint8 0..255, or floats in [0, 1].
        """

    def observe(
        self, images: NDArray[np.uint8], predictions: Mapping[str, NDArray[np.uint8]], scale_pass: ScalePass
    ) -> Mapping[str, NDArray[np.float64]]:
        """Return a few numbers for each tile, for :meth:`summarise`.

        Parameters
        ----------
        images : uint8 array (B, tile_px, tile_px, 3)
        predictions : mapping of channel name to uint8 array (B, tile_px / stride, tile_px / stride)
        scale_pass : ScalePass

        Returns
        -------
        mapping of channel name to float array (B, K)
        """
        del images, predictions, scale_pass
        return {}

    def summarise(self, noted: Mapping[str, NDArray[np.float64]], scale_pass: ScalePass) -> dict[str, Any]:
        """Summarise the numbers of :meth:`observe` over all tiles of a slide.

        Parameters
        ----------
        noted : mapping of channel name to float array (tiles, K)
        scale_pass : ScalePass

        Returns
        -------
        dict of prompt name to dict
            Facts for JSON, for the manifest. The member "sentence" holds a whole sentence for the user; the command
            line prints it after the name of the prompt.
        """
        del noted, scale_pass
        return {}


def to_uint8(name: str, values: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert a channel to its form on disk: [0, 1] to 0..255, rounded.

    Raises
    ------
    ModelError
        If values are not finite or leave [0, 1]: a failing model must not look like "nothing found".
    """
    if values.dtype == np.uint8:
        return values
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if not (np.isfinite(low) and np.isfinite(high) and low >= -1e-3 and high <= 1 + 1e-3):
        raise ModelError(
            f"Channel {name!r} of the model has values outside 0 to 1: {low:.3g} to {high:.3g}.",
            "Report this error to the author of the model; the slide is not the cause.",
        )
    return np.clip(np.rint(values * np.float32(255)), 0, 255).astype(np.uint8)
