"""SyntheticSlide: the pixels and the truth of a slide that is defined by a few numbers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from wsi_parse.geometry import Box
from wsi_parse.synthetic.layout import SQUARE_PX, Layout
from wsi_parse.synthetic.nuclei import NUCLEUS, Kind, outline_px
from wsi_parse.synthetic.painting import plain_square, stained_square, tissue_of_square
from wsi_parse.synthetic.placement import nuclei_of_square

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class SyntheticSlide:
    """An H&E-like slide with known truth, of any size; every pixel is a pure function of its position and the seed.

    Nothing as large as the slide is ever held in memory: pixels and nuclei are made square by square (SQUARE_PX pixels
    per side), and a square depends only on its eight neighbours.

    Parameters
    ----------
    width, height : int
        Level-0 pixels.
    mpp : float or (float, float)
        Microns per pixel; x and y may differ.
    seed : int
        Not negative.
    tissue : float
        Share of the slide inside the tissue outline, before tears and holes; 0 gives an empty slide.
    density : float
        Share of the possible nuclei that exist, 0..1.
    touching : bool
        If False, a gap of at least one pixel stays between any two nuclei.
    style : "stained" or "plain"
        In the plain style, tissue and nuclei have exact colours (PLAIN_TISSUE, PLAIN_COLOURS) without noise.
    rectangles : tuple of (Box, (red, green, blue))
        Boxes in level-0 pixels that are painted over everything, in this order.

    Examples
    --------
    >>> slide = SyntheticSlide(2000, 1500, seed=3)
    >>> slide.pixels(Box(500, 500, 64, 32)).shape
    (32, 64, 3)
    """

    width: int
    height: int
    mpp: float | tuple[float, float] = 0.25
    seed: int = 0
    tissue: float = 0.6
    density: float = 1.0
    touching: bool = True
    style: Literal["stained", "plain"] = "stained"
    rectangles: tuple[tuple[Box, tuple[int, int, int]], ...] = ()

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1 or min(self.mpp_xy) <= 0 or self.seed < 0:
            raise ValueError("a slide needs a positive size and pixel size, and a seed that is not negative")

    @property
    def mpp_xy(self) -> tuple[float, float]:
        """Microns per level-0 pixel in x and y."""
        return self.mpp if isinstance(self.mpp, tuple) else (float(self.mpp), float(self.mpp))

    @property
    def box(self) -> Box:
        """The whole slide in level-0 pixels."""
        return Box(0, 0, self.width, self.height)

    @property
    def layout(self) -> Layout:
        """Where tissue, nests, glands and fibres lie."""
        return Layout(self.width, self.height, self.mpp_xy, self.seed, self.tissue, self.density, self.touching)

    def square(self, column: int, row: int) -> NDArray[np.uint8]:
        """Return the pixels (SQUARE_PX, SQUARE_PX, 3) of one square; do not write into them.

        All empty squares are the same array, so that a writer needs to encode it only once.
        """
        layout = self.layout
        near = np.concatenate(
            [
                nuclei_of_square(layout, near_column, near_row)
                for near_row in (row - 1, row, row + 1)
                for near_column in (column - 1, column, column + 1)
            ]
        )
        paint = stained_square if self.style == "stained" else plain_square
        pixels = paint(layout, column, row, near)
        square_level0 = Box(column * SQUARE_PX, row * SQUARE_PX, SQUARE_PX, SQUARE_PX)
        for box_level0, colour in self.rectangles:
            common = box_level0.intersection(square_level0)
            if common.area:
                pixels = pixels if pixels.flags.writeable else pixels.copy()
                pixels[common.relative_to(square_level0).slices] = colour
        return pixels

    def pixels(self, box_level0: Box) -> NDArray[np.uint8]:
        """Return the RGB pixels of a box, uint8 (rows, columns, 3); it may reach past the slide."""
        return _gather(box_level0, np.empty((*box_level0.shape, 3), np.uint8), self.square)

    def tissue_mask(self, box_level0: Box) -> NDArray[np.bool_]:
        """Return which pixels of a box are tissue, bool (rows, columns); lumens of glands are tissue, holes are not."""
        layout = self.layout
        return _gather(
            box_level0,
            np.empty(box_level0.shape, bool),
            lambda column, row: tissue_of_square(layout, column, row),
        )

    def nuclei(self, box_level0: Box) -> NDArray[np.void]:
        """Return the nuclei (dtype NUCLEUS) whose centre lies in a box, square by square."""
        parts = list(self.iterate_nuclei(box_level0))
        return np.concatenate(parts) if parts else np.empty(0, NUCLEUS)

    def iterate_nuclei(self, box_level0: Box | None = None) -> Iterator[NDArray[np.void]]:
        """Yield the nuclei of a box (None is the whole slide), one array per square, row by row."""
        box = self.box if box_level0 is None else box_level0.intersection(self.box)
        squares = box.covering(SQUARE_PX)
        for row in range(squares.y, squares.bottom):
            for column in range(squares.x, squares.right):
                nuclei = nuclei_of_square(self.layout, column, row)
                inside = (nuclei["x"] >= box.x) & (nuclei["x"] < box.right)
                inside &= (nuclei["y"] >= box.y) & (nuclei["y"] < box.bottom)
                yield nuclei[inside]

    def outlines(self, nuclei: NDArray[np.void]) -> NDArray[np.float64]:
        """Return the true outlines (N, points, 2) as (x, y) in level-0 pixels; the rings are not closed."""
        shapes = zip(nuclei["kind"].tolist(), nuclei["shape"].tolist(), nuclei["turn"].tolist(), strict=True)
        rings = [outline_px(Kind(kind), shape, turn, self.mpp_xy) for kind, shape, turn in shapes]
        if not rings:
            return np.empty((0, 0, 2))
        centres = np.stack([nuclei["x"], nuclei["y"]], axis=1)
        return np.stack(rings) + centres[:, np.newaxis]


def _gather(box: Box, result: NDArray[Scalar], make: Callable[[int, int], NDArray[Scalar]]) -> NDArray[Scalar]:
    """Fill `result`, whose pixels are those of `box`, from the squares it touches."""
    squares = box.covering(SQUARE_PX)
    for row in range(squares.y, squares.bottom):
        for column in range(squares.x, squares.right):
            square = Box(column * SQUARE_PX, row * SQUARE_PX, SQUARE_PX, SQUARE_PX)
            common = square.intersection(box)
            result[common.relative_to(box).slices] = make(column, row)[common.relative_to(square).slices]
    return result
