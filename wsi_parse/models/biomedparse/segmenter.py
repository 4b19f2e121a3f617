"""BiomedParse as a Segmenter: prompts at their trained scale, tiles in batches, texts encoded once."""

import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import ModelError, SettingsError
from wsi_parse.models.biomedparse import existence
from wsi_parse.models.biomedparse.network_sizes import RELEASED, read_sizes
from wsi_parse.models.biomedparse.targets import KNOWN, SCALES, Scale, model_prompt, notes_on, targets_of
from wsi_parse.models.contract import ModelSpec, State
from wsi_parse.models.device_segmenter import DeviceSegmenter
from wsi_parse.models.scale_pass import Channel, Recipe, ScalePass
from wsi_parse.models.weights import Weights, installed
from wsi_parse.prompts import Prompt
from wsi_parse.settings import ModelSettings
from wsi_parse.slides.slide import Slide
from wsi_parse.text import RESEARCH_ONLY
from wsi_parse.tissue.mask import TissueMask

NAME = "biomedparse"
INPUT_PX = 1024
OUTPUT_PX = 256
# A pixel size that is only a little coarser than the trained one does not justify reading four times the pixels.
_TOLERANCE = 1.02
_FIELDS_UM = (16.0, 4096.0)
# Here a pixel of the output is 1 µm wide, and a nucleus 6 pixels.
_COARSE_FIELD_UM = 256.0


