"""How well tissue is detected and separated from pen ink: `python -m benchmarks.tissue [--json]`.

Pictures without a known pixel size get an assumed one here; the reason is beside it.
"""

import argparse
import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation, gaussian_filter

from benchmarks import limits
from wsi_parse.settings import ObjectSettings, TissueSettings
from wsi_parse.slides import open_slide
from wsi_parse.slides.options import SlideOptions
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.detection import detect_tissue, tissue_in_image
from wsi_parse.tissue.light import mean_density
from wsi_parse.tissue.mask import TissueMask

Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]
Stroke = tuple[tuple[tuple[int, int], ...], int]

SETTINGS = TissueSettings()
DATA = Path(os.environ.get("WSI_PARSE_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))

# The left and the top and bottom edges of the cover slip are seen, 3255 px apart, the right one is not: 24 x 50 mm.
IMI_MPP = 15.5
# A section of usual size (20 mm) across 440 px, pen strokes (0.7 mm) 16 px wide.
THUMBNAIL_MPP = 45.0
# The names give the level; nuclei of 25 to 30 px at level 0 make that 0.25 um, and levels are 4 times coarser each,
# except in the series whose names show 4096 px cut to 512. Tubules and lobules give the order of the small ones.
TILE_MPP = {
    "kidney-ihc": 8.0,
    "almost-white-ihc": 8.0,
    "liver": 8.0,
    "tissue-level2": 2.0,
    "level0": 0.25,
    "level1": 1.0,
    "level2": 4.0,
    "no-tissue": 1.0,
    "almost-white": 1.0,
}
# Checked one by one: almost-white-ihc holds a speck, no-tissue-line the edge of a cover slip, no-tissue2 debris;
# almost-white-2 has pale tissue in a corner, 3 % of the tile, and liver-…-38626 is empty glass. All others are tissue.
EMPTY_TILES = ("almost-white", "no-tissue", "liver-level2-38626")
# A tile with at least this share is called tissue.
TISSUE_SHARE = 0.1

# Drawn by hand on diagnostic-slide-thumb-rgb.png, six times enlarged, before any ink was detected: middle of a
# stroke as (x, y) pixels, and its width.
PEN_MARKS: dict[str, tuple[Stroke, ...]] = {
    "green": (
        (((112, 43), (140, 48), (168, 57), (186, 68)), 18),
        (((240, 28), (280, 34), (310, 43), (340, 46), (370, 57), (400, 65)), 10),
        (((218, 35), (222, 55), (232, 75), (250, 92)), 7),
        (((43, 140), (43, 195)), 8),
        (((34, 222), (27, 245), (20, 275)), 8),
        (((24, 335), (26, 375)), 8),
        (((35, 430), (42, 455), (60, 475), (90, 490), (120, 500), (150, 500)), 12),
        (((180, 495), (200, 493), (230, 488)), 8),
        (((250, 480), (300, 468), (340, 458)), 7),
        (((260, 466), (300, 463), (340, 450), (380, 440), (420, 415), (455, 385)), 10),
    ),
    "red": (
        (((75, 52), (50, 58), (36, 70), (38, 90), (48, 100), (55, 125), (68, 160)), 8),
        (((95, 167), (110, 170), (112, 182), (95, 190), (70, 197)), 10),
        (((75, 70), (85, 95), (110, 103), (135, 98), (160, 90)), 7),
        (((207, 85), (216, 110), (218, 125)), 7),
        (((255, 75), (272, 67), (300, 62), (312, 72), (325, 83), (345, 75)), 8),
        (((365, 75), (390, 85), (405, 110), (420, 125), (418, 155), (400, 178), (380, 193), (350, 197)), 10),
        (((252, 115), (258, 140), (275, 160), (290, 165)), 8),
        (((410, 215), (430, 235), (450, 260), (460, 290), (458, 320), (462, 345), (440, 370), (428, 380)), 8),
        (((45, 385), (55, 405), (75, 430), (95, 425), (113, 420), (120, 440), (150, 452), (180, 460)), 7),
        (((28, 285), (32, 310), (35, 325)), 8),
        (((320, 438), (345, 430), (375, 417), (405, 405)), 6),
        (((60, 205), (65, 225)), 8),
    ),
    "black": (
        (((90, 112), (108, 120), (116, 137), (108, 152), (93, 157), (84, 145), (83, 122), (90, 112)), 6),
        (((205, 168), (212, 156), (225, 155), (236, 170), (234, 188), (224, 193), (212, 180), (205, 168)), 6),
        (((200, 197), (212, 203), (213, 222), (203, 235), (188, 230), (184, 212), (192, 200), (200, 197)), 6),
        (((105, 250), (110, 236), (122, 236), (130, 245), (140, 250), (158, 255)), 6),
        (((105, 250), (104, 265), (112, 279), (122, 281)), 6),
        (
            (
                (90, 318),
                (105, 325),
                (115, 340),
                (108, 357),
                (88, 362),
                (74, 350),
                (68, 332),
                (76, 320),
                (90, 318),
            ),
            6,
        ),
        (((135, 310), (145, 300), (170, 297), (176, 310), (172, 330), (163, 338), (148, 327), (135, 312)), 5),
        (((203, 322), (215, 315), (250, 312), (272, 318), (283, 335)), 6),
        (
            (
                (252, 270),
                (262, 262),
                (285, 262),
                (297, 275),
                (295, 293),
                (280, 302),
                (262, 303),
                (252, 290),
                (250, 275),
            ),
            7,
        ),
        (
            (
                (343, 270),
                (360, 265),
                (366, 290),
                (355, 315),
                (340, 332),
                (335, 318),
                (333, 300),
                (315, 298),
                (322, 282),
                (343, 272),
            ),
            6,
        ),
        (((393, 292), (405, 292), (413, 308), (410, 330), (403, 337), (390, 325), (385, 308), (392, 293)), 6),
        (((310, 327), (325, 332), (328, 345), (322, 358)), 6),
        (((300, 350), (300, 335), (310, 327)), 6),
        (((280, 380), (295, 366), (310, 370), (322, 382), (318, 395), (300, 395), (283, 388)), 6),
        (
            (
                (235, 362),
                (257, 357),
                (267, 372),
                (264, 392),
                (250, 400),
                (232, 400),
                (222, 385),
                (222, 372),
                (235, 362),
            ),
            6,
        ),
        (((178, 366), (190, 378), (193, 395), (187, 407), (175, 407), (165, 398), (164, 380), (172, 368)), 6),
        (((178, 258), (186, 270), (183, 285), (170, 290), (163, 280), (166, 265), (176, 258)), 6),
    ),
    "colours crossing": (
        (((200, 458), (240, 455), (280, 445)), 8),
        (((107, 38), (110, 70)), 6),
        (((150, 80), (180, 84)), 8),
        (((58, 225), (65, 245), (78, 262)), 8),
        (((60, 180), (75, 178), (90, 176)), 8),
    ),
}
# Tissue that no pen touches, as left, top, right, bottom.
UNMARKED = (
    (125, 115, 190, 150),
    (125, 165, 175, 190),
    (120, 195, 170, 225),
    (345, 95, 380, 130),
    (350, 165, 385, 185),
    (330, 365, 420, 378),
    (60, 385, 150, 412),
    (100, 465, 150, 475),
    (240, 180, 280, 230),
    (300, 240, 400, 262),
    (220, 420, 290, 440),
    (380, 265, 420, 282),
    (425, 300, 444, 350),
    (50, 70, 64, 82),
)
# Optical density of a full stroke, red, green, blue.
INKS = {
    "blue": (1.3, 0.9, 0.25),
    "green": (1.2, 0.45, 0.65),
    "red": (0.1, 1.1, 0.9),
    "black": (1.3, 1.3, 1.2),
}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    case, what : str
    value : float
    at_least, at_most : float or None
        The limits; both None: reported only.
    """

    case: str
    what: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the limits are met."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


def picture(path: str) -> Picture:
    return np.asarray(Image.open(DATA / path).convert("RGB"))


def tissue_of(pixels: Picture, mpp: float) -> TissueMask:
    return detect_tissue(open_slide(pixels, SlideOptions(mpp=mpp)), SETTINGS)


def overlap(found: Mask, truth: Mask) -> float:
    """Intersection over union."""
    return float((found & truth).sum() / (found | truth).sum())


def reference_rows() -> Iterator[Row]:
    reference = np.asarray(Image.open(DATA / "tissue/imi/29_mask_ref.png")) > 127
    pixels = picture("tissue/imi/29.jpg")
    # The mask is six rows taller; any offset of 0 to 6 rows changes the overlap by less than 0.001: the middle.
    reference = reference[3:-3]
    yield Row("imi", "IoU", overlap(tissue_in_image(pixels, IMI_MPP, SETTINGS), reference), 0.85)
    dark = (pixels * 0.72).astype(np.uint8)
    yield Row("imi, white at 0.72", "IoU", overlap(tissue_in_image(dark, IMI_MPP, SETTINGS), reference), 0.85)
    truth = np.asarray(Image.open(DATA / "slides/mosaic/tnbc_mosaic_tissue_ds16.png")) > 127
    for name, mpp in (("tnbc_mosaic_40x.svs", None), ("tnbc_mosaic_generic_mpp025.tif", 0.25)):
        with open_slide(DATA / "slides/mosaic" / name, SlideOptions(mpp=mpp)) as slide:
            mask = detect_tissue(slide, SETTINGS).mask
        fine = mask.repeat(2, axis=0).repeat(2, axis=1)[: truth.shape[0], : truth.shape[1]]
        yield Row(name, "IoU", overlap(fine, truth), 0.82)


def drawn(shape: tuple[int, ...], strokes: tuple[Stroke, ...]) -> Mask:
    """Paint strokes, four times oversampled."""
    canvas = Image.new("L", (shape[1] * 4, shape[0] * 4))
    pen = ImageDraw.Draw(canvas)
    for points, width in strokes:
        fine = [(4 * x + 2, 4 * y + 2) for x, y in points]
        pen.line(fine, fill=255, width=4 * width, joint="curve")
        for x, y in (fine[0], fine[-1]):
            pen.ellipse((x - 2 * width, y - 2 * width, x + 2 * width, y + 2 * width), fill=255)
    return np.asarray(canvas.resize((shape[1], shape[0]), Image.Resampling.BOX)) > 127


def pen_rows() -> Iterator[Row]:
    pixels = picture("tissue/histolab/diagnostic-slide-thumb-rgb.png")
    mask = tissue_of(pixels, THUMBNAIL_MPP).mask
    for colour, marks in PEN_MARKS.items():
        limit = 0.02 if colour in INKS else None
        yield Row(
            f"histolab pen, {colour}",
            "ink called tissue",
            float(mask[drawn(mask.shape, marks)].mean()),
            None,
            limit,
        )
    boxes = np.zeros(mask.shape, np.bool_)
    for left, top, right, bottom in UNMARKED:
        boxes[top:bottom, left:right] = True
    yield Row("histolab pen", "unmarked tissue kept", float(mask[boxes].mean()), 0.9)


def pictures_to_mark() -> Iterator[tuple[str, Picture, float]]:
    """Yield pictures to draw ink on."""
    imi = picture("tissue/imi/29.jpg")
    yield "imi", np.ascontiguousarray(imi[300:1500]), IMI_MPP
    yield "imi at 31 um", np.asarray(Image.fromarray(imi[1200:2600]).reduce(2)), 2 * IMI_MPP
    with open_slide(DATA / "slides/aperio/tcga-cr-7395-01a-01-ts1.svs", SlideOptions(mpp=0.5)) as slide:
        frame = slide.frame(8.0)
        yield "tcga-cr", slide.read(frame.box, frame), 8.0


def inked(pixels: Picture, mpp: float, colour: str, strength: float) -> tuple[Picture, Mask]:
    """Draw a ring across tissue and a wavy line down a picture like a pen: paler than full, with dots at the ends.

    Returns the picture and where the ink is.
    """
    height, width = pixels.shape[:2]
    line_px = max(3, round(min(800.0, 0.1 * width * mpp) / mpp))
    turns = np.linspace(0, 2 * math.pi, 40)
    ring = tuple((int(width * (0.5 + 0.2 * math.cos(t))), int(height * (0.5 + 0.2 * math.sin(t)))) for t in turns)
    wave = tuple((int(width * (0.12 + 0.05 * math.sin(2 * t))), int(height * (0.05 + 0.13 * t))) for t in turns)
    where = drawn(pixels.shape, ((ring, line_px), (wave, line_px)))
    dots = drawn(pixels.shape, tuple((path[:1] * 2, round(1.2 * line_px)) for path in (ring, wave)))
    amount = gaussian_filter(strength * (where + 0.7 * dots), 20.0 / mpp)
    streaks = 1 + 0.15 * np.sin(np.arange(width) * mpp / 60.0)
    density = (amount * streaks)[..., None] * np.array(INKS[colour])
    return np.rint(pixels * 10.0**-density).astype(np.uint8), where


def drawn_pen_rows() -> Iterator[Row]:
    for name, pixels, mpp in pictures_to_mark():
        clean = tissue_in_image(pixels, mpp, SETTINGS)
        for colour in INKS:
            for strength in (0.5, 0.75, 1.0):
                marked, ink = inked(pixels, mpp, colour, strength)
                found = tissue_in_image(marked, mpp, SETTINGS)
                case = f"{colour} drawn on {name}, strength {strength}"
                yield Row(case, "ink called tissue", float(found[ink].mean()), None, 0.02)
                beside = clean & ~binary_dilation(ink, iterations=math.ceil(125.0 / mpp))
                yield Row(case, "tissue beside kept", float(found[beside].mean()), 0.95)


def tile_rows() -> Iterator[Row]:
    for path in sorted((DATA / "tissue/histolab_tiles").glob("*.png")):
        mpp = next(value for key, value in TILE_MPP.items() if key in path.name)
        share = float(tissue_of(picture(f"tissue/histolab_tiles/{path.name}"), mpp).mask.mean())
        empty = path.name.startswith(EMPTY_TILES)
        yield Row(path.stem, "tissue share", share, None if empty else TISSUE_SHARE, TISSUE_SHARE if empty else None)


def dark_rows() -> Iterator[Row]:
    """Check that dense, dark tissue is not taken for ink: fields of cells side by side on glass, at 8 µm/px."""
    for folder, pattern, reduction, glass in (
        ("nuinsseg", "*.jpg", 48, 140),
        ("consep", "*.jpg", 32, 242),
        ("dsb2018", "*.png", 32, 240),
    ):
        fields = sorted((DATA / "nuclei" / folder / "images").glob(pattern))[:400]
        tiles = [np.asarray(Image.open(path).convert("RGB").reduce(reduction)) for path in fields]
        side = math.ceil(math.sqrt(len(tiles)))
        rows, columns = tiles[0].shape[:2]
        pixels = np.full((side * rows + 60, side * columns + 60, 3), glass, np.uint8)
        truth = np.zeros(pixels.shape[:2], np.bool_)
        for index, tile in enumerate(tiles):
            top, left = 30 + index // side * rows, 30 + index % side * columns
            part = tile[:rows, :columns]
            pixels[top : top + part.shape[0], left : left + part.shape[1]] = part
            truth[top : top + part.shape[0], left : left + part.shape[1]] = True
        kept = tissue_in_image(pixels, 8.0, SETTINGS)[truth].mean()
        yield Row(f"{folder}, fields side by side", "tissue kept", float(kept), 0.95)


AREA_SLIDES = (
    "slides/aperio/CMU-1-Small-Region.svs",
    "slides/mosaic/tnbc_mosaic_40x.svs",
    "slides/mosaic/tnbc_mosaic_generic_mpp025.tif",
    "regions/bcss/slides/bcss_TCGA-A2-A0D2.tiff",
    "regions/bcss/slides/bcss_TCGA-A2-A1G6.tiff",
)
# How far from the search area a cell may lie and is kept.
MARGIN_UM = ObjectSettings().tissue_margin_um


def area_rows() -> Iterator[Row]:
    """Check the two areas: no nucleus is lost by the search area, and the tissue area holds hardly any glass."""
    for path in AREA_SLIDES:
        with open_slide(DATA / path) as slide:
            tissue = detect_tissue(slide, SETTINGS)
            glass = glass_share(slide, tissue)
        name = Path(path).stem
        yield Row(name, "search area, mm²", tissue.search_mm2)
        yield Row(name, "tissue area, mm²", tissue.area_mm2)
        yield Row(name, "glass in tissue area", glass, None, 0.05)
        if "mosaic" in path:
            nuclei = nuclei_of_mosaic()
            lost = float((~tissue.contains(nuclei, MARGIN_UM)).sum())
            yield Row(name, "nuclei not searched", lost, None, 0)
            outside = 1 - float(replace(tissue, mask=tissue.tissue).contains(nuclei).mean())
            yield Row(name, "nuclei off tissue area", outside, None, 0.01)


def glass_share(slide: Slide, tissue: TissueMask) -> float:
    """Share of the tissue area whose mean optical density over 8 µm is below 0.06, at 1 µm per pixel."""
    frame = slide.frame(max(1.0, slide.pixel_size.x_um))
    density = mean_density(slide.read(frame.box, frame), frame.mpp_x, 8.0)
    columns = ((np.arange(frame.width) + 0.5) * frame.scale_x / tissue.frame.scale_x).astype(int)
    rows = ((np.arange(frame.height) + 0.5) * frame.scale_y / tissue.frame.scale_y).astype(int)
    columns, rows = np.minimum(columns, tissue.frame.width - 1), np.minimum(rows, tissue.frame.height - 1)
    return float((density[tissue.tissue[rows[:, None], columns]] < 0.06).mean())


def nuclei_of_mosaic() -> NDArray[np.float64]:
    """Return the centres (N, 2) of the true nuclei of the mosaic, in level-0 pixels."""
    features = json.loads((DATA / "slides/mosaic/tnbc_mosaic_nuclei.geojson").read_text(encoding="utf-8"))["features"]
    shapes = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])
    return np.asarray(shapely.get_coordinates(shapely.centroid(shapes)))


def rows() -> Iterator[Row]:
    yield from area_rows()
    yield from reference_rows()
    yield from pen_rows()
    yield from tile_rows()
    yield from dark_rows()
    yield from drawn_pen_rows()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    failed = 0
    for row in rows():
        failed += not row.holds
        if chosen.json:
            print(json.dumps(asdict(row) | {"holds": row.holds}), flush=True)
            continue
        at_most = f"<= {row.at_most}" if row.at_most is not None else ""
        limit = f">= {row.at_least}" if row.at_least is not None else at_most
        print(
            f"{row.case:44} {row.what:22} {row.value:7.3f}  {limit:8} {'' if row.holds else 'FAILS'}",
            flush=True,
        )
    limits.end(kept=not failed)


if __name__ == "__main__":
    main()
