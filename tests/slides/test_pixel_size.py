"""The pixel size comes from the file or from the user, or it is missing; it is never guessed."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from wsi_parse.errors import PixelSizeError
from wsi_parse.slides import SlideOptions, open_slide

APERIO = "aperio/CMU-1-Small-Region.svs"


def test_a_missing_pixel_size_is_an_error_that_says_how_to_give_it(slides: Path) -> None:
    with (
        open_slide(slides / "aperio/tcga-cr-7395-01a-01-ts1.svs") as slide,
        pytest.raises(PixelSizeError, match="--mpp"),
    ):
        slide.frame(0.5)


def test_the_users_number_fills_in_and_agrees_within_two_percent(slides: Path) -> None:
    assert open_slide(slides / "odd/openslide-python/boxes.png", SlideOptions(mpp=0.3)).pixel_size.source == "user"
    assert open_slide(slides / APERIO, SlideOptions(mpp=0.5)).pixel_size.x_um == 0.499
    with pytest.raises(PixelSizeError, match=r"0\.25.*0\.499.*--override-mpp"):
        open_slide(slides / APERIO, SlideOptions(mpp=0.25))
    overridden = open_slide(slides / APERIO, SlideOptions(mpp=0.25, override_mpp=True)).pixel_size
    assert (overridden.x_um, overridden.y_um) == (0.25, 0.25)
    assert "user" in overridden.source


@pytest.mark.parametrize(("dpi", "known"), [(72, False), (96, False), (150, False), (300, False), (101_600, True)])
def test_resolution_tags_count_only_where_they_are_plausible(tmp_path: Path, dpi: int, known: bool) -> None:
    pixels = np.random.default_rng(0).integers(90, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", resolution=(dpi, dpi), resolutionunit=2)
    assert (open_slide(path).info.pixel_size is not None) == known


@pytest.mark.parametrize(("unit", "factor"), [("µm", 1.0), ("nm", 1000.0), ("mm", 0.001)])
def test_ome_units_are_converted_and_anisotropy_kept(unit: str, factor: float) -> None:
    from wsi_parse.slides.ome import ome_images
    from wsi_parse.slides.pixel_size_tags import from_ome

    sizes = {"X": 0.25 * factor, "Y": 0.3 * factor}
    pixels = " ".join(f'PhysicalSize{axis}="{size}" PhysicalSize{axis}Unit="{unit}"' for axis, size in sizes.items())
    xml = f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://x/OME"><Image><Pixels {pixels}/></Image></OME>'
    size = from_ome(ome_images(xml)[0])
    assert size is not None
    assert (size.x_um, size.y_um) == pytest.approx((0.25, 0.3))
    assert size.source == "OME-XML"


def test_a_pyramidal_ome_tiff_knows_its_pixel_size(painted: Path) -> None:
    with open_slide(painted / "a.ome.tif") as slide:
        assert slide.pixel_size.source == "OME-XML"
        assert slide.pixel_size.x_um == pytest.approx(0.25)
        assert len(slide.info.levels) > 1


def test_an_override_is_used_even_if_the_file_nearly_agrees(slides: Path) -> None:
    size = open_slide(slides / APERIO, SlideOptions(mpp=0.5, override_mpp=True)).pixel_size
    assert (size.x_um, size.source) == (0.5, "user, overriding aperio metadata")


@pytest.mark.parametrize("mpp", [0.0, -0.25, float("nan"), float("inf")])
def test_invalid_numbers_are_refused(mpp: float) -> None:
    with pytest.raises(PixelSizeError, match="is not a valid pixel size"):
        open_slide(np.full((9, 9, 3), 200, np.uint8), SlideOptions(mpp=mpp))


def test_override_needs_a_number(slides: Path) -> None:
    with pytest.raises(PixelSizeError, match="--mpp"):
        open_slide(slides / APERIO, SlideOptions(override_mpp=True))


def test_vendor_metadata_are_called_so_by_every_reader(slides: Path) -> None:
    for reader in ("openslide", "tiffslide"):
        size = open_slide(slides / APERIO, SlideOptions(reader=reader)).pixel_size
        assert (size.x_um, size.source) == (0.499, "aperio metadata")


def test_an_ome_tiff_without_a_size_falls_back_on_its_tags(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(90, 256, (64, 64, 3), dtype=np.uint8)
    options = {"photometric": "rgb", "tile": (32, 32), "metadata": {"axes": "YXS"}}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, resolution=(40_000, 20_000), resolutionunit=3, **options)
    size = open_slide(tmp_path / "a.ome.tif").pixel_size
    assert (size.x_um, size.y_um, size.source) == (pytest.approx(0.25), pytest.approx(0.5), "TIFF resolution")
    tifffile.imwrite(tmp_path / "b.ome.tif", pixels, resolution=(72, 72), resolutionunit=2, **options)
    assert open_slide(tmp_path / "b.ome.tif").info.pixel_size is None


# ---- whether a slide can have it ----------------------------------------------------------------------------------


RGB = np.random.default_rng(0).integers(90, 256, (64, 64, 3), dtype=np.uint8)


def _tagged(path: Path, mpp: float | tuple[float, float], **options: object) -> Path:
    x, y = mpp if isinstance(mpp, tuple) else (mpp, mpp)
    tags = {"photometric": "rgb", "tile": (32, 32), "resolutionunit": 3, "metadata": None}
    tifffile.imwrite(path, RGB, resolution=(10_000 / x, 10_000 / y), **{**tags, **options})  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("mpp", "words"),
    [
        (0.00025, "0.00025 looks like millimetres: 0.25 µm"),
        (250, "250 looks like nanometres: 0.25 µm"),
        (0.000025, "centimetres: 0.25 µm"),
        (1e-9, "must be between"),
        (1e308, "must be between"),
    ],
)
def test_a_number_in_another_unit_is_refused_with_what_it_looks_like(mpp: float, words: str) -> None:
    with pytest.raises(PixelSizeError, match=rf"array: .* µm per pixel \(--mpp\) is not a valid pixel size: .*{words}"):
        open_slide(RGB, SlideOptions(mpp=mpp))


@pytest.mark.parametrize(
    ("mpp", "likely"), [(0.025, "0.25"), (0.05, "0.5"), (5.0, "2"), (40, "0.25"), (20, "0.5"), (7.5, "0.75")]
)
def test_an_unusual_number_is_questioned_wherever_it_comes_from(tmp_path: Path, mpp: float, likely: str) -> None:
    from_file = open_slide(_tagged(tmp_path / "a.tif", mpp)) if mpp <= 20 else None
    from_user = open_slide(RGB, SlideOptions(mpp=mpp))
    for slide in filter(None, (from_file, from_user)):
        (caution,) = slide.info.cautions
        assert (caution.code, caution.number) == ("unusual-pixel-size", pytest.approx(mpp))
        assert f"Is it {likely} µm?" in caution.text
        assert slide.pixel_size.x_um == pytest.approx(mpp)


@pytest.mark.parametrize("mpp", [0.11, 0.2271, 0.25, 0.499, 1.0, 2.0, 4.0])
def test_pixel_sizes_of_scanners_are_not_questioned(tmp_path: Path, mpp: float) -> None:
    assert open_slide(_tagged(tmp_path / "a.tif", mpp)).info.cautions == ()


def test_pixels_that_are_not_square_are_questioned(tmp_path: Path) -> None:
    (caution,) = open_slide(_tagged(tmp_path / "a.tif", (0.25, 0.5))).info.cautions
    assert (caution.code, caution.number) == ("pixels-not-square", 2.0)
    with pytest.raises(PixelSizeError, match=r"no pixel size.*the file says 0\.25 x 2\.5 µm"):
        _ = open_slide(_tagged(tmp_path / "b.tif", (0.25, 2.5))).pixel_size


def test_a_resolution_for_printing_is_shown_and_not_taken_for_a_contradiction(tmp_path: Path) -> None:
    path = _tagged(tmp_path / "a.tif", 25_400 / 72)
    with pytest.raises(PixelSizeError, match=r"no pixel size.*the file says 352\.8 x 352\.8 µm \(TIFF resolution\)"):
        _ = open_slide(path).pixel_size
    assert open_slide(path, SlideOptions(mpp=0.25)).pixel_size.source == "user"


@pytest.mark.parametrize("um", [28.97, 352.8])
def test_what_metadata_say_of_an_overview_is_shown_and_contradicts(tmp_path: Path, um: float) -> None:
    options = {"photometric": "rgb", "tile": (32, 32)}
    metadata = {"axes": "YXS", "PhysicalSizeX": um, "PhysicalSizeY": um}
    tifffile.imwrite(tmp_path / "a.ome.tif", RGB, metadata=metadata, **options)  # type: ignore[arg-type]
    slide = open_slide(tmp_path / "a.ome.tif")
    assert slide.info.stated_pixel_size.x_um == pytest.approx(um)
    if um < 64:
        assert [caution.code for caution in slide.info.cautions] == ["unusual-pixel-size"]
    else:
        with pytest.raises(PixelSizeError, match=rf"no pixel size.*{um}"):
            _ = slide.pixel_size
    with pytest.raises(PixelSizeError, match=rf"--mpp gives 0\.25 .* but the file gives {um} x {um} µm \(OME-XML\)"):
        open_slide(tmp_path / "a.ome.tif", SlideOptions(mpp=0.25))
    assert open_slide(tmp_path / "a.ome.tif", SlideOptions(mpp=0.25, override_mpp=True)).pixel_size.x_um == 0.25


# ---- where files keep it ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tile", [None, (32, 32)])
@pytest.mark.parametrize(
    ("unit", "per_unit"),
    [
        ("micron", 4.0),
        ("microns", 4.0),
        ("um", 4.0),
        ("µm", 4.0),
        ("\\u00B5m", 4.0),
        ("mm", 4000.0),
        ("nm", 0.004),
        ("cm", 40_000.0),
        ("inch", 101_600.0),
        ("pixel", None),
    ],
)
def test_imagej_says_its_unit_in_the_description(
    tmp_path: Path, unit: str, per_unit: float | None, tile: tuple[int, int] | None
) -> None:
    tags = {"photometric": "rgb", "metadata": None, "tile": tile, "resolutionunit": 1}
    across = (per_unit or 1.0, per_unit or 1.0)
    description = f"ImageJ=1.54f\nunit={unit}\nloop=false\n".encode("latin-1")
    tifffile.imwrite(tmp_path / "a.tif", RGB, resolution=across, description=description, **tags)  # type: ignore[arg-type]
    found = open_slide(tmp_path / "a.tif").info.pixel_size
    if per_unit is None:
        assert found is None
    else:
        assert (found.x_um, found.source) == (pytest.approx(0.25, rel=1e-4), "ImageJ")


COMPANION = """<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
<Image ID="Image:0" Name="one"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="64" SizeY="64" SizeC="3"
 SizeZ="1" SizeT="1" PhysicalSizeX="0.25" PhysicalSizeY="0.25"><TiffData IFD="0"><UUID FileName="a.ome.tif">urn:uuid:1