class BiomedParseModel(DeviceSegmenter):
    """Text-prompted segmentation with BiomedParse v1.

    Notes
    -----
    A tile is enlarged to 1024 px, and the output has 256 x 256 probabilities: the resolution of the channel, which is
    not enlarged again. Each prompt is predicted on its own; the features of the image are shared.
    """

    spec: ClassVar[ModelSpec] = ModelSpec(
        name=NAME,
        summary="BiomedParse v1 (Zhao et al., Nature Methods 2024): segments objects that you name, in H&E and others.",
        prompts=KNOWN,
        free_text=True,
        licence="CC-BY-NC-SA-4.0",
        purpose=f"non-commercial; {RESEARCH_ONLY}",
        cpu_seconds_per_tile=36.0,
        fields_um=(64.0, 128.0, 256.0),
        rank=30,
        download="1.8 GB",
        reference="Zhao T, Gu Y, Yang J, et al. A foundation model for joint segmentation, detection and recognition "
        "of biomedical objects across nine modalities. Nature Methods (2024). doi:10.1038/s41592-024-02499-w",
        bibtex="@article{zhao2024biomedparse,\n"
        "  author  = {Zhao, Theodore and Gu, Yu and Yang, Jianwei and others},\n"
        "  title   = {A foundation model for joint segmentation, detection and recognition of biomedical objects "
        "across nine modalities},\n"
        "  journal = {Nature Methods},\n"
        "  year    = {2024},\n"
        "  doi     = {10.1038/s41592-024-02499-w}\n"
        "}",
        published="The authors report a mean Dice of 0.745 (median 0.826) for neoplastic cells.",
    )

    # Estimated for 1024 px, not measured; too large a batch is halved.
    gpu_bytes_per_tile = 3 << 30
    # Half a block: larger batches would be padded more often than filled.
    max_tiles = 8

    def __init__(self, settings: ModelSettings | None = None, weights: Weights | None = None) -> None:
        super().__init__(settings, weights)
        self._lock = threading.Lock()
        self._computing = threading.Lock()
        self._network: Any = None
        self._embeddings: dict[tuple[str, ...], Any] = {}

    @classmethod
    def find_weights(cls, settings: ModelSettings) -> Weights:
        """See :class:`wsi_parse.models.contract.Segmenter`."""
        if settings.weights is None:
            return installed(NAME)
        weights = Weights.of_file(settings.weights)
        read_sizes(weights.path)
        return weights

    @classmethod
    def install(cls, file: Path | None = None, revision: str = "main") -> Weights:
        """See :class:`wsi_parse.models.contract.Segmenter`."""
        from wsi_parse.models.biomedparse.install import install_download, install_file

        return install_download(cls.spec, revision) if file is None else install_file(file, cls.spec)

    @classmethod
    def weights_info(cls, weights: Weights) -> dict[str, Any]:
        """Count tensors and parameters, and compare with the released network."""
        from wsi_parse.models.biomedparse.convert import read_converted

        sizes, tensors = read_converted(weights.path)
        return {
            "keys": len(tensors),
            "parameters": sum(tensor.numel() for tensor in tensors.values()),
            "network": "as released" if sizes == RELEASED else "smaller than the released BiomedParse",
        }

    @classmethod
    def targets(cls, settings: ModelSettings) -> tuple[str, ...]:
        """Return all known targets, or those of the organ."""
        return targets_of(settings.organ)

    @classmethod
    def plan(cls, prompts: Sequence[Prompt], settings: ModelSettings) -> tuple[ScalePass, ...]:
        """Plan one pass per field; see :class:`wsi_parse.models.contract.Segmenter`."""
        if settings.field_um is not None and not _FIELDS_UM[0] <= settings.field_um <= _FIELDS_UM[1]:
            raise SettingsError(
                f"BiomedParse does not support a field of {settings.field_um:g} µm.",
                f"Choose {_FIELDS_UM[0]:g} to {_FIELDS_UM[1]:g} µm; it was trained on cells in fields of 64 µm and on "
                "glands in fields of 480 µm.",
            )
        by_scale: dict[tuple[float, int], list[Prompt]] = {}
        for prompt in prompts:
            scale = SCALES[prompt.kind]
            if settings.field_um is not None:
                # One field for all prompts is one pass, at the finest of their scales.
                scale = Scale(settings.field_um, min(SCALES[one.kind].mpp for one in prompts))
            by_scale.setdefault((scale.field_um, read_px(scale.field_um, scale.mpp)), []).append(prompt)
        return tuple(_pass(field_um, side, group, settings) for (field_um, side), group in by_scale.items())

    def prepare(self, slide: Slide, tissue: TissueMask) -> State:
        """Choose device and precision once, for all workers, independent of the slide."""
        del slide, tissue
        return self.runs_on

    @cached_property
    def runs_on(self) -> State:
        """What results depend on besides the weights; a run that is resumed with anything else starts anew."""
        statistic = self._statistic_file
        return {
            **self.numerics,
            "existence_sha256": Weights.of_file(statistic).sha256 if statistic.exists() else None,
        }

    def predict(self, images: NDArray[np.uint8], scale_pass: ScalePass, state: State) -> Mapping[str, NDArray[Any]]:
        """See :class:`wsi_parse.models.contract.Segmenter`."""
        import torch

        from wsi_parse.models.biomedparse.tile_input import resized, to_device
        from wsi_parse.models.device import compute_in

        network = self.network
        with self._computing, torch.inference_mode():
            text = self._encode(tuple(recipe.model_prompt for recipe in scale_pass.recipes))
            pixels = resized(to_device(images, self.device), INPUT_PX)
            with compute_in(state["precision"], self.device, state["threads"]):
                probability = network(pixels, text)
            if not bool(torch.isfinite(probability).all()):
                raise ModelError(
                    "BiomedParse returned NaN or infinity.",
                    "Try --set model.precision=float32, and run: wsi-parse models verify biomedparse",
                )
            channels = (probability * 255).round_().to(torch.uint8).cpu().numpy()
        return {channel.name: channels[:, number] for number, channel in enumerate(scale_pass.channels)}

    def warm_up(self, scale_pass: ScalePass, state: State) -> None:
        """Load the network, encode the texts, and on a GPU let its libraries choose their algorithms."""
        texts = tuple(recipe.model_prompt for recipe in scale_pass.recipes)
        with self._computing:
            if texts in self._embeddings:
                return
            self._encode(texts)
        if self.device.type == "cuda":
            self.predict(np.zeros((1, scale_pass.tile_px, scale_pass.tile_px, 3), np.uint8), scale_pass, state)

    @property
    def network(self) -> Any:  # noqa: ANN401 - the network; importing torch takes seconds
        """The network, loaded when it is first needed."""
        from wsi_parse.models.biomedparse.load import load

        with self._lock:
            if self._network is None:
                self._network = load(self.weights or self.find_weights(self.settings), self.device)
            return self._network

    def _encode(self, texts: tuple[str, ...]) -> Any:  # noqa: ANN401 - TextEmbeddings
        """Return the texts of a pass, encoded in float32 when they are first needed."""
        import torch

        network = self.network
        with self._lock, torch.inference_mode():
            if texts not in self._embeddings:
                self._embeddings[texts] = network.encode_text(texts)
            return self._embeddings[texts]

    def observe(
        self, images: NDArray[np.uint8], predictions: Mapping[str, NDArray[np.uint8]], scale_pass: ScalePass
    ) -> Mapping[str, NDArray[np.float64]]:
        """Compute means over each mask, for the published existence statistic, if it is installed."""
        known = self._distributions
        if known is None:
            return {}
        return {
            recipe.probability: existence.mask_means(images, predictions[recipe.probability])
            for recipe in scale_pass.recipes
            if known.of(recipe.prompt.name) is not None
        }

    def summarise(self, noted: Mapping[str, NDArray[np.float64]], scale_pass: ScalePass) -> dict[str, Any]:
        """Summarise how well the masks of each prompt fit those of the training data."""
        known = self._distributions
        if known is None:
            return {}
        return {
            recipe.prompt.name: existence.summarise(noted[recipe.probability], parameters)
            for recipe in scale_pass.recipes
            if recipe.probability in noted and (parameters := known.of(recipe.prompt.name)) is not None
        }

    @cached_property
    def _distributions(self) -> existence.TargetDistributions | None:
        path = self._statistic_file
        return existence.TargetDistributions.load(path) if path.exists() else None

    @property
    def _statistic_file(self) -> Path:
        return (self.weights or self.find_weights(self.settings)).folder / existence.FILE_NAME


