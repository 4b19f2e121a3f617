"""Glands: rings of epithelium around a white lumen, on a jittered lattice of their own."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wsi_parse.synthetic.noise import smooth_noise

PITCH_UM = 86.0
JITTER_UM = 36.0
APART_UM = 6.0
REGION_UM = 620.0
REGION_SALT = 20
"""Salt of the noise that decides where glands (low) and tumour (high) are."""

FAR_UM = 1000.0
_SPACING_UM = 6.6
_REACH_UM = 90.0


@dataclass(frozen=True)
class Gland:
    """One gland; lengths in microns.

    Parameters
    ----------
    x_um, y_um : float
        Centre.
    radius_um : float
        Mean outer radius.
    epithelium_um : float
        Height of the cells between outer border and lumen.
    ripples : tuple of (order, amplitude, phase)
    key : int
        Seed of the random numbers for the nuclei of the gland.
    """

    x_um: float
    y_um: float
    radius_um: float
    epithelium_um: float
    ripples: tuple[tuple[int, float, float], ...]
    key: int

    def border_um(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the outer radius in microns in directions `theta` in radians."""
        factor = np.ones_like(theta)
        for order, amplitude, phase in self.ripples:
            factor += amplitude * np.cos(order * theta + phase)
        return self.radius_um * factor

    def extent_um(self, toward: float) -> float:
        """Return the largest outer radius at and beside a direction; with plain floats, because it is called often."""
        return self.radius_um * max(
            1.0 + sum(size * math.cos(order * (toward + aside) + phase) for order, size, phase in self.ripples)
            for aside in (-0.6, 0.0, 0.6)
        )

    def vacuoles(self) -> NDArray[np.float64]:
        """Return the mucin drops of goblet cells (N, 3): x_um, y_um, radius_um."""
        random = np.random.default_rng((self.key, 2))
        count = int(2 * math.pi * (self.radius_um - self.epithelium_um + 4.0) / 10.5)
        theta = (np.arange(count) + random.uniform(-0.2, 0.2, count)) * (2 * math.pi / count)
        inward = self.epithelium_um - random.uniform(3.0, 5.5, count)
        radius = self.border_um(theta) - inward
        drops = np.stack(
            [
                self.x_um + radius * np.cos(theta),
                self.y_um + radius * np.sin(theta),
                random.uniform(3.4, 5.6, count),
            ],
            axis=1,
        )
        return drops[random.random(count) < 0.85]

    def nuclei(self) -> NDArray[np.float64]:
        """Return the basal nuclei (N, 3): x_um, y_um, angle of the cell's long axis."""
        random = np.random.default_rng((self.key, 1))
        theta = np.linspace(0.0, 2 * math.pi, 721)
        border = self.border_um(theta)
        x, y = border * np.cos(theta), border * np.sin(theta)
        length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        count = int(length[-1] // _SPACING_UM)
        along = (np.arange(count) + random.uniform(-0.12, 0.12, count)) * (length[-1] / count)
        angle = np.interp(along % length[-1], length, theta)
        second = random.random(count) < 0.22
        inward = np.where(second, 12.5, 6.8) + random.normal(0.0, 0.8, count)
        tangent_x, tangent_y = (
            np.interp(angle, theta, np.gradient(x)),
            np.interp(angle, theta, np.gradient(y)),
        )
        norm = np.hypot(tangent_x, tangent_y)
        normal_x, normal_y = tangent_y / norm, -tangent_x / norm
        radius = self.border_um(angle)
        return np.stack(
            [
                self.x_um + radius * np.cos(angle) - inward * normal_x,
                self.y_um + radius * np.sin(angle) - inward * normal_y,
                np.arctan2(normal_y, normal_x) + random.normal(0.0, 0.12, count),
            ],
            axis=1,
        )


@lru_cache(maxsize=4096)
def _candidate(seed: int, column: int, row: int) -> Gland | None:
    """Return the gland that belongs to a lattice index, if its region has glands."""
    # The lattice reaches left of and above the slide, but SeedSequence does not take negative numbers.
    random = np.random.default_rng((seed, column + 2**20, row + 2**20))
    x_um = (column + 0.5) * PITCH_UM + random.uniform(-JITTER_UM, JITTER_UM)
    y_um = (row + 0.5) * PITCH_UM + random.uniform(-JITTER_UM, JITTER_UM)
    region = smooth_noise(np.array([x_um]), np.array([y_um]), REGION_UM, seed * 1000 + REGION_SALT)
    if float(region[0, 0]) > 0.02:
        return None
    ripples = tuple(
        (order, amplitude * random.uniform(0.3, 1.0), random.uniform(0, 2 * math.pi))
        for order, amplitude in ((2, 0.20), (3, 0.08), (4, 0.05), (7, 0.02))
    )
    radius_um = 34.0 + 22.0 * random.random() ** 1.5
    return Gland(
        x_um=x_um,
        y_um=y_um,
        radius_um=radius_um,
        epithelium_um=min(random.uniform(19.0, 25.0), 0.72 * radius_um),
        ripples=ripples,
        key=int(random.integers(2**62)),
    )


@lru_cache(maxsize=4096)
def gland_at(seed: int, column: int, row: int) -> Gland | None:
    """Return the gland of one lattice index, unless a stronger neighbour needs the room."""
    gland = _candidate(seed, column, row)
    if gland is None:
        return None
    for near_row in range(row - 2, row + 3):
        for near_column in range(column - 2, column + 3):
            other = _candidate(seed, near_column, near_row)
            if other is None or other.key <= gland.key:
                continue
            apart = math.hypot(gland.x_um - other.x_um, gland.y_um - other.y_um)
            if apart > 2 * _REACH_UM + APART_UM:
                continue
            toward = math.atan2(other.y_um - gland.y_um, other.x_um - gland.x_um)
            if apart < gland.extent_um(toward) + other.extent_um(toward + math.pi) + APART_UM:
                return None
    return gland


@lru_cache(maxsize=256)
def _glands_in(seed: int, columns: range, rows: range) -> tuple[Gland, ...]:
    found = (gland_at(seed, column, row) for row in rows for column in columns)
    return tuple(gland for gland in found if gland is not None)


def glands_near(seed: int, x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> list[Gland]:
    """Return the glands that can reach into the rectangle spanned by two sorted axes in microns."""
    reach = _REACH_UM + PITCH_UM
    columns = range(math.floor((x_um[0] - reach) / PITCH_UM), math.floor((x_um[-1] + reach) / PITCH_UM) + 1)
    rows = range(math.floor((y_um[0] - reach) / PITCH_UM), math.floor((y_um[-1] + reach) / PITCH_UM) + 1)
    return [
        gland
        for gland in _glands_in(seed, columns, rows)
        if x_um[0] - _REACH_UM < gland.x_um < x_um[-1] + _REACH_UM
        and y_um[0] - _REACH_UM < gland.y_um < y_um[-1] + _REACH_UM
    ]


def gland_distances(
    glands: list[Gland], x_um: NDArray[np.float64], y_um: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the signed distances to the borders of glands, and of their lumens, in microns; negative outside.

    Parameters
    ----------
    glands : list of Gland
    x_um, y_um : float array (columns,), (rows,)
        Positions in microns.

    Returns
    -------
    two float arrays (rows, columns)
    """
    outer = np.full((len(y_um), len(x_um)), -FAR_UM)
    lumen = outer.copy()
    for gland in glands:
        x, y = x_um[np.newaxis] - gland.x_um, y_um[:, np.newaxis] - gland.y_um
        distance = gland.border_um(np.arctan2(y, x)) - np.hypot(x, y)
        np.maximum(outer, distance, out=outer)
        np.maximum(lumen, distance - gland.epithelium_um, out=lumen)
    return outer, lumen
