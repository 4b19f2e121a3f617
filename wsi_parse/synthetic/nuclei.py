"""The library of nucleus shapes: the outline, the size and a rendered stamp of each."""

import math
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

SHAPES = 32
TURNS = 32
OUTLINE_POINTS = 48
FULL_OPTICAL_DENSITY = 1.6
"""Stain amount (optical density along its unit vector) that 255 stands for."""

OPTICS_SIGMA_UM = 0.2
NUCLEUS = np.dtype(
    [
        ("x", "<f8"),
        ("y", "<f8"),
        ("semi_major_um", "<f4"),
        ("semi_minor_um", "<f4"),
        ("angle", "<f4"),
        ("kind", "u1"),
        ("shape", "u1"),
        ("turn", "u1"),
    ]
)
"""Truth of one nucleus: centroid in level-0 pixels; semi-axes of its ellipse in microns; angle of the major
axis in radians from x towards y (down), measured in microns; `shape` and `turn` identify its stamp."""


class Kind(IntEnum):
    """The four kinds of nuclei."""

    NEOPLASTIC = 0
    EPITHELIAL = 1
    INFLAMMATORY = 2
    CONNECTIVE = 3


@dataclass(frozen=True)
class _Look:
    """How the nuclei of one kind vary: (mean, spread) of each property; lengths in microns."""

    semi_major_um: tuple[float, float]
    roundness: tuple[float, float]
    irregularity: float
    bend: float
    density: tuple[float, float]
    rim: float
    chromatin: float
    grain_um: float
    nucleoli: int


_LOOKS = {
    Kind.NEOPLASTIC: _Look((5.6, 0.95), (0.76, 0.10), 0.050, 0.03, (0.40, 0.09), 0.55, 0.28, 0.45, 3),
    Kind.EPITHELIAL: _Look((4.3, 0.40), (0.64, 0.06), 0.018, 0.02, (0.38, 0.05), 0.45, 0.20, 0.40, 1),
    Kind.INFLAMMATORY: _Look((3.2, 0.25), (0.92, 0.05), 0.025, 0.00, (0.64, 0.08), 0.15, 0.22, 0.55, 0),
    Kind.CONNECTIVE: _Look((6.8, 1.30), (0.27, 0.06), 0.040, 0.14, (0.46, 0.08), 0.20, 0.18, 0.40, 0),
}


