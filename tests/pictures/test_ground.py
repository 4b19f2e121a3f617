"""The tissue under the differences: it lies where the outlines of a file say, and it is of the right slide."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from tests.evaluate.made import annotations
from tests.one_pass import ArrayReader
from tests.small_slides import write_slide
from wsi_parse.cli.evaluation_outputs import Outputs
from wsi_parse.cli.slide_of_pair import check_slide, ground_of
from wsi_parse.errors import UsageError
from wsi_parse.evaluate import EvaluationOptions, compare
from wsi_parse.geometry import Box, Frame
from wsi_parse.pictures.differences import draw_disagreements
from wsi_parse.pictures.ground import SlideGround
from wsi_parse.pictures.view import View
from wsi_parse.slides.slide import Slide, SlideOptions

MARK = Box(300, 200, 60, 40)


def slide_with_mark(bounds: Box | None = None) -> Slide:
    pixels = np.full((500, 700, 3), 230, np.uint8)
    pixels[MARK.slices] = 0
    return Slide(ArrayReader(pixels, (0.5, 0.5), bounds), pixels, SlideOptions())


@pytest.mark.parametrize(
    ("stated", "bounds", "origin"),
    [
        ({}, None, (0, 0)),
        ({}, Box(100, 50, 500, 400), (100, 50)),
        ({"frame": "level0"}, Box(100, 50, 500, 400), (0, 0)),
        ({"offset_level0_px": [30, 20]}, None, (30, 20)),
    ],
)
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_the_mark_lies_where_the_file_says(
    stated: dict[str, object], bounds: Box | None, origin: tuple[int, int], scale: float
) -> None:
    ground = SlideGround.of_file(slide_with_mark(bounds), stated)
    width, height = round(900 / scale), round(700 / scale)
    frame = Frame(width, height, 0.5 * scale, 0.5 * scale, scale, scale)
    # It begins outside of the slide, which is white.
    corner = round(-200 / scale)
    picture = np.asarray(ground.picture(View(frame, Box(corner, corner, width, height))))
    assert picture.shape == (height, width, 3)
    rows, columns = np.nonzero(picture[..., 0] < 100)
    found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) * scale - 200
    wanted = np.array([MARK.x, MARK.y, MARK.right, MARK.bottom]) - np.tile(origin, 2)
    assert np.abs(found - wanted).max() <= 2 * max(scale, 1)
    assert (picture[0, 0] == 255).all()


def test_differences_on_tissue_show_it_and_name_the_slide(tmp_path: Path) -> None:
    shapes = shapely.box(*np.array([[100, 100, 120, 120], [400, 300, 420, 320]], float).T)
    comparison = compare(annotations(shapes), annotations(shapes[:1]), EvaluationOptions(mpp=0.5))
    dark = []
    for name, ground in (("plain.png", None), ("tissue.png", SlideGround(slide_with_mark(), np.zeros(2)))):
        draw_disagreements(comparison, tmp_path / name, ground)
        with Image.open(tmp_path / name) as picture:
            grey = np.asarray(picture.convert("L"))
            dark.append(int((grey[: picture.height * 7 // 8] < 40).sum()))
    assert dark[1] > dark[0] + 1000, "the mark"


def test_the_slide_of_a_pair_is_found_in_a_folder_by_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "slides"
    folder.mkdir()
    for name in ("a.svs", "b.svs"):
        write_slide(folder / name, np.full((300, 300, 3), 220, np.uint8))
    none = annotations([])
    said = annotations([], provenance={"slide": {"name": "b.svs"}})
    for given, truth, expected in ((folder, none, "a.svs"), (folder, said, "b.svs"), (folder / "b.svs", none, "b.svs")):
        name = "other" if truth is said else "a"
        with ground_of(given, name, truth, none, None) as ground:
            assert ground is not None
            assert ground.slide.name == expected
    # Results beside the slides are none, and what the files state counts more than the name of the pair.
    (folder / "a.geojson").write_text("{}")
    with ground_of(folder, "a", said, none, None) as ground:
        assert ground is not None
        assert ground.slide.name == "b.svs"
    with ground_of(None, "other", none, none, None) as ground:
        assert ground is None
    with pytest.raises(UsageError, match="No slide of other"), ground_of(folder, "other", none, none, None):
        pass
    other = annotations([], provenance={"slide": {"name": "c.svs", "fingerprint": "0"}})
    with pytest.raises(UsageError, match="not the slide"), ground_of(folder / "a.svs", "a", other, none, None):
        pass


def test_a_slide_needs_a_picture_and_several_pairs_a_folder(tmp_path: Path) -> None:
    slide, picture = tmp_path / "a.svs", Outputs(overlay=tmp_path / "d.png")
    slide.touch()
    with pytest.raises(UsageError, match="Name the picture with --overlay"):
        check_slide(slide, Outputs(), several=False)
    with pytest.raises(UsageError, match="folder of the slides"):
        check_slide(slide, picture, several=True)
    with pytest.raises(UsageError, match="no_such"):
        check_slide(tmp_path / "no_such.svs", picture, several=False)
    check_slide(tmp_path, picture, several=True)
