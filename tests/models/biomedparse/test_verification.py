"""Whoever has the real weights verifies them with one command; here the tiny twin takes their place."""

import json
from pathlib import Path

import pytest

from wsi_parse.settings import ModelSettings
from wsi_parse.verification import verify_and_report

pytestmark = pytest.mark.whole


def test_the_tiny_twin_is_verified_from_keys_to_slide(tiny_file: Path, tmp_path: Path) -> None:
    settings = ModelSettings(name="biomedparse", weights=tiny_file, device="cpu")
    found = verify_and_report(settings, tmp_path, text="neoplastic cells", minutes=1)
    content = json.loads((tmp_path / "verification.json").read_text(encoding="utf-8"))
    assert found.failed == content["failed"] == []
    assert content["weights"]["network"] == "smaller than the released BiomedParse"
    assert content["weights"]["keys"] > 100
    assert len(content["weights"]["sha256"]) == 64
    assert content["tiles"]["labelled_fields"] > 0
    assert content["slide"]["tiles"] > 0
    assert content["slide"]["objects"].keys() == {"neoplastic cells"}
    assert content["seconds"] < 600
    assert str(tiny_file.parent) not in json.dumps(content)


def test_a_torn_file_is_a_failed_step_with_a_remedy(tiny_file: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(tiny_file.read_bytes()[:-1000])
    found = verify_and_report(ModelSettings(name="biomedparse", weights=torn), tmp_path / "out")
    assert found.failed == ["weights"]
    assert found.facts["weights"]["remedy"]
    assert "prediction" not in found.facts
