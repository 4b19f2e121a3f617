"""A fingerprint is of the content of a slide, wherever it lies; a change of the content changes it."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from wsi_parse.slides import open_slide
from wsi_parse.slides.fingerprint import fingerprint


def test_a_copy_elsewhere_keeps_its_fingerprint(painted: Path, tmp_path: Path) -> None:
    copy = tmp_path / "another name.svs"
    copy.write_bytes((painted / "a.svs").read_bytes())
    os.utime(copy, (0, 0))
    assert open_slide(copy).info.fingerprint == open_slide(painted / "a.svs").info.fingerprint


@pytest.mark.parametrize("megabytes", [1, 40])
def test_a_part_that_was_replaced_is_seen_wherever_it_lies(tmp_path: Path, megabytes: int) -> None:
    """Its size and both ends stay as they are."""
    size = megabytes << 20
    path = tmp_path / "a.bin"
    path.write_bytes(np.random.default_rng(0).bytes(size))
    before = fingerprint(path)
    replaced = size // 256
    for place in np.linspace(0, size - replaced, 23).astype(int):
        content = path.read_bytes()
        with path.open("r+b") as file:
            file.seek(int(place))
            file.write(bytes(replaced))
        assert fingerprint(path) != before
        path.write_bytes(content)
    assert fingerprint(path) == before


def test_a_stored_tile_of_another_size_is_seen(tmp_path: Path) -> None:
    """Of a large file, a tile that lies between all samples: the table of sizes tells it."""
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (3072, 3072, 3), dtype=np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(256, 256), compression=None)
    assert path.stat().st_size > 16 << 20
    before = fingerprint(path)
    with tifffile.TiffFile(path, mode="r+") as file:
        sizes = file.pages[0].tags["TileByteCounts"]
        sizes.overwrite([*sizes.value[:70], sizes.value[70] - 1, *sizes.value[71:]])
    assert fingerprint(path) != before


def test_what_lies_beside_a_slide_belongs_to_it(tmp_path: Path) -> None:
    """MRXS is a small file with a folder of its name, VMS a list of files."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a.mrxs").write_bytes(b"head")
    (tmp_path / "a" / "Data0001.dat").write_bytes(b"pixels")
    (tmp_path / "b.vms").write_text("[Virtual Microscope Specimen]\nImageFile=b(0,0).jpg\n")
    (tmp_path / "b(0,0).jpg").write_bytes(b"pixels")
    for slide, part in (("a.mrxs", "a/Data0001.dat"), ("b.vms", "b(0,0).jpg")):
        before = fingerprint(tmp_path / slide)
        (tmp_path / part).write_bytes(b"pixelS")
        assert fingerprint(tmp_path / slide) != before
