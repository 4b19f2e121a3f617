"""The front door: its names, their types as a type checker sees them, and their help."""

import ast
import os
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import wsi_parse

ROOT = Path(__file__).parent.parent
RIGHT = """
from pathlib import Path

from typing import assert_type

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

import wsi_parse
from wsi_parse import Box, BoxResult, Frame, Probability, Run, RunManifest, RunSettings, Slide, SlideOptions

with wsi_parse.open_slide("slide.svs", SlideOptions(mpp=0.25)) as slide:
    assert_type(slide, Slide)
    assert_type(slide.dimensions, tuple[int, int])
    assert_type(slide.level_dimensions, tuple[tuple[int, int], ...])
    assert_type(slide.get_thumbnail((100, 100)), Image)
    assert_type(slide.frame(1.0), Frame)
    assert_type(slide.read(Box(0, 0, 10, 10), slide.frame(1.0)), NDArray[np.uint8])
    assert_type(wsi_parse.segment_box(slide, Box(0, 0, 10, 10), "nuclei", model="stain"), BoxResult)
settings = RunSettings(prompts="nuclei", model="stain", objects={"threshold": 0.6})
run = wsi_parse.segment_slide("slide.svs", Path("out"), settings)
assert_type(run, Run)
assert_type(wsi_parse.Run.open("out").manifest, RunManifest)
assert_type(run.counts, dict[str, int])
assert_type(run.probability("nuclei"), Probability)
assert_type(run.probability("nuclei").frame.mpp_x, float)
assert_type(wsi_parse.__version__, str)
wsi_parse.segment_slide("slide.svs", "out", prompts=["nuclei"], model="mini")
"""
WRONG = {
    'wsi_parse.open_slide("slide.svs").widht': '"Slide" has no attribute "widht"',
    "wsi_parse.open_slyde": 'Module has no attribute "open_slyde"',
    "wsi_parse.open_slide(3)": 'Argument 1 to "open_slide" has incompatible type "int"',
    'wsi_parse.open_slide("slide.svs").read((0, 0, 10, 10))': 'expected "Box"',
    "wsi_parse.segment_slide('slide.svs', 'out', prompt='nuclei')": 'Unexpected keyword argument "prompt"',
    "wsi_parse.segment_slide('slide.svs', 'out', {'prompts': 'nuclei'})": 'expected "RunSettings | None"',
    "wsi_parse.segment_slide('slide.svs', 'out').cuonts": '"Run" has no attribute "cuonts"',
    "wsi_parse.RunSettings(prompts=3)": 'Argument "prompts" to "RunSettings" has incompatible type "int"',
    "wsi_parse.RunSettings(modle='stain')": 'Unexpected keyword argument "modle"',
    "wsi_parse.Run.open('out').manifest.outptus": '"RunManifest" has no attribute "outptus"',
    "wsi_parse.Box(0, 0, 10)": 'Missing positional argument "height"',
}


def mypy(path: Path) -> list[str]:
    """Run mypy as somebody does who uses the package, with the defaults of mypy; its lines about that file."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file=", "--follow-imports=silent", "--no-error-summary"),
            *("--ignore-missing-imports", "--cache-dir", str(ROOT / ".mypy_cache" / "front_door"), str(path)),
        ],
        env=os.environ | {"MYPYPATH": str(ROOT)},
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


@pytest.mark.whole
class TestTypes:
    """mypy takes a minute where it has not run before."""

    def test_what_is_right_passes(self, tmp_path: Path) -> None:
        (tmp_path / "right.py").write_text(RIGHT)
        assert mypy(tmp_path / "right.py") == []

    def test_typing_mistakes_are_found(self, tmp_path: Path) -> None:
        path = tmp_path / "wrong.py"
        path.write_text("\n".join(["import wsi_parse", *WRONG]))
        found: dict[int, list[str]] = {}
        for line in mypy(path):
            found.setdefault(int(line.split(":")[1]), []).append(line)
        for number, (code, expected) in enumerate(WRONG.items(), start=2):
            assert any(expected in line for line in found.pop(number, [])), code
        assert not found


def test_the_names_are_listed_and_all_of_them_are_there() -> None:
    assert set(wsi_parse.__all__) <= set(dir(wsi_parse))
    for name in wsi_parse.__all__:
        assert getattr(wsi_parse, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'open_slyde'"):
        _ = wsi_parse.open_slyde  # type: ignore[attr-defined]


def test_type_checkers_see_what_is_looked_up() -> None:
    tree = ast.parse(Path(wsi_parse.__file__).read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == wsi_parse._PUBLIC  # type: ignore[attr-defined]
    assert sorted(wsi_parse.__all__) == sorted([*seen, "__version__"])


@pytest.mark.parametrize("name", sorted(set(wsi_parse.__all__) - {"__version__"}))
def test_every_name_has_help(name: str) -> None:
    text = getattr(wsi_parse, name).__doc__
    assert text
    assert text.splitlines()[0].endswith(".")


@pytest.mark.parametrize("name", sorted(set(wsi_parse.__all__) - {"__version__"}))
def test_every_name_has_an_example(name: str) -> None:
    """Run as doctests; those of a class may be in its methods."""
    found = getattr(wsi_parse, name)
    texts = [found.__doc__ or "", *(getattr(member, "__doc__", "") or "" for member in vars(found).values())]
    assert any(">>> " in text for text in texts), name


def test_listing_the_names_loads_nothing_heavy() -> None:
    code = "import sys, wsi_parse; assert 'segment_box' in dir(wsi_parse); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"torch", "dask", "distributed", "openslide", "tiffslide", "zarr", "numpy", "pydantic"}


def test_help_shows_how_each_function_is_called() -> None:
    text = pydoc.render_doc(wsi_parse, renderer=pydoc.plaintext)
    assert "segment_slide(path: 'str | Path'" in text or "segment_slide(path: str |" in text
    assert text.index("Open and read a slide") < text.index("segment_box(slide")


def test_help_of_the_package_names_everything() -> None:
    assert wsi_parse.__doc__
    for name in set(wsi_parse.__all__) - {"__version__"}:
        assert name in wsi_parse.__doc__, name
