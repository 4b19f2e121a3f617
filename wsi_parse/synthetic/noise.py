"""Random numbers, smooth fields and textures that are pure functions of a position and a seed."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

TEXTURE_SIZE = 1024
"""Period of every texture in pixels; a power of two, so that an index wraps with a bit mask."""

WEIGHT_ONE = 1 << 10
"""Sum of the spline weights. Whole weights times whole nodes below 2**13 stay below 2**24: float32 sums of them
are exact in any order, so the pixels do not depend on which linear algebra library adds them up."""


def hash_lattice(column: NDArray[np.int64], row: NDArray[np.int64], salt: int) -> NDArray[np.uint64]:
    """Return 64 random bits for each lattice index (SplitMix64 finaliser, Steele et al. 2014)."""
    bits = (column.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ (
        row.astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
    )
    bits += np.uint64((salt * 0x8CB92BA72F3D8DD7) & (2**64 - 1))
    bits ^= bits >> np.uint64(30)
    bits *= np.uint64(0xBF58476D1CE4E5B9)
    bits ^= bits >> np.uint64(27)
    bits *= np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    return bits


def fraction(bits: NDArray[np.uint64], part: int) -> NDArray[np.float64]:
    """Return the `part`-th (0..3) sixteen bits as numbers in [0, 1)."""
    return ((bits >> np.uint64(16 * part)) & np.uint64(0xFFFF)).astype(np.float64) / 65536.0


def spline_weights(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the four cubic B-spline weights (..., 4) of positions between two nodes (0..1)."""
    t = position[..., np.newaxis]
    return (
        np.concatenate([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=-1) / 6.0
    )


def _spline_matrix(positions: NDArray[np.float64], first: int, count: int) -> NDArray[np.float64]:
    """Return the matrix (positions, nodes) that evaluates a cubic B-spline; node k lies at first + k."""
    base = np.floor(positions).astype(np.int64)
    matrix = np.zeros((len(positions), count))
    columns = (base - 1 - first)[:, np.newaxis] + np.arange(4)
    np.put_along_axis(matrix, columns, spline_weights(positions - base), axis=1)
    return matrix


def smooth_noise(
    x_um: NDArray[np.float64], y_um: NDArray[np.float64], wavelength_um: float, salt: int
) -> NDArray[np.float64]:
    """Evaluate smooth noise on the grid spanned by two axes.

    Parameters
    ----------
    x_um, y_um : float array (columns,), (rows,)
        Sorted positions in microns.
    wavelength_um : float
        Distance between the random nodes.
    salt : int
        Selects one of many independent noises.

    Returns
    -------
    float array (rows, columns)
        About -1..1, mean 0; twice continuously differentiable.
    """
    axes = []
    for positions_um in (x_um, y_um):
        positions = positions_um / wavelength_um
        first = int(np.floor(positions[0])) - 1
        count = int(np.floor(positions[-1])) + 3 - first
        axes.append((_spline_matrix(positions, first, count), np.arange(first, first + count)))
    (matrix_x, nodes_x), (matrix_y, nodes_y) = axes
    nodes = fraction(hash_lattice(nodes_x[np.newaxis], nodes_y[:, np.newaxis], salt), 1) * 2.0 - 1.0
    # The spline averages its nodes; 1.8 brings the spread back to about -1..1.
    return 1.8 * (matrix_y @ nodes @ matrix_x.T)


@lru_cache(maxsize=8)
def _upsampling_weights(step: int) -> NDArray[np.float32]:
    """Return the spline weights (step, 4) of the pixels between two nodes, as whole numbers."""
    weights = np.round(spline_weights((np.arange(step) + 0.5) / step) * WEIGHT_ONE)
    # Rounded weights must still sum to one, or a constant field would ripple.
    weights[np.arange(step), weights.argmax(axis=1)] += WEIGHT_ONE - weights.sum(axis=1)
    return weights.astype(np.float32)


def upsample(nodes: NDArray[np.floating[Any]], step: int) -> NDArray[np.float32]:
    """Interpolate a lattice of nodes to pixels; bit for bit the same everywhere.

    Parameters
    ----------
    nodes : float array (rows + 3, columns + 3)
        Node [1, 1] lies on the top left corner of the pixels. Rounded to integers, which must stay below 2**13.
    step : int
        Pixels between two nodes.

    Returns
    -------
    float32 array (rows * step, columns * step)
        Whole numbers.
    """
    rows, columns = nodes.shape[0] - 3, nodes.shape[1] - 3
    weights = _upsampling_weights(step)
    exact = np.rint(nodes).astype(np.float32)
    # Many small products are used instead of a large one, for which linear algebra libraries would start threads.
    across = (sliding_window_view(exact, 4, axis=1) @ weights.T).reshape(rows + 3, columns * step)
    across *= np.float32(1.0 / WEIGHT_ONE)
    np.rint(across, out=across)
    windows = sliding_window_view(across, 4, axis=0).transpose(0, 2, 1)
    result: NDArray[np.float32] = (weights @ windows).reshape(rows * step, columns * step)
    result *= np.float32(1.0 / WEIGHT_ONE)
    return np.rint(result, out=result)


@lru_cache(maxsize=32)
def texture(salt: int, layers: Sequence[tuple[float, float, float]], mean: float, spread: float) -> NDArray[np.uint8]:
    """Make a periodic texture of filtered noise.

    Parameters
    ----------
    salt : int
    layers : tuple of (sigma across rows px, sigma along columns px, weight)
        Gaussian blurs of white noise, each brought to unit variance, added.
    mean, spread : float
        Mean and standard deviation of the result.

    Returns
    -------
    uint8 array (TEXTURE_SIZE, TEXTURE_SIZE)
    """
    random = np.random.default_rng(salt)
    total = np.zeros((TEXTURE_SIZE, TEXTURE_SIZE), np.float32)
    for sigma_rows, sigma_columns, weight in layers:
        white = random.standard_normal(total.shape, dtype=np.float32)
        layer = gaussian_filter(white, (sigma_rows, sigma_columns), mode="wrap")
        total += np.float32(weight) * layer / layer.std()
    total *= np.float32(spread) / total.std()
    result = np.clip(np.rint(total + np.float32(mean)), 0, 255).astype(np.uint8)
    result.flags.writeable = False
    return result