@dataclass(frozen=True)
class Shape:
    """One outline: an ellipse with ripples and a bend, its centroid at the origin.

    Parameters
    ----------
    semi_major_um, semi_minor_um : float
    ripples : tuple of (order, amplitude, phase)
        Radial factor 1 + sum of amplitude * cos(order * theta + phase).
    bend : float
        Sagitta of the long axis over its half length.
    density : float
        Haematoxylin optical density inside.
    shift_um : tuple of float
        Centroid of the outline before it was moved to the origin.
    """

    semi_major_um: float
    semi_minor_um: float
    ripples: tuple[tuple[int, float, float], ...]
    bend: float
    density: float
    shift_um: tuple[float, float] = (0.0, 0.0)

    def _factor(self, theta: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        factor = np.ones_like(theta)
        for order, amplitude, phase in self.ripples:
            factor += amplitude * np.cos(order * theta + phase)
        return factor

    def outline_um(self) -> NDArray[np.float64]:
        """Return the outline (OUTLINE_POINTS, 2) as (along, across) the major axis, in microns."""
        theta = np.arange(OUTLINE_POINTS) * (2 * math.pi / OUTLINE_POINTS)
        factor = self._factor(theta)
        along = self.semi_major_um * factor * np.cos(theta)
        across = self.semi_minor_um * factor * np.sin(theta)
        across += self.bend * along**2 / self.semi_major_um
        return np.stack([along - self.shift_um[0], across - self.shift_um[1]], axis=1)

    def distance_um(self, along: NDArray[np.float64], across: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distance to the outline at positions in microns, positive inside (first order)."""
        along = along + self.shift_um[0]
        across = across + self.shift_um[1] - self.bend * along**2 / self.semi_major_um
        x, y = along / self.semi_major_um, across / self.semi_minor_um
        radius = np.hypot(x, y) + 1e-9
        level = radius / self._factor(np.arctan2(y, x))
        slope = np.hypot(x / self.semi_major_um, y / self.semi_minor_um) / radius
        return (1.0 - level) / slope


@cache
def shape_of(kind: Kind, index: int) -> Shape:
    """Return the `index`-th shape of a kind; the same in every slide."""
    look = _LOOKS[kind]
    random = np.random.default_rng((17, int(kind), index))
    spread = np.clip(random.standard_normal(4), -1.8, 1.8)
    semi_major = look.semi_major_um[0] + look.semi_major_um[1] * spread[0]
    roundness = min(0.98, look.roundness[0] + look.roundness[1] * spread[1])
    ripples = tuple(
        (order, look.irregularity * random.normal() * 2 / order, random.uniform(0, 2 * math.pi))
        for order in (2, 3, 4, 5)
    )
    raw = Shape(
        semi_major_um=float(semi_major),
        semi_minor_um=float(semi_major * roundness),
        ripples=ripples,
        bend=float(look.bend * spread[2]),
        density=float(look.density[0] + look.density[1] * spread[3]),
    )
    x, y = _centroid(raw.outline_um())
    return Shape(raw.semi_major_um, raw.semi_minor_um, raw.ripples, raw.bend, raw.density, (x, y))


def _centroid(points: NDArray[np.float64]) -> tuple[float, float]:
    """Return the centroid of the area of a polygon (shoelace formula)."""
    following = np.roll(points, -1, axis=0)
    cross = points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]
    x, y = ((points + following) * cross[:, np.newaxis]).sum(axis=0) / (3.0 * cross.sum())
    return float(x), float(y)


def turn_angle(turn: int) -> float:
    """Return the angle in radians of a turn; TURNS of them make half a circle."""
    return math.pi * turn / TURNS


@cache
def outline_px(kind: Kind, index: int, turn: int, mpp: tuple[float, float]) -> NDArray[np.float64]:
    """Return the outline (OUTLINE_POINTS, 2) as (x, y) around the centroid, in level-0 pixels."""
    along, across = shape_of(kind, index).outline_um().T
    cosine, sine = math.cos(turn_angle(turn)), math.sin(turn_angle(turn))
    points_um = np.stack([along * cosine - across * sine, along * sine + across * cosine], axis=1)
    return points_um / mpp


@dataclass(frozen=True)
class Stamp:
    """A rendered nucleus whose centroid lies in the middle of the middle pixel.

    Parameters
    ----------
    stain : uint8 array (2 * half_height + 1, 2 * half_width + 1)
        Haematoxylin, 255 = FULL_OPTICAL_DENSITY.
    inside : bool array, same shape
        Pixels whose centre is inside the outline.
    half_width, half_height : int
    """

    stain: NDArray[np.uint8]
    inside: NDArray[np.bool_]
    half_width: int
    half_height: int


@cache
def stamp_of(kind: Kind, index: int, turn: int, mpp: tuple[float, float]) -> Stamp:
    """Render a nucleus once; all slides with the same pixel size share it."""
    look, shape = _LOOKS[kind], shape_of(kind, index)
    reach = np.abs(outline_px(kind, index, turn, mpp)).max(axis=0) + 1.0 / np.asarray(mpp)
    half_width, half_height = (math.ceil(side) for side in reach)
    x_um, y_um = np.meshgrid(
        np.arange(-half_width, half_width + 1) * mpp[0], np.arange(-half_height, half_height + 1) * mpp[1]
    )
    cosine, sine = math.cos(turn_angle(turn)), math.sin(turn_angle(turn))
    distance = shape.distance_um(x_um * cosine + y_um * sine, -x_um * sine + y_um * cosine)

    random = np.random.default_rng((29, int(kind), index, turn))
    sigma = (look.grain_um / mpp[1], look.grain_um / mpp[0])
    chromatin = gaussian_filter(random.standard_normal(distance.shape), sigma)
    chromatin *= look.chromatin / chromatin.std()
    amount = 1.0 + look.rim * np.exp(-((distance / 0.6) ** 2)) + chromatin
    for _ in range(random.integers(0, look.nucleoli + 1)):
        x0, y0 = random.uniform(-0.4, 0.4, 2) * shape.semi_minor_um
        amount += 0.7 * np.exp(-((x_um - x0) ** 2 + (y_um - y0) ** 2) / (2 * random.uniform(0.5, 0.85) ** 2))
    amount *= shape.density / (1.0 + np.exp(-distance / 0.16))
    amount = gaussian_filter(amount, (OPTICS_SIGMA_UM / mpp[1], OPTICS_SIGMA_UM / mpp[0]))
    stain = np.clip(np.rint(amount * (255 / FULL_OPTICAL_DENSITY)), 0, 255).astype(np.uint8)
    return Stamp(stain, distance > 0, half_width, half_height)
