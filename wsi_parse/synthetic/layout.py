"""Layout: where tissue, tumour nests, glands, crowds of lymphocytes and fibres lie."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wsi_parse.synthetic.glands import REGION_SALT, REGION_UM, gland_distances, glands_near
from wsi_parse.synthetic.noise import smooth_noise

SQUARE_PX = 512
"""Side in pixels of a square: nuclei and pixels are made square by square."""

STEP = 16
"""Pixels between two nodes of a field."""

MARGIN_UM = 26.0
"""Margin around a square in which nuclei are considered: farther than two nuclei can influence each other."""

DISTANCE_LIMIT_UM = 60.0


@dataclass(frozen=True)
class Fields:
    """The smooth fields of one square and its surroundings, as nodes STEP pixels apart.

    Signed distances in microns, positive inside; approximate away from the edge.

    Parameters
    ----------
    values : dict of str to float32 array (rows, columns)
        tissue, tumour, gland, lumen : distances. lymphocytes : 0..1, probability of one. flow : the stream function
        in microns, whose level lines are the fibres. strength : -1..1, unevenness of the stain.
    margin : int
        Nodes before the first pixel of the square; node [margin, margin] lies on its top left corner.
    """

    values: dict[str, NDArray[np.float32]]
    margin: int

    @property
    def blank(self) -> bool:
        """Whether there is no tissue in or close to the square."""
        return bool(self.values["tissue"].max() <= 0.0)

    def square_nodes(self, name: str) -> NDArray[np.float32]:
        """Return the nodes of the square without its margin, in the form that `upsample` needs."""
        part = slice(self.margin - 1, self.margin + 2 + SQUARE_PX // STEP)
        return self.values[name][part, part]

    def at(self, name: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a field at positions (bilinear) that are given in pixels from the corner of the square."""
        column, row = x / STEP + self.margin, y / STEP + self.margin
        left, top = np.floor(column).astype(np.int64), np.floor(row).astype(np.int64)
        right_weight, bottom_weight = column - left, row - top
        nodes = self.values[name]
        upper = nodes[top, left] * (1 - right_weight) + nodes[top, left + 1] * right_weight
        lower = nodes[top + 1, left] * (1 - right_weight) + nodes[top + 1, left + 1] * right_weight
        return upper * (1 - bottom_weight) + lower * bottom_weight


