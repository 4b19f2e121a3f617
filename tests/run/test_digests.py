"""Three nested digests: each setting counts for the stage that it decides, and for those after it."""

from dataclasses import replace

import numpy as np
import pytest

from tests.one_pass import ArrayReader
from wsi_parse.geometry import Box
from wsi_parse.models.scale_pass import Channel, LearntRange, Recipe, ScalePass
from wsi_parse.prompts import Prompt
from wsi_parse.registry import EXPORTERS, MODELS, READERS, Registry
from wsi_parse.run.digests import Digests
from wsi_parse.settings import RunSettings
from wsi_parse.slides.base import PixelSize
from wsi_parse.slides.slide import Slide, SlideOptions

# What may be changed between a run and its resumption. Region, weights, pixel size and name of the slide enter by what
# follows from them, prompts and classes by the recipes and names that follow from them.
OF_NO_STAGE = {
    "prompts",
    "tiles.block",
    "slide.roi",
    "slide.mpp",
    "slide.override_mpp",
    "slide.reader",
    "slide.name",
    "model.weights",
    "model.threads",
    "export.keep",
    "export.classes",
} | {f"compute.{name}" for name in type(RunSettings().compute).model_fields}
PIXELS = np.full((40, 60, 3), 255, np.uint8)
NUCLEI = Prompt.parse("nuclei")
PASS = ScalePass("one", 128.0, 0.5, (Channel("ink", "probability"),), (Recipe(NUCLEI, "ink", model_prompt="nuclei"),))


def leaves() -> dict[str, object]:
    """Return every setting as section.key -> another value than its default."""
    other = {
        "field_um": 64,
        "override_mpp": True,
        "roi": "a.geojson",
        "reader": "other",
        "name": "stain",
        "keep": "[predictions]",
        "device": "cuda",
        "weights": "a.safetensors",
        "precision": "bfloat16",
        "free_text_kind": "cell",
        "organ": "breast",
        "min_class_probability": 0.5,
        "frame": "level0",
        "cell_expansion_um": 5,
        "classes": "{nuclei: {name: Tumor}}",
        "cluster": "slurm",
        "options": "{cores: 2}",
        "tls_ca": "ca.pem",
        "tls_cert": "cert.pem",
        "tls_key": "key.pem",
    }
    changed: dict[str, object] = {"prompts": "[nuclei]"}
    for section, values in RunSettings().model_dump(exclude={"prompts"}).items():
        for key, value in values.items():
            if key in other:
                changed[f"{section}.{key}"] = other[key]
            elif isinstance(value, bool):
                changed[f"{section}.{key}"] = not value
            elif isinstance(value, float):
                changed[f"{section}.{key}"] = value * 0.9
            elif isinstance(value, tuple):
                changed[f"{section}.{key}"] = "[geojson]"
            else:
                changed[f"{section}.{key}"] = (value or 1) + 1
    return changed


def slide_of(mpp: float = 0.5, fingerprint: str = "f", name: str = "array") -> Slide:
    slide = Slide(ArrayReader(PIXELS, (mpp, mpp), Box(0, 0, 9, 9)), PIXELS, SlideOptions())
    slide.info = replace(slide.info, name=name, fingerprint=fingerprint, pixel_size=PixelSize(mpp, mpp, "test"))
    return slide


def digests(
    settings: RunSettings | None = None,
    slide: Slide | None = None,
    scale_pass: ScalePass = PASS,
    prompt: Prompt = NUCLEI,
    roi: str = "",
) -> Digests:
    return Digests.of(settings or RunSettings(), slide or slide_of(), (scale_pass,), (prompt,), None, roi)


def first_changed(one: Digests, other: Digests) -> str | None:
    """Return the first stage that differs; all after it must differ too."""
    changed = [name for name in Digests.model_fields if getattr(one, name) != getattr(other, name)]
    assert changed == list(Digests.model_fields)[len(Digests.model_fields) - len(changed) :]
    return changed[0] if changed else None


@pytest.mark.parametrize(("name", "value"), leaves().items())
def test_each_setting_counts_from_its_stage_on(name: str, value: object) -> None:
    changed = RunSettings.load(overrides=[f"{name}={value}"])
    assert changed != RunSettings()
    expected = {"objects": "objects", "export": "outputs"}.get(name.partition(".")[0], "predict")
    if name == "model.organ":
        # Where maps and objects depend on it, it is in the words and the lines of the recipes.
        expected = "outputs"
    if name == "slide.skip_unreadable":
        # The maps of blocks that were read whole are kept when a user adds it after a failure.
        expected = "objects"
    assert first_changed(digests(), digests(changed)) == (None if name in OF_NO_STAGE else expected)


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        ({"slide": slide_of(0.25)}, "predict"),
        ({"slide": slide_of(fingerprint="g")}, "predict"),
        ({"roi": "hash"}, "predict"),
        ({"scale_pass": replace(PASS, read_mpp=1.0)}, "predict"),
        ({"scale_pass": replace(PASS, channels=(Channel("ink", "probability", 2),))}, "predict"),
        ({"scale_pass": replace(PASS, recipes=(replace(PASS.recipes[0], model_prompt="cells"),))}, "predict"),
        ({"scale_pass": replace(PASS, recipes=(replace(PASS.recipes[0], min_class_probability=0.6),))}, "objects"),
        ({"scale_pass": replace(PASS, recipes=(replace(PASS.recipes[0], distance="ink"),))}, "objects"),
        ({"scale_pass": replace(PASS, learnt=(LearntRange("strength", "the stain", 0.2, 0.9),))}, "objects"),
        (
            {"scale_pass": replace(PASS, recipes=(replace(PASS.recipes[0], prompt=replace(NUCLEI, kind="region")),))},
            "objects",
        ),
        ({"slide": slide_of(name="case 7")}, "outputs"),
        ({"prompt": replace(NUCLEI, colour=(1, 2, 3))}, "outputs"),
        ({"prompt": replace(NUCLEI, class_name="Other")}, "outputs"),
        ({"scale_pass": replace(PASS, notes=("A caution.",))}, None),
    ],
)
def test_what_is_not_a_setting_counts_from_its_stage_on(change: dict[str, object], stage: str | None) -> None:
    assert first_changed(digests(), digests(**change)) == stage  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        (READERS, {"predict", "objects", "outputs"}),
        (MODELS, {"predict", "objects", "outputs"}),
        (EXPORTERS, {"outputs"}),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_another_version_of_a_plug_in_counts(
    monkeypatch: pytest.MonkeyPatch, kind: Registry, changed: set[str]
) -> None:
    before = digests()
    monkeypatch.setattr(kind, "package_of", lambda name: "their-package 2.0")
    after = digests()
    assert {name for name in before.model_fields_set if getattr(before, name) != getattr(after, name)} == changed
