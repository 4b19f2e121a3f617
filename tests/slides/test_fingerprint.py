"""A fingerprint is of the content of a slide, wherever it lies."""

from pathlib import Path

from wsi_parse.slides import open_slide


def test_a_copy_elsewhere_keeps_its_fingerprint(painted: Path, tmp_path: Path) -> None:
    copy = tmp_path / "another name.svs"
    copy.write_bytes((painted / "a.svs").read_bytes())
    assert open_slide(copy).info.fingerprint == open_slide(painted / "a.svs").info.fingerprint
    assert open_slide(painted / "a.tif").info.fingerprint != open_slide(painted / "a.svs").info.fingerprint