@dataclass(frozen=True)
class Layout:
    """Tissue and nuclei as pure functions of position, seed and slide size.

    Parameters
    ----------
    width, height : int
        Level-0 pixels.
    mpp : (float, float)
        Microns per pixel in x and y.
    seed : int
    tissue : float
        Share of the slide that is tissue before holes and tears, 0..1.
    density : float
        Share of the possible nuclei that exist, 0..1.
    touching : bool
        Whether neighbouring nuclei may touch and overlap a little.
    """

    width: int
    height: int
    mpp: tuple[float, float]
    seed: int
    tissue: float
    density: float
    touching: bool

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height in microns."""
        return self.width * self.mpp[0], self.height * self.mpp[1]

    def _noise(
        self, x_um: NDArray[np.float64], y_um: NDArray[np.float64], wavelength_um: float, salt: int
    ) -> NDArray[np.float64]:
        return smooth_noise(x_um, y_um, wavelength_um, self.seed * 1000 + salt)

    def outline(self, x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far inside the tissue positions are, in microns, up to a constant."""
        width_um, height_um = self.size_um
        side_um = min(width_um, height_um)
        x = (x_um / width_um - 0.5)[np.newaxis] * 2.1
        y = (y_um / height_um - 0.5)[:, np.newaxis] * 2.1
        outline = -0.5 * side_um * (np.abs(x) ** 3 + np.abs(y) ** 3) ** (1 / 3)
        for share, salt in ((0.42, 1), (0.17, 2), (0.07, 3)):
            outline += 0.45 * share * side_um * self._noise(x_um, y_um, share * side_um, salt)
        return outline

    def tissue_distance(self, x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the signed distance to the edge of the tissue in microns, with tears and holes cut out."""
        if self.tissue <= 0.0:
            return np.full((len(y_um), len(x_um)), -DISTANCE_LIMIT_UM)
        if self.tissue >= 1.0:
            return np.full((len(y_um), len(x_um)), DISTANCE_LIMIT_UM)
        distance = self.outline(x_um, y_um) - _threshold(self)
        if distance.max() < -60.0:
            return np.full(distance.shape, -DISTANCE_LIMIT_UM)
        noise = self._noise
        distance += 16.0 * noise(x_um, y_um, 90.0, 4) + 5.0 * noise(x_um, y_um, 28.0, 5)
        # Tears are thin slits along the zero line of one noise where another is high; a third makes vessels and holes.
        slit = 9.0 - 170.0 * np.abs(noise(x_um, y_um, 420.0, 6))
        tears = np.minimum(slit, 60.0 * (noise(x_um, y_um, 330.0, 7) - 0.45))
        holes = 80.0 * (noise(x_um, y_um, 190.0, 8) - 0.92) + 4.0 * noise(x_um, y_um, 25.0, 9)
        return np.clip(np.minimum(distance, -np.maximum(tears, holes)), -DISTANCE_LIMIT_UM, DISTANCE_LIMIT_UM)

    def architecture(
        self, x_um: NDArray[np.float64], y_um: NDArray[np.float64], tissue: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Return the fields that :class:`Fields` lists, for axes in microns and the distance to the tissue's edge."""
        noise, limit = self._noise, DISTANCE_LIMIT_UM
        region = noise(x_um, y_um, REGION_UM, REGION_SALT)
        gland, lumen = gland_distances(glands_near(self.seed, x_um, y_um), x_um, y_um)
        nests = noise(x_um, y_um, 130.0, 21) + 0.45 * noise(x_um, y_um, 60.0, 22) + 0.9 * region
        tumour = 60.0 * (nests - 0.2) + 3.0 * noise(x_um, y_um, 24.0, 23)
        # Septa of stroma cut the tumour into nests.
        tumour = np.minimum(tumour, 110.0 * np.abs(noise(x_um, y_um, 150.0, 31)) - 7.0)
        tumour = np.minimum(tumour, -gland - 10.0)
        crowd = noise(x_um, y_um, 130.0, 24) + 0.5 * noise(x_um, y_um, 700.0, 25)
        rim = np.exp(-((np.minimum(tumour, 0.0) + 12.0) ** 2) / 700.0)
        lymphocytes = np.clip(1.6 * (crowd + 0.4 * rim - 0.7), 0.0, 1.0) + 0.03
        # Between glands lies a lamina propria full of lymphocytes and plasma cells.
        lymphocytes += 0.28 * np.clip(1.0 + gland / 45.0, 0.0, 1.0)
        angle = 2.0 * math.pi * ((self.seed * 0.618) % 1.0)
        across = math.cos(angle) * y_um[:, np.newaxis] - math.sin(angle) * x_um[np.newaxis]
        flow = across + 190.0 * noise(x_um, y_um, 520.0, 26) + 26.0 * noise(x_um, y_um, 110.0, 27)
        flow += 4.0 * noise(x_um, y_um, 36.0, 30)
        # Fibres wrap around nests and glands, because the distance to these bends the stream function near them.
        flow -= 0.9 * np.clip(np.maximum(tumour, gland), -40.0, 0.0)
        return {
            "tissue": tissue,
            "tumour": np.clip(tumour, -limit, limit),
            "gland": np.clip(gland, -limit, limit),
            "lumen": np.clip(lumen, -limit, limit),
            "lymphocytes": lymphocytes,
            "flow": flow,
            "strength": noise(x_um, y_um, 1300.0, 28) + 0.4 * noise(x_um, y_um, 260.0, 29),
        }


@lru_cache(maxsize=32)
def _threshold(layout: Layout) -> float:
    """Return the value of `Layout.outline` above which the requested share of the slide lies."""
    width_um, height_um = layout.size_um
    shares = (np.arange(96) + 0.5) / 96
    return float(np.quantile(layout.outline(shares * width_um, shares * height_um), 1.0 - layout.tissue))


@lru_cache(maxsize=256)
def fields_of_square(layout: Layout, column: int, row: int) -> Fields:
    """Evaluate the fields of one square; they are cached, because nuclei and pixels both need them."""
    margin = 2 + math.ceil(MARGIN_UM / (STEP * min(layout.mpp)))
    nodes = np.arange(-margin, SQUARE_PX // STEP + margin + 1, dtype=np.float64) * STEP
    x_um = (column * SQUARE_PX + nodes) * layout.mpp[0]
    y_um = (row * SQUARE_PX + nodes) * layout.mpp[1]
    tissue = layout.tissue_distance(x_um, y_um)
    if tissue.max() <= 0.0:
        return Fields({"tissue": tissue.astype(np.float32)}, margin)
    fields = layout.architecture(x_um, y_um, tissue)
    return Fields({name: values.astype(np.float32) for name, values in fields.items()}, margin)
