"""BiomedParse as a model of this package: prompts at their trained scale, tiles in batches, words encoded once."""

import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import ModelError
from wsi_parse.models.base import Channel, ModelSpec, Pass, Recipe, Segmenter, State
from wsi_parse.models.biomedparse import existence
from wsi_parse.models.biomedparse.targets import KNOWN, SCALES, notes_on, targets_of, words_of
from wsi_parse.models.weights import Weights, installed
from wsi_parse.prompts import Prompt
from wsi_parse.settings import ModelSettings
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue import TissueMask

NAME = "biomedparse"
INPUT_PX = 1024
OUTPUT_PX = 256
# A pixel size a little coarser than the trained one is no reason to read four times the pixels.
_TOLERANCE = 1.02
# Estimated for 1024 px in bfloat16, not measured; too large a batch is halved.
_GPU_BYTES_A_TILE = 3 << 30
_LARGEST_BATCH = 16


class BiomedParseModel(Segmenter):
    """Text-prompted segmentation with BiomedParse v1.

    Notes
    -----
    A tile is enlarged to 1024 px and answered with 256 x 256 probabilities: that is the channel's resolution, and
    nothing is enlarged to the input's again. Each prompt is answered on its own; features of the image are shared.
    """

    spec: ClassVar[ModelSpec] = ModelSpec(
        name=NAME,
        summary="BiomedParse v1 (Zhao et al., Nature Methods 2024): what your words say, in H&E and beyond.",
        prompts=KNOWN,
        free_text=True,
        licence="CC-BY-NC-SA-4.0",
        purpose="research use only, non-commercial, not for clinical use",
        cpu_seconds_a_tile=42.0,
        fields_um=(64.0, 128.0, 256.0),
    )

    def __init__(self, settings: ModelSettings | None = None, weights: Weights | None = None) -> None:
        super().__init__(settings, weights)
        self._lock = threading.Lock()
        self._computing = threading.Lock()
        self._network: Any = None
        self._words: dict[tuple[str, ...], Any] = {}

    @classmethod
    def find_weights(cls, settings: ModelSettings) -> Weights:
        """See :class:`wsi_parse.models.base.Segmenter`."""
        return Weights.of_file(settings.weights) if settings.weights else installed(NAME)

    @classmethod
    def targets(cls, settings: ModelSettings) -> tuple[str, ...]:
        """All known targets, or those of the organ."""
        return targets_of(settings.organ)

    @classmethod
    def plan(cls, prompts: Sequence[Prompt], settings: ModelSettings) -> tuple[Pass, ...]:
        """One pass a field; see :class:`wsi_parse.models.base.Segmenter`."""
        by_scale: dict[tuple[float, int], list[Prompt]] = {}
        for prompt in prompts:
            scale = SCALES[prompt.kind]
            field_um = settings.field_um or scale.field_um
            by_scale.setdefault((field_um, read_px(field_um, scale.mpp)), []).append(prompt)
        return tuple(_pass(field_um, side, asked, settings.organ) for (field_um, side), asked in by_scale.items())

    @cached_property
    def device(self) -> Any:  # noqa: ANN401 - torch.device; importing torch takes seconds
        """The torch device it runs on."""
        from wsi_parse.models.device import choose_device

        return choose_device(self.settings.device)

    @cached_property
    def batch(self) -> int:  # type: ignore[override]
        """On a GPU what its memory holds, a power of two; one on the CPU, where more gains nothing."""
        from wsi_parse.models.device import memory_bytes

        memory = memory_bytes(self.device)
        if memory is None:
            return 1
        fit = max(1, min(_LARGEST_BATCH, memory // _GPU_BYTES_A_TILE))
        return 1 << (fit.bit_length() - 1)

    @cached_property
    def at_once(self) -> int:  # type: ignore[override]
        """Two on a GPU, so that one block is read while the other is computed; one on the CPU, which does both."""
        return 2 if self.device.type == "cuda" else 1

    def prepare(self, slide: Slide, tissue: TissueMask) -> State:
        """Decide device and precision once, for all workers; the slide plays no part."""
        del slide, tissue
        return self.runs_on

    @cached_property
    def runs_on(self) -> State:
        """Kind and name of the device, and the precision."""
        from wsi_parse.models.device import choose_precision, device_name

        precision = choose_precision(self.settings.precision, self.device)
        return {"device": self.device.type, "device_name": device_name(self.device), "precision": precision}

    def predict(self, images: NDArray[np.uint8], job: Pass, state: State) -> Mapping[str, NDArray[Any]]:
        """See :class:`wsi_parse.models.base.Segmenter`."""
        import torch

        from wsi_parse.models.biomedparse.picture import resized, to_device
        from wsi_parse.models.device import computing_in

        network = self.network
        with self._computing, torch.inference_mode():
            words = self._encoded(tuple(recipe.words for recipe in job.recipes))
            pixels = resized(to_device(images, self.device), INPUT_PX)
            with computing_in(state["precision"], self.device):
                probability = network(pixels, words)
            if not bool(torch.isfinite(probability).all()):
                raise ModelError(
                    "BiomedParse gave numbers that are none (NaN or infinite).",
                    "Try --set model.precision=float32; see also: wsi-parse models verify biomedparse.",
                )
            answers = (probability * 255).round_().to(torch.uint8).cpu().numpy()
        return {channel.name: answers[:, number] for number, channel in enumerate(job.channels)}

    def warm_up(self, job: Pass, state: State) -> None:
        """Load, encode the words, and on a GPU let its libraries choose their algorithms."""
        words = tuple(recipe.words for recipe in job.recipes)
        with self._computing:
            if words in self._words:
                return
            self._encoded(words)
        if self.device.type == "cuda":
            batch = self.settings.batch or self.batch
            self.predict(np.zeros((batch, job.tile_px, job.tile_px, 3), np.uint8), job, state)

    @property
    def network(self) -> Any:  # noqa: ANN401 - the network; importing torch takes seconds
        """The network, loaded when it is first needed."""
        from wsi_parse.models.biomedparse.load import load

        with self._lock:
            if self._network is None:
                self._network = load(self.weights or self.find_weights(self.settings), self.device)
            return self._network

    def _encoded(self, texts: tuple[str, ...]) -> Any:  # noqa: ANN401 - Words
        """Words of a pass, encoded in float32 when they are first asked for."""
        import torch

        network = self.network
        with self._lock, torch.inference_mode():
            if texts not in self._words:
                self._words[texts] = network.read(texts)
            return self._words[texts]

    def observe(
        self, images: NDArray[np.uint8], answers: Mapping[str, NDArray[np.uint8]], job: Pass
    ) -> Mapping[str, NDArray[np.float64]]:
        """Means over each mask, for the published existence statistic; nothing where it is not there."""
        known = self._distributions
        if known is None:
            return {}
        return {
            recipe.probability: existence.mask_means(images, answers[recipe.probability])
            for recipe in job.recipes
            if known.of(recipe.prompt.name) is not None
        }

    def summarise(self, noted: Mapping[str, NDArray[np.float64]], job: Pass) -> dict[str, Any]:
        """How well the masks of each prompt fit those of the training data."""
        known = self._distributions
        if known is None:
            return {}
        return {
            recipe.prompt.name: existence.summarise(noted[recipe.probability], parameters)
            for recipe in job.recipes
            if recipe.probability in noted and (parameters := known.of(recipe.prompt.name)) is not None
        }

    @cached_property
    def _distributions(self) -> existence.TargetDistributions | None:
        weights = self.weights or self.find_weights(self.settings)
        path = weights.folder / existence.FILE_NAME
        return existence.TargetDistributions.load(path) if path.exists() else None


def read_px(field_um: float, trained_mpp: float) -> int:
    """Side of a tile as it is read: a multiple of the output's, at the trained scale or finer, at most the input's.

    >>> read_px(64.0, 0.25), read_px(128.0, 0.25), read_px(480.0, 0.625), read_px(900.0, 0.25)
    (256, 512, 768, 1024)
    """
    times = next((n for n in (1, 2, 3) if field_um / (n * OUTPUT_PX) <= trained_mpp * _TOLERANCE), 4)
    return times * OUTPUT_PX


def _pass(field_um: float, side: int, prompts: Sequence[Prompt], organ: str | None) -> Pass:
    recipes = tuple(Recipe(prompt, prompt.name, words=words_of(prompt, organ)) for prompt in prompts)
    return Pass(
        f"field-{field_um:g}um",
        field_um,
        field_um / side,
        tuple(Channel(prompt.name, "probability", side // OUTPUT_PX) for prompt in prompts),
        recipes,
        tuple(note for prompt in prompts for note in notes_on(prompt, organ, field_um)),
    )
