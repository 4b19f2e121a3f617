"""Cautions: each is a sentence with a remedy, stands in the guide, and reaches the screen and the manifest."""

import ast
import inspect
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely

from tests.cli.in_process import Ended, caller
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse import cautions
from wsi_parse.cautions import Caution, once

Call = Callable[..., Ended]
ROOT = Path(__file__).parents[1]
# Numbers for the arguments of the functions that make cautions.
VALUES = {
    "prompts": ("nuclei", "glands"),
    "rgb": (240.0, 128.0, 128.0),
    "name": "b.svs",
    "prompt": "nuclei",
    "what": "It is blue.",
    "remedy": "Look at it.",
}


def builders() -> dict[str, Caution]:
    found = {}
    for name, function in inspect.getmembers(cautions, inspect.isfunction):
        if function.__module__ == cautions.__name__ and inspect.signature(function).return_annotation is Caution:
            given = {key: VALUES.get(key, 0.5) for key in inspect.signature(function).parameters}
            for key, parameter in inspect.signature(function).parameters.items():
                if parameter.annotation is int:
                    given[key] = 3
                if parameter.annotation is str and key not in VALUES:
                    given[key] = "mini"
            found[name] = function(**given)
    return found


@pytest.mark.parametrize("name", builders())
def test_each_is_a_sentence_with_a_remedy(name: str) -> None:
    caution = builders()[name]
    assert caution.text[0].isupper()
    assert caution.text.endswith((".", "?"))
    assert caution.remedy[0].isupper()
    assert caution.remedy.endswith(".")
    assert caution.code == caution.code.lower()
    assert " " not in caution.code
    assert Caution(**json.loads(json.dumps(caution.to_dict()))) == caution


def test_codes_differ_and_stand_in_the_guide() -> None:
    codes = [caution.code for caution in builders().values()]
    assert len(set(codes)) == len(codes)
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    assert [code for code in codes if f"`{code}`" not in guide] == []


def test_each_is_given_somewhere() -> None:
    """A function that nobody calls would be a caution that nobody ever reads."""
    called = set()
    for path in (ROOT / "wsi_parse").rglob("*.py"):
        if path.name != "cautions.py":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                called |= {node.id} if isinstance(node, ast.Name) else set()
                called |= {node.attr} if isinstance(node, ast.Attribute) else set()
    assert set(builders()) - called == set()


def test_twice_is_once() -> None:
    one, other = cautions.no_tissue(), cautions.roi_without_tissue()
    assert once((one, other, one)) == (one, other)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    monkeypatch.chdir(tmp_path)
    return caller(monkeypatch, capsys)


def blank(path: Path) -> Path:
    pixels = np.full((600, 700, 3), 243, np.uint8)
    pixels[::7, ::5] -= np.uint8(2)
    return write_slide(path, pixels)


class TestNoTissue:
    def test_on_screen_in_the_manifest_and_with_strict_in_the_exit_code(self, call: Call, tmp_path: Path) -> None:
        slide = blank(tmp_path / "blank.svs")
        expected = cautions.no_tissue()
        plain: Ended = call(slide, "-p", "nuclei", "--model", "stain", "-o", "out")
        assert plain.code == 0
        assert plain.err.count(f"caution {expected}") == 1
        manifest = json.loads((tmp_path / "out" / "blank" / "run.json").read_text())
        assert manifest["cautions"] == [expected.to_dict()]
        again: Ended = call(slide, "-p", "nuclei", "--model", "stain", "-o", "out", "--strict")
        assert again.code == 1
        assert again.err.count(f"caution {expected}") == 1, "also of a result that was there"
        assert "There are cautions about 1 slide: with --strict, this is exit code 1." in again.err
        ended: Ended = call(slide, "-p", "nuclei", "--model", "stain", "-o", "new", "--dry-run", "--strict")
        assert ended.code == 1
        assert f"caution {expected}" in ended.err

    def test_json(self, call: Call, tmp_path: Path) -> None:
        slide = blank(tmp_path / "blank.svs")
        options = ("-p", "nuclei", "--model", "stain", "-o", "out", "--json")
        for more in (("--dry-run",), ()):
            ended: Ended = call(slide, *options, *more)
            assert [one["code"] for one in json.loads(ended.out)["cautions"]] == ["no-tissue"]


def test_a_region_on_glass_and_nothing_found(call: Call, tmp_path: Path) -> None:
    pixels = np.full((1200, 2400, 3), 243, np.uint8)
    pixels[:, :1200] = tissue_with_nuclei(1200, 1200)[0]
    slide = write_slide(tmp_path / "half.svs", pixels)
    roi = tmp_path / "roi.geojson"
    square = [[[1900, 100], [2300, 100], [2300, 900], [1900, 900], [1900, 100]]]
    roi.write_text(
        json.dumps({"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": square}})
    )
    options = ("-p", "nuclei", "--model", "stain", "--json")
    ended: Ended = call(slide, *options, "-o", "a", "--roi", roi)
    assert [one["code"] for one in json.loads(ended.out)["cautions"]] == ["roi-without-tissue"]
    ended = call(slide, *options, "-o", "b", "--set", "objects.min_cell_area_um2=9999")
    assert "nothing-found" in [one["code"] for one in json.loads(ended.out)["cautions"]]
    ended = call(slide, *options, "-o", "c", "--strict")
    assert (ended.code, json.loads(ended.out)["cautions"]) == (0, [])


def test_a_region_of_few_nuclei_is_questioned_and_one_of_half_a_pixel_is_refused(call: Call, tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "a.svs", tissue_with_nuclei(700, 700)[0])
    roi = tmp_path / "roi.geojson"

    def ended(left: float, side: float) -> Ended:
        roi.write_text(shapely.to_geojson(shapely.box(left, 100, left + side, 100 + side)))
        return call(slide, "-p", "nuclei", "--model", "stain", "--roi", roi, "--dry-run", "--json")

    def codes(left: float, side: float) -> list[str]:
        return [one["code"] for one in json.loads(ended(left, side).out)["cautions"]]

    assert "small-region" in codes(100, 10)
    # Only what lies on the slide counts.
    assert "small-region" in codes(690, 400)
    assert "small-region" not in codes(100, 500)
    for left, words in ((100.1, "0.5 px wide"), (700, "outside of the slide")):
        refused = ended(left, 0.5 if left < 200 else 400)
        assert refused.code == 2
        assert words in refused.err