</UUID></TiffData></Pixels></Image>
<Image ID="Image:1" Name="two"><Pixels ID="Pixels:1" DimensionOrder="XYCZT" Type="uint8" SizeX="64" SizeY="64" SizeC="3"
 SizeZ="1" SizeT="1" PhysicalSizeX="0.5" PhysicalSizeY="0.5"><TiffData IFD="0"><UUID FileName="b.ome.tif">urn:uuid:2
</UUID></TiffData></Pixels></Image></OME>"""


def _refers_to(path: Path, companion: str, tile: tuple[int, int] | None) -> Path:
    xml = (
        f'<OME xmlns="http://x/OME" UUID="urn:uuid:1"><BinaryOnly MetadataFile="{companion}" UUID="urn:uuid:9"/></OME>'
    )
    tifffile.imwrite(path, RGB, photometric="rgb", tile=tile, metadata=None, description=xml)
    return path


@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_a_companion_file_tells_the_pixel_size_of_each_file(tmp_path: Path, tile: tuple[int, int] | None) -> None:
    (tmp_path / "set.companion.ome").write_text(COMPANION)
    for name, mpp in (("a.ome.tif", 0.25), ("b.ome.tif", 0.5)):
        size = open_slide(_refers_to(tmp_path / name, "set.companion.ome", tile)).pixel_size
        assert (size.x_um, size.source) == (mpp, "OME-XML")
    # Which of both images another file holds is not known.
    assert open_slide(_refers_to(tmp_path / "c.ome.tif", "set.companion.ome", tile)).info.pixel_size is None


def test_a_companion_file_lies_beside_the_slide_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "set.companion.ome").write_text(COMPANION)
    (tmp_path / "below").mkdir()
    for name in ("../set.companion.ome", str(tmp_path / "set.companion.ome"), "/dev/zero"):
        assert open_slide(_refers_to(tmp_path / "below" / "a.ome.tif", name, None)).info.pixel_size is None


OME = (
    '<?xml version="1.0"?><OME xmlns="http://x/OME"><Image><Pixels DimensionOrder="XYCZT" Type="uint8" SizeX="64" '
    'SizeY="64" SizeC="3" SizeZ="1" SizeT="1" PhysicalSizeX="0.25" PhysicalSizeY="0.25"><Channel SamplesPerPixel="3"/>'
    "<TiffData/></Pixels></Image></OME>"
)


@pytest.mark.parametrize("tile", [None, (32, 32)])
@pytest.mark.parametrize(
    ("xml", "said"),
    [
        (OME, ""),
        (OME[:150], "The OME-XML in the file is damaged"),
        ('<!DOCTYPE x [<!ENTITY a "0.25">]>' + OME, "The OME-XML in the file is damaged"),
        (OME.replace('SizeX="64"', 'SizeX="640"'), "describes 640 x 64 pixels, but the image has 64 x 64"),
        ('<OME xmlns="http://x/OME"></OME>', "describes no image"),
        (
            '<OME xmlns="http://x/OME"><BinaryOnly MetadataFile="gone.companion.ome"/></OME>',
            "gone.companion.ome, which",
        ),
    ],
    ids=["whole", "cut", "entities", "size", "empty", "companion"],
)
def test_a_damaged_description_is_named_and_not_hidden_by_a_pixel_size(
    tmp_path: Path, tile: tuple[int, int] | None, xml: str, said: str
) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", tile=tile, metadata=None, description=xml)
    with open_slide(path) as slide:
        if not said:
            assert (slide.pixel_size.x_um, slide.info.cautions) == (0.25, ())
            return
        with pytest.raises(PixelSizeError, match=rf"no pixel size .*{said}.*Only if you cannot: find it"):
            _ = slide.pixel_size
    with open_slide(path, SlideOptions(mpp=0.25)) as slide:
        (caution,) = slide.info.cautions
    assert caution.code == "damaged-description"
    assert said in caution.text


def test_a_damaged_companion_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "set.companion.ome").write_text(COMPANION[:200])
    with open_slide(_refers_to(tmp_path / "a.ome.tif", "set.companion.ome", None)) as slide:
        assert slide.info.cautions[0].text == "The OME-XML in set.companion.ome is damaged, or describes no image."


@pytest.mark.parametrize(
    ("ending", "dpi", "known"), [("png", 101_600, True), ("jpg", 50_800, True), ("png", 300, False)]
)
def test_a_picture_may_tell_its_pixel_size(tmp_path: Path, ending: str, dpi: int, known: bool) -> None:
    path = tmp_path / f"a.{ending}"
    Image.fromarray(RGB).save(path, dpi=(dpi, dpi))
    found = open_slide(path).info.pixel_size
    assert (found is not None) == known
    if known:
        assert found.x_um == pytest.approx(25_400 / dpi, rel=0.01)
        assert found.source.endswith(" resolution")


def test_a_pixel_size_that_only_a_smaller_image_has_is_not_that_of_the_slide(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tags = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
        tiff.write(RGB[::4, ::4], photometric="rgb", metadata=None, **tags)  # type: ignore[arg-type]
        tiff.write(RGB, photometric="rgb", tile=(32, 32), metadata=None)
    slide = open_slide(tmp_path / "a.tif")
    assert (slide.dimensions, slide.info.pixel_size) == ((64, 64), None)
