"""Crops: parts of tiles, rotated, mirrored, scaled and recoloured, for one training step."""

import io
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage

from workflows.train_mini.settings import AugmentSettings, SetSettings, TrainingSettings
from workflows.train_mini.tiles import INSTANCES, NOTHING, TILE_MPP, UNKNOWN, Tile
from wsi_parse.models.mini.facts import CLASS_STRIDE, READ_MPP
from wsi_parse.models.mini.postprocess import relative_density
from wsi_parse.models.mini.stain_normalization import StainNormalization, density_of
from wsi_parse.tissue.samples import Sample

_FINER = round(READ_MPP / TILE_MPP)
_THREADS, _AHEAD = 2, 4


@dataclass(frozen=True)
class Source:
    """A tile that is prepared for cropping.

    Parameters
    ----------
    image : uint8 array (H, W, 3)
    nucleus, distance, classes : uint8 arrays (H, W)
        255 in nuclei; distance relative to the largest in each nucleus; index of the class.
    known : uint8 array (H, W)
        NOTHING, MASK or INSTANCES for each pixel; distances are known with the latter.
    distance_weight : float
    stain_normalization : StainNormalization
    hue : float array (3,)
        Mean density of stained pixels in each colour, relative to their mean.
    share : float
        Share of all crops.
    scale : two floats or None
        Relative sides of its crops; None: as for all sets.
    """

    image: NDArray[np.uint8]
    nucleus: NDArray[np.uint8]
    distance: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    known: NDArray[np.uint8]
    distance_weight: float
    stain_normalization: StainNormalization
    hue: NDArray[np.float32]
    share: float
    scale: tuple[float, float] | None = None


class Batch(NamedTuple):
    """The input of one training step.

    Parameters
    ----------
    images : float32 array (B, 3, S, S)
        Relative densities.
    nucleus, distance : float32 arrays (B, S, S)
    classes : int64 array (B, S / 2, S / 2)
        UNKNOWN for pixels without loss.
    known : float32 array (B, S, S)
        1 where it is known whether a pixel belongs to a nucleus, 0 elsewhere.
    distance_known : float32 array (B, S, S)
        Weight of the distance at each pixel, 0 where it is not known.
    """

    images: NDArray[np.float32]
    nucleus: NDArray[np.float32]
    distance: NDArray[np.float32]
    classes: NDArray[np.int64]
    known: NDArray[np.float32]
    distance_known: NDArray[np.float32]


def source_of(tile: Tile, share: float, of_set: SetSettings) -> Source:
    """Prepare a tile for cropping, which makes this share of all crops."""
    classes = np.full(tile.nuclei.max() + 1, UNKNOWN, np.uint8) if tile.classes is None else tile.classes.copy()
    classes[0] = UNKNOWN
    return Source(
        tile.image,
        ((tile.nuclei > 0) * np.uint8(255)),
        relative_distance(tile.nuclei),
        classes[tile.nuclei],
        tile.known_pixels(),
        of_set.distance_weight,
        StainNormalization.of([Sample.whole(tile.image)]),
        hue_of(tile.image),
        share,
        of_set.scale,
    )


