"""The tiny twin (5.6 M parameters) for every test, and the full-size network, made of the recipe, for the slow ones."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.models.biomedparse.reference import checkpoint, sizes_of
from wsi_parse.models.biomedparse.convert import convert
from wsi_parse.models.biomedparse.load import load
from wsi_parse.models.biomedparse.network import BiomedParse
from wsi_parse.models.weights import Weights


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees, or touches, what the user has installed."""
    monkeypatch.setenv("WSI_PARSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny twin as a published file."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.pt"
    torch.save(checkpoint("keys_tiny", everything=True), path)
    return path


@pytest.fixture(scope="session")
def tiny_file(tiny_checkpoint: Path) -> Path:
    """The tiny twin, converted."""
    path = tiny_checkpoint.with_suffix(".safetensors")
    convert(tiny_checkpoint, path, sizes_of("keys_tiny"))
    return path


@pytest.fixture(scope="session")
def tiny(tiny_file: Path) -> BiomedParse:
    return load(Weights.of_file(tiny_file), torch.device("cpu"))


@pytest.fixture(scope="session")
def full_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full-size file under all published names: 1.8 GB."""
    path = tmp_path_factory.mktemp("full") / "biomedparse_v1.pt"
    torch.save(checkpoint("keys", everything=True), path)
    return path


@pytest.fixture(scope="session")
def full_file(full_checkpoint: Path) -> Path:
    path = full_checkpoint.with_suffix(".safetensors")
    convert(full_checkpoint, path, sizes_of("keys"))
    return path


@pytest.fixture(scope="session")
def full(full_file: Path) -> BiomedParse:
    return load(Weights.of_file(full_file), torch.device("cpu"))
