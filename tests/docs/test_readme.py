"""The lines of Python in the README run as they are written, on a painted slide."""

from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks_of
from wsi_parse.synthetic import SyntheticSlide, write_svs_like


@pytest.mark.whole
def test_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = [block for block in blocks_of(ROOT / "README.md") if block.language == "python"]
    monkeypatch.chdir(tmp_path)
    write_svs_like(Path("slide.svs"), SyntheticSlide(3_400, 2_700, mpp=0.25, seed=3, tissue=1.0))
    names: dict[str, object] = {}
    exec(compile(block.text, "README.md", "exec"), names)
    assert len(names["objects"]) == sum(names["run"].counts.values()) > 0  # type: ignore[arg-type, attr-defined]
    assert names["found"].counts["nuclei"] > 100  # type: ignore[attr-defined]
