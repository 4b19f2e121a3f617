"""`python -m benchmarks.peer`: says that the peer is not installed; a stand-in for it is read beside wsi-parse."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import openslide
import pytest

from benchmarks import peer
from tests.small_slides import tissue_with_nuclei, write_slide


def test_a_peer_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["peer", "a.svs"])
    with pytest.raises(SystemExit, match="fastslide is not installed"):
        peer.main()


class OneOff(openslide.OpenSlide):
    """OpenSlide with the peer's names, and red that is one too large."""

    @classmethod
    def from_file_path(cls, path: str, cache: int) -> "OneOff":
        assert cache > 0
        return cls(path)

    def read_region(self, *place: Any) -> Any:
        pixels = np.array(super().read_region(*place).convert("RGB"))
        pixels[..., 0] = np.minimum(pixels[..., 0], 254) + 1
        return SimpleNamespace(numpy=lambda: pixels)


def test_both_read_the_same_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = ModuleType("fastslide")
    package.FastSlide = OneOff  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fastslide", package)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: package)
    monkeypatch.setattr(peer, "ROUNDS", 1)
    path = write_slide(tmp_path / "a.svs", tissue_with_nuclei(1000, 1000)[0])
    monkeypatch.setattr(sys, "argv", ["peer", str(path)])
    peer.main()
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["way"] for one in found] == list(peer.WAYS)
    assert {one["tiles"] for one in found} == {1}
    assert [one["differ_from_openslide_at_most"] for one in found] == [1, 0, 0]
    assert found[0]["times_peer"] == 1.0