def read_px(field_um: float, trained_mpp: float) -> int:
    """Return the side of a tile when read: a multiple of the output, at the trained scale or finer, at most the input.

    >>> read_px(64.0, 0.25), read_px(128.0, 0.25), read_px(480.0, 0.625), read_px(900.0, 0.25)
    (256, 512, 768, 1024)
    """
    times = next((n for n in (1, 2, 3) if field_um / (n * OUTPUT_PX) <= trained_mpp * _TOLERANCE), 4)
    return times * OUTPUT_PX


def _checked(text: str) -> str:
    """Refuse a text that is longer than the network reads."""
    # A token has at least one character: only long texts need the tokenizer, which takes seconds to load.
    if len(text) > RELEASED.text_length - 2:
        from wsi_parse.models.biomedparse.tokens import tokenise

        tokenise(text, RELEASED.text_length)
    return text


def _pass(field_um: float, side: int, prompts: Sequence[Prompt], settings: ModelSettings) -> ScalePass:
    organ = settings.organ
    recipes = tuple(
        Recipe(prompt, prompt.name, model_prompt=_checked(model_prompt(prompt, organ))) for prompt in prompts
    )
    return ScalePass(
        f"field-{field_um:g}um-{side}px",
        field_um,
        field_um / side,
        tuple(Channel(prompt.name, "probability", side // OUTPUT_PX) for prompt in prompts),
        recipes,
        _notes(field_um, prompts, settings),
    )


def _notes(field_um: float, prompts: Sequence[Prompt], settings: ModelSettings) -> tuple[str, ...]:
    notes = [note for prompt in prompts for note in notes_on(prompt, settings.organ, field_um)]
    if field_um > _COARSE_FIELD_UM and any(prompt.kind == "cell" for prompt in prompts):
        notes.append(
            f"In fields of {field_um:g} µm, a pixel of the output is {field_um / OUTPUT_PX:.1f} µm wide, so cells are "
            "missed or merged: choose a smaller --field-um."
        )
    if settings.weights is not None and read_sizes(settings.weights) != RELEASED:
        notes.append("These weights belong to a smaller network, not to the released BiomedParse.")
    return tuple(notes)
