"""Painting the pixels of one square: tissue by Beer-Lambert mixing of two stains, nuclei as stamps, and noise."""

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wsi_parse.synthetic.glands import glands_near
from wsi_parse.synthetic.layout import SQUARE_PX, STEP, Fields, Layout, fields_of_square
from wsi_parse.synthetic.noise import TEXTURE_SIZE, texture, upsample
from wsi_parse.synthetic.nuclei import FULL_OPTICAL_DENSITY, Kind, Stamp, stamp_of

HAEMATOXYLIN = (0.65111, 0.70119, 0.29049)
EOSIN = (0.2159, 0.8012, 0.5581)
"""Optical density vectors (R, G, B) of Ruifrok and Johnston (2001) as QuPath ships them for "H&E default"."""

WHITE = (243, 241, 244)
PLAIN_TISSUE = (232, 206, 222)
PLAIN_COLOURS = {
    Kind.NEOPLASTIC: (200, 30, 60),
    Kind.EPITHELIAL: (30, 140, 60),
    Kind.INFLAMMATORY: (40, 60, 200),
    Kind.CONNECTIVE: (220, 150, 20),
}
"""Exact colours of the plain style: tissue, and the four kinds of nuclei."""

_KINDS = tuple(Kind)
_DARKEST = 8
_HALVES = 2
_EDGE_UM = 8.0
_UNITS_PER_UM = 64.0


@lru_cache(maxsize=1)
def colour_table() -> NDArray[np.uint32]:
    """Return the colour of every pair of stains: index haematoxylin * 256 + eosin, value R + G << 8 + B << 16."""
    amount = np.arange(256) * (FULL_OPTICAL_DENSITY / 255)
    haematoxylin, eosin = np.meshgrid(amount, amount, indexing="ij")
    packed = np.zeros((256, 256), np.uint32)
    for channel in range(3):
        density = haematoxylin * HAEMATOXYLIN[channel] + eosin * EOSIN[channel]
        value = np.maximum(np.rint(WHITE[channel] * 10.0**-density), _DARKEST).astype(np.uint32)
        packed |= value << np.uint32(8 * channel)
    return packed.ravel()


@lru_cache(maxsize=1)
def sensor_noise() -> NDArray[np.uint8]:
    """Return the noise (SQUARE_PX, SQUARE_PX, 4) that is added to each square, as wrapped uint8; -6..6."""
    random = np.random.default_rng(3)
    noise = np.clip(np.rint(random.normal(0.0, 1.5, (SQUARE_PX, SQUARE_PX, 4))), -6, 6).astype(np.int8).view(np.uint8)
    noise.flags.writeable = False
    return noise


@lru_cache(maxsize=1)
def blank_square() -> NDArray[np.uint8]:
    """Return the pixels of a square without tissue; always the same array, so that writers recognise it."""
    pixels = np.array(WHITE, np.uint8) + sensor_noise()[..., :3]
    pixels.flags.writeable = False
    return pixels


def stained_square(layout: Layout, column: int, row: int, nuclei: NDArray[np.void]) -> NDArray[np.uint8]:
    """Paint one square as haematoxylin and eosin.

    Parameters
    ----------
    layout : Layout
    column, row : int
        Index of the square.
    nuclei : structured array
        All nuclei that can reach into the square, in level-0 pixels.

    Returns
    -------
    uint8 array (SQUARE_PX, SQUARE_PX, 3)
        Read-only `blank_square()` itself where there is no tissue.
    """
    fields = fields_of_square(layout, column, row)
    if fields.blank:
        return blank_square()
    haematoxylin, eosin = _ground(layout, fields, column, row)
    _lay_drops(haematoxylin, eosin, layout, column, row)
    for stamp, x, y, _ in _stamps(layout, column, row, nuclei):
        # Where nuclei overlap, the darker one wins, so their order does not matter.
        _lay(np.maximum, haematoxylin, stamp.stain, x, y)
    index = haematoxylin.astype(np.uint16)
    index <<= 8
    index |= eosin
    packed = colour_table().take(index).view(np.uint8).reshape(SQUARE_PX, SQUARE_PX, 4)
    packed += sensor_noise()
    pixels = np.empty((SQUARE_PX, SQUARE_PX, 3), np.uint8)
    # Copying channel by channel is four times as fast as one copy of [..., :3].
    for channel in range(3):
        pixels[..., channel] = packed[..., channel]
    return pixels


def plain_square(layout: Layout, column: int, row: int, nuclei: NDArray[np.void]) -> NDArray[np.uint8]:
    """Paint one square in flat colours: PLAIN_TISSUE, and for each nucleus exactly the colour of its kind.

    Parameters and result are those of `stained_square`, without noise.
    """
    palette = np.array([(255, 255, 255), PLAIN_TISSUE, *(PLAIN_COLOURS[kind] for kind in Kind)], np.uint8)
    index = tissue_of_square(layout, column, row).astype(np.uint8)
    for stamp, x, y, kind in _stamps(layout, column, row, nuclei):
        _lay(np.maximum, index, stamp.inside * np.uint8(kind + 2), x, y)
    return palette[index]


