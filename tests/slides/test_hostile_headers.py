"""What a header claims costs neither the memory nor the time of a machine that has both only once."""

import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile

from wsi_parse.errors import SlideError, SlideOpenError
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.synthetic import SyntheticSlide, write_svs_like

RGB = np.random.default_rng(0).integers(90, 256, (128, 128, 3), dtype=np.uint8)
LIMIT_BYTES, LIMIT_SECONDS = 3 << 30, 60
OPEN = """
import sys
from pathlib import Path
from wsi_parse.errors import SlideError
from wsi_parse.slides import SlideOptions, open_slide
for skips in (False, True):
    try:
        open_slide(Path(sys.argv[1]), SlideOptions(mpp=0.25, override_mpp=True, skip_unreadable=skips))
    except SlideError as error:
        print(error)
    else:
        print("It opens.")
"""


def opened(path: Path) -> list[str]:
    """Open a slide in a process of little memory and time; return what it says, without and with skip_unreadable."""

    def little() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))

    ended = subprocess.run(
        [sys.executable, "-c", OPEN, str(path)],
        preexec_fn=little,
        timeout=LIMIT_SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


@pytest.mark.parametrize("tiled", [True, False])
@pytest.mark.parametrize(
    "claims",
    [
        {"ImageWidth": 2**31 - 1},
        {"ImageWidth": 2**31 - 1, "ImageLength": 2**31 - 1},
        {"ImageLength": 2**32 - 1},
        {"TileWidth": 65_520, "TileLength": 65_520},
        {"TileWidth": 16, "TileLength": 16},
        {"SamplesPerPixel": 65_535},
        {"ImageWidth": 0},
        {"TileWidth": 0},
        {"RowsPerStrip": 2**32 - 1, "ImageLength": 2**30},
    ],
    ids=lambda claims: "-".join(f"{name}{value}" for name, value in claims.items()),
)
def test_a_size_that_cannot_be_is_refused(tmp_path: Path, claims: dict[str, int], tiled: bool) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", metadata=None, **({"tile": (64, 64)} if tiled else {}))
    with tifffile.TiffFile(path, mode="r+") as file:
        tags = file.pages[0].tags
        claimed = {name: value for name, value in claims.items() if name in tags}
        for name, value in claimed.items():
            tags[name].overwrite(value, dtype=4)
    if claimed:
        for said in opened(path):
            assert said == "It opens." or said.startswith("a.tif ")


def test_a_size_without_tiles_for_it_is_refused(tmp_path: Path) -> None:
    """A TIFF of sparse tiles may claim any size with little content."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(64, 64), metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        for name in ("ImageWidth", "ImageLength"):
            file.pages[0].tags[name].overwrite(100_000_000, dtype=4)
    with pytest.raises(SlideError, match=r"a\.tif"):
        open_slide(path)


@pytest.mark.parametrize("claims", [{"ImageWidth": 60_000}, {"ImageWidth": 100}, {"ImageLength": 300}])
def test_an_svs_whose_stored_tiles_do_not_fit_its_size_is_refused(tmp_path: Path, claims: dict[str, int]) -> None:
    path = tmp_path / "a.svs"
    write_svs_like(path, SyntheticSlide(700, 600, seed=3))
    with tifffile.TiffFile(path, mode="r+") as file:
        for name, value in claims.items():
            file.pages[0].tags[name].overwrite(value, dtype=4)
    for skips in (False, True):
        with pytest.raises(SlideOpenError, match=r"a\.svs is damaged: an image claims .* but the file has 9\. Copy"):
            open_slide(path, SlideOptions(skip_unreadable=skips))


def test_strips_that_are_too_few_for_the_size_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", rowsperstrip=16, metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["ImageLength"].overwrite(1280)
    with pytest.raises(SlideOpenError, match="takes 80 stored tiles or strips, but the file has 8"):
        open_slide(path)


def test_planes_that_are_stored_one_by_one_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    planes = np.moveaxis(RGB, 2, 0)
    for layout in ({"tile": (64, 64)}, {"rowsperstrip": 16}):
        tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", metadata=None, **layout)
        assert open_slide(path).dimensions == (128, 128)


def test_levels_of_another_shape_are_refused(tmp_path: Path) -> None:
    """The number of stored tiles still fits: 4 x 3 tiles of 256 pixels."""
    path = tmp_path / "a.svs"
    write_svs_like(path, SyntheticSlide(1020, 700, seed=3))
    assert open_slide(path).dimensions == (1020, 700)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["ImageWidth"].overwrite(800)
    with pytest.raises(SlideOpenError, match="level 1 has 255 x 175 pixels, which is not the shape of level 0"):
        open_slide(path)


def _directory(following: int, entries: bytes = b"") -> bytes:
    return struct.pack("<H", len(entries) // 12) + entries + struct.pack("<I", following)


@pytest.mark.parametrize("pages", [5_000, 100_000])
def test_many_images_are_refused_at_once(tmp_path: Path, pages: int) -> None:
    entries = b"".join(
        struct.pack("<HHII", tag, 4, 1, value)
        for tag, value in ((256, 8), (257, 8), (258, 8), (262, 2), (273, 8), (277, 3), (279, 192))
    )
    size = len(_directory(0, entries))
    places = [200 + number * size for number in range(pages)]
    content = struct.pack("<2sHI", b"II", 42, places[0]) + bytes(192)
    content += b"".join(_directory(following, entries) for following in (*places[1:], 0))
    (tmp_path / "a.tif").write_bytes(content)
    assert all("more than 4096 images" in said for said in opened(tmp_path / "a.tif"))


@pytest.mark.parametrize("ahead", [True, False])
def test_directories_in_a_circle_end(tmp_path: Path, ahead: bool) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(64, 64), metadata=None)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        first, count = page.offset, len(page.tags)
    with path.open("r+b") as opened_file:
        opened_file.seek(first + 2 + 12 * count)
        opened_file.write(struct.pack("<I", first if ahead else 8))
    for said in opened(path):
        assert said == "It opens." or said.startswith("a.tif ")


def test_counts_of_values_that_are_not_there_take_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(64, 64), metadata=None)
    with tifffile.TiffFile(path) as file:
        offsets = file.pages[0].tags["TileOffsets"].offset
    with path.open("r+b") as opened_file:
        opened_file.seek(offsets + 4)
        opened_file.write(struct.pack("<I", 2**32 - 1))
    for said in opened(path):
        assert said.startswith("a.tif is damaged")


def test_a_picture_that_claims_to_be_large_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(bytes(64))), chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    assert all("too large for a picture without tiles" in said for said in opened(tmp_path / "a.png"))
