"""Painted tiles with known truth, for whoever has no labelled ones: they show that a model works, not how well."""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from wsi_parse.evaluate.labelled_tiles import LabelledTile
from wsi_parse.geometry import Box
from wsi_parse.synthetic import Kind, SyntheticSlide

#: Prompt -> the kinds of painted nuclei that it means. Other prompts have no painted truth.
PAINTED: dict[str, tuple[Kind, ...]] = {
    "nuclei": tuple(Kind),
    "neoplastic cells": (Kind.NEOPLASTIC,),
    "epithelial cells": (Kind.EPITHELIAL,),
    "inflammatory cells": (Kind.INFLAMMATORY,),
    "connective tissue cells": (Kind.CONNECTIVE,),
}
_SEED, _TISSUE = 17, 0.9


def paint_tiles(prompt: str, field_um: float, mpp_um: float, across: int) -> Iterator[LabelledTile]:
    """Paint a square of tissue, and yield it tile by tile with the mask of a prompt.

    Parameters
    ----------
    prompt : str
        One of :data:`PAINTED`.
    field_um, mpp_um : float
        Side of a tile, and of its pixels.
    across : int
        Tiles along each side of the square.
    """
    side = round(field_um / mpp_um)
    slide = SyntheticSlide(side * across, side * across, mpp=mpp_um, seed=_SEED, tissue=_TISSUE)
    kinds = [int(kind) for kind in PAINTED[prompt]]
    squares = slide.box.covering(side)
    nuclei = slide.nuclei(slide.box)
    mask = Image.new("1", (slide.width, slide.height))
    draw = ImageDraw.Draw(mask)
    for ring in slide.outlines(nuclei[np.isin(nuclei["kind"], kinds)]):
        draw.polygon([(float(x) - 0.5, float(y) - 0.5) for x, y in ring], fill=1)
    truth = np.asarray(mask)
    for row in range(squares.y, squares.bottom):
        for column in range(squares.x, squares.right):
            box = Box(column * side, row * side, side, side)
            yield LabelledTile(slide.pixels(box), truth[box.slices])