def tissue_of_square(layout: Layout, column: int, row: int) -> NDArray[np.bool_]:
    """Return which pixels (SQUARE_PX, SQUARE_PX) are at least half covered by tissue; lumens of glands are tissue."""
    fields = fields_of_square(layout, column, row)
    if fields.blank:
        return np.zeros((SQUARE_PX, SQUARE_PX), bool)
    if fields.square_nodes("tissue").min() >= _EDGE_UM:
        return np.ones((SQUARE_PX, SQUARE_PX), bool)
    return _tissue_weight(fields, _cloud(layout, column, row)) >= 64


def _stamps(layout: Layout, column: int, row: int, nuclei: NDArray[np.void]) -> Iterator[tuple[Stamp, int, int, Kind]]:
    """Yield each nucleus' stamp, where in the square its top left pixel goes, and its kind."""
    left = np.floor(nuclei["x"]).astype(int) - column * SQUARE_PX
    top = np.floor(nuclei["y"]).astype(int) - row * SQUARE_PX
    names = nuclei["kind"].tolist(), nuclei["shape"].tolist(), nuclei["turn"].tolist()
    for x, y, number, shape, turn in zip(left.tolist(), top.tolist(), *names, strict=True):
        kind = _KINDS[number]
        stamp = stamp_of(kind, shape, turn, layout.mpp)
        yield stamp, x - stamp.half_width, y - stamp.half_height, kind


def _lay(combine: np.ufunc, target: NDArray[np.uint8], stamp: NDArray[np.uint8], x: int, y: int) -> None:
    """Combine a stamp whose top left pixel is at (x, y) into `target`, as far as it reaches inside."""
    right, bottom = x + stamp.shape[1], y + stamp.shape[0]
    if right <= 0 or bottom <= 0 or x >= SQUARE_PX or y >= SQUARE_PX:
        return
    cut_x, cut_y = max(0, -x), max(0, -y)
    part = target[y + cut_y : bottom, x + cut_x : right]
    combine(part, stamp[cut_y : cut_y + part.shape[0], cut_x : cut_x + part.shape[1]], out=part)


