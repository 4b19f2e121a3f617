"""The plug-ins that CONTRIBUTING.md shows are complete: its very lines pass the suites."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from wsi_parse.geometry import Box
from wsi_parse.registry import CLUSTERS, EXPORTERS, MODELS, READERS, Registry
from wsi_parse.settings import ComputeSettings
from wsi_parse.slides import Slide, SlideOptions, open_slide
from wsi_parse.synthetic import SyntheticSlide
from wsi_parse.testing import ClusterTests, ExporterTests, ReaderTests

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"
BLOCK = re.compile(r"```python\n# (\S+)\.py\n(.*?)```", re.DOTALL)
BLOCKS = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
ENTRY = re.compile(r"\[project\.entry-points\.\"wsi_parse\.(\w+)\"\]\n(\w+) = \"([\w.]+):(\w+)\"")
ENTRIES = {group: (name, module, member) for group, name, module, member in ENTRY.findall(PAGE.read_text("utf-8"))}
REGISTRIES = {"readers": READERS, "models": MODELS, "exporters": EXPORTERS, "clusters": CLUSTERS}


def module_of(path: str) -> ModuleType:
    """Make a module of a block; it can be imported by its name, also to be pickled."""
    name = path.replace("/", ".")
    if name not in sys.modules:
        sys.modules.setdefault(name.partition(".")[0], ModuleType(name.partition(".")[0]))
        module = sys.modules[name] = ModuleType(name)
        # Lines are those of the page, so that a failure shows them.
        before = PAGE.read_text(encoding="utf-8").partition(BLOCKS[path])[0].count("\n")
        exec(compile("\n" * before + BLOCKS[path], str(PAGE), "exec"), module.__dict__)
    return sys.modules[name]


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    added: list[tuple[Registry, str]] = []
    for group, (name, module, member) in ENTRIES.items():
        REGISTRIES[group].add(name, getattr(module_of(module.replace(".", "/")), member))
        added.append((REGISTRIES[group], name))
    yield
    for registry, name in added:
        registry.remove(name)
    for name in [name for name in sys.modules if name.split(".")[0] == "my_package"]:
        del sys.modules[name]


def test_each_kind_is_shown_and_short() -> None:
    assert set(ENTRIES) == set(REGISTRIES)
    files = [module.replace(".", "/") for _, module, _ in ENTRIES.values()]
    assert set(BLOCKS) == {*files, "tests/test_model"}
    for path in files:
        assert len(BLOCKS[path].splitlines()) <= 30, path


class TestReader(ReaderTests):
    @pytest.fixture
    def slide(self, tmp_path_factory: pytest.TempPathFactory) -> Slide:
        path = tmp_path_factory.mktemp("slides") / "a.npy"
        np.save(path, SyntheticSlide(700, 600, seed=1).pixels(Box(0, 0, 700, 600)))
        return open_slide(path, SlideOptions(mpp=0.5))


class TestExporter(ExporterTests):
    @pytest.fixture
    def kind(self) -> Any:
        return EXPORTERS.get("centres")


@pytest.mark.whole
class TestCluster(ClusterTests):
    @pytest.fixture
    def settings(self) -> ComputeSettings:
        return ComputeSettings(cluster="desk")


# The suite as the page shows it.
TestModel = module_of("my_package/model") and module_of("tests/test_model").TestDarkModel
