"""Everything that can be wrong with a file is reported, and nothing else breaks."""

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.rights import run_as_ordinary_user
from wsi_parse.errors import SlideError, SlideOpenError, SlideReadError
from wsi_parse.geometry import Box
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.synthetic import SyntheticSlide, write_generic_tiff, write_leica_scn, write_ome_tiff, write_svs_like


@pytest.mark.parametrize("name", ["a.svs", "a.tif", "a.ome.tif"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_truncated_files_are_refused(painted: Path, tmp_path: Path, name: str, share: float) -> None:
    data = (painted / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SlideOpenError):
        open_slide(path)


REFUSED = """
import sys
from pathlib import Path
from wsi_parse.errors import SlideOpenError
from wsi_parse.slides import list_slides, open_slide
for ask in (lambda path: open_slide(path), lambda path: [open_slide(one) for one in list_slides([path])]):
    try:
        ask(Path(sys.argv[1]))
    except SlideOpenError as error:
        print(error)
"""


@pytest.mark.parametrize("name", ["a.svs", "a.tif", "a.png", "a.dcm"])
@pytest.mark.parametrize("closed", ["file", "folder"])
def test_a_file_without_permission_is_reported(tmp_path: Path, painted: Path, name: str, closed: str) -> None:
    path = tmp_path / "inside" / name
    path.parent.mkdir()
    path.write_bytes((painted / "a.svs").read_bytes())
    (path if closed == "file" else path.parent).chmod(0)
    reported = run_as_ordinary_user(REFUSED, path)
    path.parent.chmod(0o700)
    assert not reported.stderr
    lines = reported.stdout.splitlines()
    assert len(lines) == 2
    reason = f"{name} cannot be read: Permission denied. Check the path, and whether you have permission to read"
    assert all(reason in line for line in lines)


def test_a_folder_without_permission_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "slides"
    (folder / "below").mkdir(parents=True)
    for closed in (folder, folder / "below"):
        closed.chmod(0)
        reported = run_as_ordinary_user(REFUSED, folder)
        closed.chmod(0o700)
        assert not reported.stderr
        assert (
            "slides cannot be read: Permission denied. Check the path, and whether you have permission"
            in reported.stdout
        )


def test_a_slide_that_is_gone_while_it_is_read_is_an_error_of_ours(painted: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.scn"
    write_leica_scn(path, SyntheticSlide(3008, 2496, seed=1))
    with open_slide(path, SlideOptions(reader="openslide")) as slide:
        path.write_bytes(b"")
        frame = slide.frame(slide.pixel_size.x_um)
        with pytest.raises(SlideReadError, match=r"a\.scn: level 0 cannot be read"):
            slide.read(Box(0, 0, *slide.info.levels[0].size), frame)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
@pytest.mark.parametrize(
    "name",
    [
        "aperio/CMU-1-Small-Region.svs",
        "aperio/tcga-cr-7395-01a-01-ts1.svs",
        "hamamatsu/test3-DAPI-2-(387).ndpi",
        "dicom/CMU-1-Small-Region/03.dcm",
        "ome/OS-1-detail.ome.tif",
        "odd/openslide-python/boxes.png",
        "odd/large_image/yb10kx5k.zstd.tiff",
    ],
)
def test_truncated_slides_of_every_format_are_refused(slides: Path, tmp_path: Path, name: str, share: float) -> None:
    data = (slides / name).read_bytes()
    path = tmp_path / Path(name).name
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises((SlideOpenError, SlideReadError), match=re.escape(path.name)):
        open_slide(path)


def test_an_empty_file_is_reported(tmp_path: Path) -> None:
    for name in ("a.svs", "a.png", "a.dcm", "a.ndpi", "a.ome.tif"):
        (tmp_path / name).touch()
        with pytest.raises(SlideOpenError, match=rf"^{re.escape(name)} is empty\. Copy"):
            open_slide(tmp_path / name)


@pytest.mark.parametrize("kind", ["GIF", "WebP", "BMP", "PDF"])
def test_a_format_that_is_not_supported_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.svs"
    Image.new("RGB", (64, 64), "pink").save(path, format=kind)
    with pytest.raises(
        SlideError, match=rf"^a\.svs is in the {kind} format, which is not supported\. Convert it to PNG"
    ):
        open_slide(path)


def test_an_absurd_tile_size_is_refused_before_openslide_ends_the_process(painted: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes((painted / "a.svs").read_bytes())
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["TileLength"].overwrite(2_130_706_688)
    with pytest.raises(SlideOpenError, match="damaged"):
        open_slide(path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of a few kilobytes: most of their bytes mean something."""
    folder = tmp_path_factory.mktemp("small")
    slide = SyntheticSlide(300, 280, seed=1)
    write_svs_like(folder / "a.svs", slide, downsamples=(1, 2))
    write_generic_tiff(folder / "a.tif", slide, downsamples=(1, 2))
    write_ome_tiff(folder / "a.ome.tif", slide, downsamples=(1, 2))
    pixels = np.random.default_rng(0).integers(200, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    Image.fromarray(pixels).save(folder / "a.jpg")
    tifffile.imwrite(folder / "strips.tif", pixels, photometric="rgb")
    return sorted(folder.iterdir())


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_of_any_kind_is_an_error_of_ours_or_harmless(
    small: list[Path], tmp_path: Path, data: st.DataObject
) -> None:
    source = data.draw(st.sampled_from(small))
    content = bytearray(source.read_bytes())
    # Most of what can be wrong stands in the first bytes and in the directories near the end.
    ends = st.one_of(st.integers(0, 600), st.integers(-1500, -1), st.integers(0, len(content) - 1))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(ends) % len(content)] = data.draw(st.sampled_from([0, 1, 127, 128, 255]))
    path = tmp_path / source.name
    path.write_bytes(content[: data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))])
    options = SlideOptions(mpp=0.25, override_mpp=True, skip_unreadable=data.draw(st.booleans()))
    try:
        with open_slide(path, options) as slide:
            box = Box(0, 0, min(300, slide.info.width), min(280, slide.info.height))
            assert slide.read_readable(box, slide.frame(0.5)).pixels.shape == (*box.shape, 3)
            assert slide.read(box, slide.frame(0.25)).shape == (*box.shape, 3)
    except SlideError as error:
        assert error.message  # noqa: PT017 - any outcome is right that is one of ours