def _lay_drops(
    haematoxylin: NDArray[np.uint8], eosin: NDArray[np.uint8], layout: Layout, column: int, row: int
) -> None:
    """Clear the mucin drops of goblet cells."""
    mpp = layout.mpp
    axes = [
        np.array([start * size, (start + SQUARE_PX) * size])
        for start, size in ((column * SQUARE_PX, mpp[0]), (row * SQUARE_PX, mpp[1]))
    ]
    for gland in glands_near(layout.seed, *axes):
        for x_um, y_um, radius_um in gland.vacuoles().tolist():
            drop = _drop(round(radius_um * 4) / 4, mpp)
            x = int(x_um // mpp[0]) - column * SQUARE_PX - drop.shape[1] // 2
            y = int(y_um // mpp[1]) - row * SQUARE_PX - drop.shape[0] // 2
            _lay(np.minimum, eosin, drop, x, y)
            _lay(np.minimum, haematoxylin, drop, x, y)


def _weight(
    fields: Fields, name: str, softness_um: float, ragged_um: NDArray[np.float32] | None = None
) -> NDArray[np.int16]:
    """Return how much a pixel belongs to a region, 0..128, from its signed distance."""
    distance = upsample(fields.square_nodes(name) * _UNITS_PER_UM, STEP)
    if ragged_um is not None:
        distance += ragged_um * np.float32(_UNITS_PER_UM)
    distance *= np.float32(64.0 / (softness_um * _UNITS_PER_UM))
    distance += np.float32(64.0)
    return np.clip(distance, 0.0, 128.0, out=distance).astype(np.int16)


def _tissue_weight(fields: Fields, cloud: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return how much of a pixel is tissue, 0..128; its edge is frayed."""
    return _weight(fields, "tissue", 1.2, cloud * np.float32(0.2))


def _scale(layout: Layout) -> float:
    """Return pixels per micron."""
    return 1.0 / math.sqrt(layout.mpp[0] * layout.mpp[1])


def _window(
    layers_um: tuple[tuple[float, float], ...], spread: float, layout: Layout, column: int, row: int
) -> NDArray[np.int16]:
    """Return the part of a periodic texture over a square: mean 0; layers are (sigma in microns, weight)."""
    scale = _scale(layout)
    layers = tuple((sigma * scale, sigma * scale, weight) for sigma, weight in layers_um)
    x, y = column * SQUARE_PX % TEXTURE_SIZE, row * SQUARE_PX % TEXTURE_SIZE
    part = texture(61 + len(layers), layers, 128.0, spread)[y : y + SQUARE_PX, x : x + SQUARE_PX].astype(np.int16)
    part -= 128
    return part


def _cloud(layout: Layout, column: int, row: int) -> NDArray[np.int16]:
    """Return the soft unevenness of eosin over a square, about -40..40."""
    return _window(((1.0, 0.6), (3.0, 1.0), (10.0, 1.0)), 7.0, layout, column, row)


@lru_cache(maxsize=4)
def _fibre_texture(scale: float) -> NDArray[np.int16]:
    """Return the eosin of fibres: rows across them in half pixels, columns along them in pixels."""
    layers = ((0.35 * _HALVES * scale, 9.0 * scale, 1.0), (1.4 * _HALVES * scale, 22.0 * scale, 1.1))
    raw = texture(51, layers, 128.0, 40.0)
    # Most of it is even pink; the rare low values are clefts between bundles, the rare high ones dense collagen.
    curve = np.interp(np.arange(256), (0, 25, 60, 128, 200, 255), (1, 5, 36, 47, 60, 74))
    return np.rint(curve).astype(np.int16)[raw].reshape(-1)


def _fibres(layout: Layout, fields: Fields, column: int, row: int) -> NDArray[np.int16]:
    """Return the eosin of collagen: a texture drawn out along the level lines of the stream function."""
    nodes = fields.square_nodes("flow") * np.float32(_HALVES * _scale(layout))
    base = int(np.round(nodes[nodes.shape[0] // 2, nodes.shape[1] // 2]))
    index = upsample(nodes - base, STEP).astype(np.int32)
    index += base
    index &= TEXTURE_SIZE - 1
    index *= TEXTURE_SIZE
    x = np.arange(SQUARE_PX, dtype=np.int32) + column * SQUARE_PX
    y = np.arange(SQUARE_PX, dtype=np.int32) + row * SQUARE_PX
    index += ((x[np.newaxis] + y[:, np.newaxis]) >> 1) & (TEXTURE_SIZE - 1)
    return _fibre_texture(_scale(layout)).take(index)


def _ground(layout: Layout, fields: Fields, column: int, row: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return haematoxylin and eosin (SQUARE_PX, SQUARE_PX) of everything but nuclei; 255 = FULL_OPTICAL_DENSITY."""
    fine = _window(((0.3, 1.0), (1.1, 0.8)), 5.0, layout, column, row)
    cloud = _cloud(layout, column, row)
    grain = fine + cloud
    eosin = _fibres(layout, fields, column, row)
    eosin += grain >> 1
    haematoxylin = np.full((SQUARE_PX, SQUARE_PX), 9, np.int16)
    for name, softness_um, eosin_here, haematoxylin_here in (
        ("tumour", 2.0, grain + 45, (cloud >> 1) + 19),
        ("gland", 1.2, grain + 38, (cloud >> 1) + 15),
        ("lumen", 1.0, (cloud >> 2) + 3, np.int16(1)),
    ):
        if fields.square_nodes(name).max() > -softness_um:
            weight = _weight(fields, name, softness_um)
            eosin += ((eosin_here - eosin) * weight) >> 7
            haematoxylin += ((haematoxylin_here - haematoxylin) * weight) >> 7
    strength = 112.0 + 14.0 * np.clip(fields.square_nodes("strength"), -1.0, 1.0)
    cover = (upsample(strength * 16.0, STEP) * np.float32(1.0 / 16.0)).astype(np.int16)
    if fields.square_nodes("tissue").min() < _EDGE_UM:
        cover *= _tissue_weight(fields, cloud)
        cover >>= 7
    return _covered(haematoxylin, cover), _covered(eosin, cover)


def _covered(stain: NDArray[np.int16], cover: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return the stain times cover / 128, as bytes."""
    stain *= cover
    stain >>= 7
    return np.clip(stain, 0, 255, out=stain).astype(np.uint8)


@lru_cache(maxsize=256)
def _drop(radius_um: float, mpp: tuple[float, float]) -> NDArray[np.uint8]:
    """Render a round mucin drop as the upper limit of the eosin under it, 255 outside."""
    half_width, half_height = (int(np.ceil((radius_um + 1.5) / size)) for size in mpp)
    x = np.arange(-half_width, half_width + 1) * mpp[0]
    y = np.arange(-half_height, half_height + 1) * mpp[1]
    distance = np.hypot(x[np.newaxis], y[:, np.newaxis]) - radius_um
    return np.clip(9.0 + 60.0 / (1.0 + np.exp(-distance / 0.35)), 0, 255).astype(np.uint8)
