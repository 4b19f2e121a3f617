"""`models verify` works for any model: own words, own fields, classes, tiles smaller than a field."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image

from tests.models.fake import IMMUNE, TUMOUR, FakeClassModel
from tests.models.test_contract import discs
from wsi_parse.errors import PluginError, UnknownPromptError, UsageError
from wsi_parse.evaluate.verify_model import verify
from wsi_parse.models.contract import ModelSpec
from wsi_parse.prompts import Target
from wsi_parse.registry import MODELS

DOTS = Target("red dots", "cell", "Dot", (200, 0, 0), ("dots",))


class Dots(FakeClassModel):
    """Knows a target that no other model knows."""

    spec: ClassVar = ModelSpec(
        "fake", "for tests", ("red dots", "nuclei", "neoplastic cells", "inflammatory cells"), vocabulary=(DOTS,)
    )


class Failing(Dots):
    def predict(self, *_: Any) -> Any:
        raise ZeroDivisionError("division by zero")


@pytest.fixture
def model() -> Iterator[None]:
    MODELS.add("fake", Dots)
    yield
    MODELS.remove("fake")


def labelled(folder: Path, width: int, height: int) -> Path:
    """Discs of two hues; the masks show the tumour's."""
    centres = {
        (x, y): TUMOUR if (x + y) // 60 % 2 else IMMUNE for x in range(30, width, 60) for y in range(30, height, 60)
    }
    pixels = discs(centres, width, height)
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    Image.fromarray(pixels).save(folder / "images" / "a.png")
    Image.fromarray((pixels == TUMOUR).all(axis=2)).save(folder / "masks" / "a.png")
    return folder


# A field has 128 µm: two and a half of these pixels make one that is read.
@pytest.mark.parametrize("mpp", [0.5, 0.2])
@pytest.mark.parametrize("text", ["neoplastic cells", "Tumour cells"])
def test_one_class_is_compared_with_its_own_mask(model: None, tmp_path: Path, text: str, mpp: float) -> None:
    facts = verify("fake", None, labelled(tmp_path, 1300, 700), text, mpp)
    side = round(128 / mpp)
    assert facts["labelled_fields"] == (1300 // side) * (700 // side)
    assert facts["dice_mean"] > (0.9 if mpp == 0.5 else 0.8)
    assert (facts["prompt"], facts["field_um"]) == ("neoplastic cells", 128.0)


def test_without_words_it_is_the_first_target_in_the_models_own(model: None, tmp_path: Path) -> None:
    folder = labelled(tmp_path, 600, 600)
    facts = verify("fake", None, folder, None, 0.5)
    assert facts["prompt"] == "red dots"
    assert verify("fake", None, folder, "Dots", 0.5) == {**facts, "seconds": pytest.approx(facts["seconds"], abs=60)}
    # All discs are found, and half of them are in the mask.
    assert 0.5 < facts["dice_mean"] < 0.8


def test_a_tile_smaller_than_a_field_is_filled_up_and_said(model: None, tmp_path: Path) -> None:
    facts = verify("fake", None, labelled(tmp_path, 200, 180), "neoplastic cells", 0.5)
    assert (facts["labelled_fields"], facts["tiles_smaller_than_a_field"]) == (1, 1)
    assert facts["dice_mean"] > 0.95


def test_what_cannot_be_verified_is_said(model: None, tmp_path: Path) -> None:
    with pytest.raises(UnknownPromptError, match="does not know unicorns"):
        verify("fake", None, None, "unicorns", 0.5)
    with pytest.raises(UsageError, match="not a folder of labelled tiles"):
        verify("fake", None, tmp_path, None, 0.5)
    MODELS.add("fake", Failing)
    with pytest.raises(PluginError, match="The model fake failed: ZeroDivisionError"):
        verify("fake", None, None, None, 0.5)


def test_pipes_and_huge_pictures_are_no_tiles(model: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = labelled(tmp_path, 300, 300)
    with monkeypatch.context() as patch:
        patch.setattr("wsi_parse.evaluate.labelled_tiles._MAX_PIXELS", 80_000)
        with pytest.raises(UsageError, match=r"a\.png has 300 x 300 px"):
            verify("fake", None, folder, None, 0.5)
    (folder / "images" / "a.png").unlink()
    os.mkfifo(folder / "images" / "a.png")
    with pytest.raises(UsageError, match="is a pipe, and not a picture"):
        verify("fake", None, folder, None, 0.5)
