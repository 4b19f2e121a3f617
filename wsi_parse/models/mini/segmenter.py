"""The embedded model as a Segmenter: one pass, nuclei, and their classes by vote."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wsi_parse.cautions import Caution, normal_breast, style_from_few_pixels
from wsi_parse.errors import SettingsError, UnknownPromptError
from wsi_parse.models.contract import ModelSpec, State
from wsi_parse.models.device_segmenter import DeviceSegmenter
from wsi_parse.models.mini.appearance import appearance_of
from wsi_parse.models.mini.card import figures, limitation_of, short_card
from wsi_parse.models.mini.confidence import BREAST, Confidence, confidence_of, organ_name
from wsi_parse.models.mini.facts import CLASS_OF, CLASS_STRIDE, CLASSES, EMBEDDED, READ_MPP
from wsi_parse.models.mini.stain_normalization import MIN_PIXELS, StainNormalization
from wsi_parse.models.scale_pass import Channel, Recipe, ScalePass
from wsi_parse.models.weights import Weights
from wsi_parse.prompts import Prompt, suggest_prompt
from wsi_parse.settings import ModelSettings
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask
from wsi_parse.tissue.samples import read_samples

FIELD_UM = 512.0
_FIELDS_UM = (64.0, 2048.0)
# The deepest stride of the network, in microns: tiles are multiples of it.
_STEP_UM = 8.0


class MiniModel(DeviceSegmenter):
    """Nuclei of H&E and their classes, by a network of 1.7 million parameters inside the package."""

    spec: ClassVar[ModelSpec] = ModelSpec(
        name="mini",
        summary="Nuclei in H&E, and (experimental) their classes; a small network inside the package.",
        prompts=("nuclei", *CLASS_OF),
        licence="Apache-2.0",
        cpu_seconds_per_tile=1.1,
        rank=20,
        uses_organ=True,
    )

    gpu_bytes_per_tile = 1 << 30
    max_tiles = 16

    def __init__(self, settings: ModelSettings | None = None, weights: Weights | None = None) -> None:
        super().__init__(settings, weights)
        self._computing = threading.Lock()
        self._network: Any = None

    @classmethod
    def find_weights(cls, settings: ModelSettings) -> Weights:
        """Find the weights in the package, or take a file; see :class:`wsi_parse.models.contract.Segmenter`."""
        return Weights.of_file(settings.weights or EMBEDDED)

    @classmethod
    def recorded_sha256(cls) -> str:
        """Return the hash of the network that the figures of the model card were measured with."""
        return str(figures()["weights_sha256"])

    @classmethod
    def card(cls) -> str:
        """Return the short model card."""
        return short_card()

    @classmethod
    def plan(cls, prompts: Sequence[Prompt], settings: ModelSettings) -> tuple[ScalePass, ...]:
        """Plan one pass for all prompts; see :class:`wsi_parse.models.contract.Segmenter`."""
        for prompt in prompts:
            if prompt.name not in cls.spec.prompts:
                raise UnknownPromptError(
                    f"The embedded model (mini) does not know {prompt.text!r}: it knows {', '.join(cls.spec.prompts)}.",
                    f"{suggest_prompt(prompt.text)} Get BiomedParse for any text: wsi-parse models get biomedparse.",
                )
        field_um = settings.field_um or FIELD_UM
        if field_um % _STEP_UM or not _FIELDS_UM[0] <= field_um <= _FIELDS_UM[1]:
            raise SettingsError(
                f"The embedded model (mini) does not support a field of {field_um:g} µm.",
                f"Choose a multiple of {_STEP_UM:g} µm from {_FIELDS_UM[0]:g} to {_FIELDS_UM[1]:g}, "
                "or leave --field-um out.",
            )
        by_class = any(prompt.name in CLASS_OF for prompt in prompts)
        classes = [Channel(name, "class", CLASS_STRIDE) for name in CLASSES] if by_class else []
        channels = (Channel("nucleus", "probability"), Channel("distance", "distance"), *classes)
        if not by_class:
            recipes = tuple(Recipe(prompt, "nucleus", "distance") for prompt in prompts)
            return (ScalePass("mini", field_um, READ_MPP, channels, recipes),)
        confidence = confidence_of(settings.weights)
        recipes = tuple(_recipe(prompt, confidence, settings.organ) for prompt in prompts)
        limitation = limitation_of(recipes, confidence, settings)
        cautions = _prompt_cautions(prompts, settings.organ)
        return (ScalePass("mini", field_um, READ_MPP, channels, recipes, (limitation,), cautions, confidence.ranges()),)

    def prepare(self, slide: Slide, tissue: TissueMask) -> State:
        """Measure light, staining and sharpness, and choose device and precision, once for all workers."""
        return {**appearance_of(read_samples(slide, tissue, READ_MPP)), **self.numerics}

    @classmethod
    def cautions_of(cls, state: State) -> tuple[Caution, ...]:
        """Question an estimate from few pixels."""
        pixels = state.get("pixels", 0)
        return (style_from_few_pixels(pixels),) if 0 < pixels < MIN_PIXELS else ()

    def warm_up(self, scale_pass: ScalePass, state: State) -> None:
        """Load the network; on a GPU let its libraries choose their algorithms."""
        with self._computing:
            if self._network is not None:
                return
            _ = self.network
        self.predict(np.zeros((1, scale_pass.tile_px, scale_pass.tile_px, 3), np.uint8), scale_pass, state)

    def predict(self, images: NDArray[np.uint8], scale_pass: ScalePass, state: State) -> Mapping[str, NDArray[Any]]:
        """See :class:`wsi_parse.models.contract.Segmenter`."""
        import torch

        from wsi_parse.models.device import compute_in
        from wsi_parse.models.mini.postprocess import channels_of

        stain_normalization = StainNormalization(tuple(state["white"]), state["strength"])
        with (
            self._computing,
            torch.inference_mode(),
            compute_in(state["precision"], self.device, state["threads"]),
        ):
            channels = channels_of(
                self.network, torch.from_numpy(np.ascontiguousarray(images)).to(self.device), stain_normalization
            )
            return {channel.name: channels[channel.name].cpu().numpy() for channel in scale_pass.channels}

    @property
    def network(self) -> Any:  # noqa: ANN401 - MiniNetwork; importing torch takes seconds
        """The network, loaded when it is first needed, after its weights are checked."""
        from wsi_parse.models.device import one_thread
        from wsi_parse.models.mini.network import fuse
        from wsi_parse.models.mini.weights import load_network

        if self._network is None:
            weights = self.weights or self.find_weights(self.settings)
            weights.check()
            with one_thread():
                network = fuse(load_network(weights.path)).requires_grad_(False)
            self._network = network.to(self.device)
        return self._network


def _recipe(prompt: Prompt, confidence: Confidence, organ: str | None) -> Recipe:
    class_name = CLASS_OF.get(prompt.name)
    if class_name is None:
        return Recipe(prompt, "nucleus", "distance")
    line = confidence.line(class_name, prompt.site or organ)
    return Recipe(prompt, "nucleus", "distance", CLASSES, class_name, min_class_probability=line)


def _prompt_cautions(prompts: Sequence[Prompt], organ: str | None) -> tuple[Caution, ...]:
    """Question neoplastic nuclei in breast, and where no organ is named."""
    return tuple(
        normal_breast(prompt.name, "mini")
        for prompt in prompts
        if CLASS_OF.get(prompt.name) == "neoplastic" and organ_name(prompt.site or organ or BREAST) == BREAST
    )