def relative_distance(nuclei: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return the distance of each pixel to the border of its nucleus, relative to the largest there: 0..255."""
    result = np.zeros(nuclei.shape, np.uint8)
    for number, window in enumerate(ndimage.find_objects(nuclei), 1):
        if window is None:
            continue
        mask = np.pad(nuclei[window] == number, 1)
        distance = ndimage.distance_transform_edt(mask)[1:-1, 1:-1]
        result[window] += np.rint(distance * (255 / distance.max())).astype(np.uint8)
    return result


class Crops:
    """Endless batches; batch `n` depends on the seed and on `n` only, so that a resumed training continues unchanged.

    Parameters
    ----------
    sources : list of Source
    settings : TrainingSettings
    """

    def __init__(self, sources: list[Source], settings: TrainingSettings) -> None:
        self.sources, self.settings = sources, settings
        shares = np.array([source.share for source in sources])
        self.shares = shares / shares.sum()

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield batches `start` to before `stop`; the next ones are made while the network trains."""
        with ThreadPoolExecutor(_THREADS) as pool:
            waiting = deque(pool.submit(self.batch, number) for number in range(start, min(start + _AHEAD, stop)))
            for number in range(start + _AHEAD, stop + _AHEAD):
                if not waiting:
                    return
                yield waiting.popleft().result()
                if number < stop:
                    waiting.append(pool.submit(self.batch, number))

    def batch(self, number: int) -> Batch:
        """Make one batch."""
        rng = np.random.default_rng([self.settings.seed, number])
        picked = rng.choice(len(self.sources), self.settings.batch, p=self.shares)
        return _stacked([self._crop(self.sources[index], rng) for index in picked])

    def _crop(self, source: Source, rng: np.random.Generator) -> tuple[Any, ...]:
        augment, side = self.settings.augment, self.settings.crop_px
        window = _Window.drawn(source.nucleus.shape, side * _FINER, source.scale or augment.scale, rng)
        image = window.cut(source.image, side * _FINER, Image.Resampling.BILINEAR)
        image = np.asarray(Image.fromarray(image).reduce(_FINER))
        other = self.sources[rng.choice(len(self.sources), p=self.shares)]
        image, stain_normalization = recoloured(image, source, other.hue, augment, rng)
        nucleus, distance = (
            np.asarray(Image.fromarray(window.cut(map_, side * _FINER, Image.Resampling.BILINEAR)).reduce(_FINER))
            for map_ in (source.nucleus, source.distance)
        )
        classes = window.cut(source.classes, side // CLASS_STRIDE, Image.Resampling.NEAREST)
        relative = relative_density(torch.from_numpy(image.copy()[None]), stain_normalization)[0].numpy()
        known = window.cut(source.known, side, Image.Resampling.NEAREST)
        apart = (known == INSTANCES) * np.float32(source.distance_weight)
        return relative, nucleus, distance, classes, known != NOTHING, apart


def _stacked(crops: list[tuple[Any, ...]]) -> Batch:
    image, nucleus, distance, classes, known, apart = (np.stack(column) for column in zip(*crops, strict=True))
    return Batch(
        image,
        nucleus.astype(np.float32) / np.float32(255),
        distance.astype(np.float32) / np.float32(255),
        classes.astype(np.int64),
        known.astype(np.float32),
        apart,
    )


@dataclass(frozen=True)
class _Window:
    """A rotated, mirrored, scaled square: centre and the two half-axes, as (x, y) in tile pixels."""

    centre: NDArray[np.float64]
    axes: NDArray[np.float64]

    @classmethod
    def drawn(
        cls, shape: tuple[int, ...], side: int, scale: tuple[float, float], rng: np.random.Generator
    ) -> "_Window":
        half = side / 2 * np.exp(rng.uniform(*np.log(scale)))
        angle = rng.uniform(0, 2 * np.pi)
        axes = half * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        axes[1] *= rng.choice([-1, 1])
        size = np.array(shape[1::-1], float)
        # The middle of a crop stays in the tile and, if the crop fits, nearly all of it.
        margin = np.minimum(half * 0.8, size / 2 - 1)
        return cls(rng.uniform(margin, size - margin), axes)

    def cut(self, values: NDArray[np.uint8], side: int, resampling: Image.Resampling) -> NDArray[np.uint8]:
        """Resample to (side, side); the tile is mirrored at its edges."""
        reach = np.abs(self.axes).sum(axis=0) + 3
        low, high = np.floor(self.centre - reach).astype(int), np.ceil(self.centre + reach).astype(int)
        if (low >= 0).all() and high[0] <= values.shape[1] and high[1] <= values.shape[0]:
            part = Image.fromarray(values[low[1] : high[1], low[0] : high[0]])
        else:
            columns, rows = (_mirrored(np.arange(low[axis], high[axis]), values.shape[1 - axis]) for axis in (0, 1))
            part = Image.fromarray(values[rows[:, None], columns])
        step = self.axes * (2 / side)
        start = self.centre - low - self.axes.sum(axis=0)
        coefficients = (step[0, 0], step[1, 0], start[0], step[0, 1], step[1, 1], start[1])
        return np.asarray(part.transform((side, side), Image.Transform.AFFINE, coefficients, resampling))


def _mirrored(index: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    folded = np.mod(index, 2 * length)
    return np.where(folded < length, folded, 2 * length - 1 - folded)


def hue_of(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the mean density of stained pixels in each colour, relative to their mean."""
    density = density_of(image[::4, ::4]).reshape(-1, 3)
    over = density - np.percentile(density, 1, axis=0).astype(np.float32)
    stained = over[over.mean(axis=1) > _STAINED]
    mean = np.maximum(stained.mean(axis=0) if len(stained) else np.ones(3, np.float32), np.float32(0.05))
    hue: NDArray[np.float32] = mean / mean.mean()
    return hue


_STAINED = 0.15


def recoloured(
    image: NDArray[np.uint8],
    source: Source,
    other: NDArray[np.float32],
    augment: AugmentSettings,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], StainNormalization]:
    """Vary light and staining in optical density (after Tellez et al., TMI 2018), then optics and coding.

    Returns
    -------
    image : uint8 array (S, S, 3)
    stain_normalization : StainNormalization
        The estimate for the result, with a realistic error.
    """
    density = density_of(image) - np.array(source.stain_normalization.white, np.float32)
    stain = rng.uniform(1 - augment.density, 1 + augment.density, 3)
    if rng.random() < augment.swap_style:
        stain *= (other / source.hue) ** rng.uniform(0.2, 0.8)
    strength = source.stain_normalization.strength * np.exp(rng.uniform(-0.3, 0.3))
    white = 255 * rng.uniform(*augment.white) * rng.uniform(0.95, 1.0, 3)
    stain *= strength / source.stain_normalization.strength
    changed = np.exp(np.log(white).astype(np.float32) - np.maximum(density, -0.05) * stain.astype(np.float32))
    changed += rng.standard_normal(changed.shape, np.float32) * np.float32(255 * augment.noise * rng.random())
    picture = Image.fromarray(changed.clip(0, 255).astype(np.uint8))
    sigma = rng.uniform(0, augment.blur_um) / READ_MPP
    if rng.random() < 0.5 and sigma > 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(sigma))
    # Scanners sharpen, and with the tissue they sharpen the noise: a set must not be known by it.
    if rng.random() < augment.sharpen:
        radius, percent = rng.uniform(0.3, 0.8) / READ_MPP, int(rng.integers(30, 160))
        picture = picture.filter(ImageFilter.UnsharpMask(radius, percent, 0))
    if rng.random() < augment.jpeg:
        coded = io.BytesIO()
        picture.save(coded, "JPEG", quality=int(rng.integers(40, 95)))
        picture = Image.open(coded)
    off = rng.uniform(-augment.estimate, augment.estimate, 4)
    light = -np.log(np.minimum(white, 255) / 255) + 0.1 * off[:3]
    estimate = StainNormalization((float(light[0]), float(light[1]), float(light[2])), float(strength * (1 + off[3])))
    return np.asarray(picture), estimate
