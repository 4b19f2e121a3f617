"""ExampleModel: finds what is bluer than it is red; its threshold is its weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import UnknownPromptError
from wsi_parse.models.contract import ModelSpec, Segmenter, State
from wsi_parse.models.scale_pass import Channel, Recipe, ScalePass
from wsi_parse.models.weights import Weights, installed, weights_path, write_card
from wsi_parse.prompts import Prompt, Target
from wsi_parse.settings import ModelSettings
from wsi_parse.slides import Slide
from wsi_parse.tissue.mask import TissueMask
from wsi_parse_example.failing import fail

DISCS = Target("blue discs", "cell", "Disc", (0, 0, 200), ("blue dots",))
FIELDS = Target("blue fields", "region", "Field", (0, 100, 200))


class ExampleModel(Segmenter):
    spec: ClassVar = ModelSpec(
        name="example-model",
        summary="Finds what is blue.",
        prompts=("nuclei", "blue discs", "blue fields"),
        licence="MIT",
        rank=25,
        download="no bytes at all",
        vocabulary=(DISCS, FIELDS),
    )

    @classmethod
    def find_weights(cls, settings: ModelSettings) -> Weights:
        return Weights.of_file(settings.weights) if settings.weights else installed(cls.spec.name)

    @classmethod
    def install(cls, file: Path | None = None, revision: str = "main") -> Weights:
        path = weights_path(cls.spec.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.read_bytes() if file else b"30")
        return write_card(cls.spec.name, {"revision": revision})

    @classmethod
    def weights_info(cls, weights: Weights) -> dict[str, Any]:
        return {"threshold": int(weights.path.read_bytes())}

    @classmethod
    def card(cls) -> str:
        return "Learnt from nothing; every example is blue."

    @classmethod
    def plan(cls, prompts: Sequence[Prompt], settings: ModelSettings) -> tuple[ScalePass, ...]:
        unknown = [prompt.text for prompt in prompts if prompt.name not in cls.spec.prompts]
        if unknown:
            raise UnknownPromptError(f"The example does not know {unknown[0]!r}.", "Ask for blue discs.")
        recipes = tuple(Recipe(prompt, "blue") for prompt in prompts)
        return (ScalePass("example", settings.field_um or 64.0, 0.5, (Channel("blue", "probability"),), recipes),)

    def prepare(self, slide: Slide, tissue: TissueMask) -> State:
        return {"threshold": int((self.weights or self.find_weights(self.settings)).path.read_bytes())}

    def predict(self, images: NDArray[np.uint8], scale_pass: ScalePass, state: State) -> Mapping[str, NDArray[Any]]:
        fail("predict")
        red, blue = images[..., 0].astype(np.int16), images[..., 2].astype(np.int16)
        return {"blue": ((blue - red) >= state["threshold"]).astype(np.float32)}

    def observe(
        self, images: NDArray[np.uint8], predictions: Mapping[str, NDArray[np.uint8]], scale_pass: ScalePass
    ) -> Mapping[str, NDArray[np.float64]]:
        return {"blue": predictions["blue"].mean(axis=(1, 2))[:, None] / 255}

    def summarise(self, noted: Mapping[str, NDArray[np.float64]], scale_pass: ScalePass) -> dict[str, Any]:
        fail("summarise")
        shares = noted.get("blue", np.zeros((0, 1)))[:, 0]
        sentence = f"{int((shares > 0).sum())} of {len(shares)} tiles are partly blue."
        return {recipe.prompt.name: {"sentence": sentence} for recipe in scale_pass.recipes}
