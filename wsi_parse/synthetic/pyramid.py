"""Pyramid: encoded tiles of all levels, made square by square; memory does not grow with the slide's height."""

import os
import struct
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import IO, Literal, TypeVar

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from wsi_parse.synthetic.layout import SQUARE_PX
from wsi_parse.synthetic.painting import blank_square
from wsi_parse.synthetic.slide import SyntheticSlide

TILE = 256
Compression = Literal["jpeg", "deflate"]
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def encode(tile: NDArray[np.uint8], compression: Compression, quality: int) -> bytes:
    """Encode one whole tile (TILE, TILE, 3) for a TIFF."""
    pixels = np.ascontiguousarray(tile)
    if compression == "deflate":
        return bytes(imagecodecs.zlib_encode(pixels.tobytes(), level=4))
    return bytes(
        imagecodecs.jpeg8_encode(pixels, level=quality, colorspace="RGB", outcolorspace="YCBCR", subsampling="420")
    )


class _Spool:
    """Encoded tiles that are kept in a file until their level is written."""

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115

    def append(self, data: bytes) -> None:
        self._file.write(struct.pack("<I", len(data)) + data)

    def tiles(self) -> Iterator[bytes]:
        self._file.seek(0)
        while header := self._file.read(4):
            yield self._file.read(struct.unpack("<I", header)[0])

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class _Sums:
    """Sums of pixels of the next larger level, and the index (column, row) of the first sum."""

    sums: NDArray[np.uint16]
    column: int
    row: int


class _Level:
    """One reduced level: it averages pixels of the next larger level, and encodes each row of tiles that is complete.

    Parameters
    ----------
    width, height : int
        Size of this level; pixels of the larger level that do not fill a whole pixel are left out, as Aperio does.
    ratio : int
        Pixels of the larger level per pixel of this one; at most 16, so that a sum of bytes fits into 16 bits.
    encoder : callable
        Encodes one tile.
    folder : Path
        Folder of the temporary file with encoded tiles.
    """

    def __init__(
        self, width: int, height: int, ratio: int, encoder: Callable[[NDArray[np.uint8]], bytes], folder: Path
    ) -> None:
        self.width, self.height, self.ratio = width, height, ratio
        self.below: _Level | None = None
        self.spool = _Spool(folder)
        self._encoder = encoder
        self._sums = np.zeros((TILE + SQUARE_PX // ratio + 2, width, 3), np.uint16)
        self._first = 0

    def partial_sums(self, pixels: NDArray[np.uint8], x: int, y: int) -> _Sums:
        """Add up pixels of the larger level, whose corner is (x, y) there."""
        rows = np.add.reduceat(pixels, _starts(y, pixels.shape[0], self.ratio), axis=0, dtype=np.uint16)
        sums = np.add.reduceat(rows, _starts(x, pixels.shape[1], self.ratio), axis=1, dtype=np.uint16)
        return _Sums(sums, x // self.ratio, y // self.ratio)

    def add(self, partial: _Sums) -> None:
        """Add partial sums; parts past the edge of this level are dropped."""
        top = partial.row - self._first
        part = self._sums[top : top + partial.sums.shape[0], partial.column : partial.column + partial.sums.shape[1]]
        part += partial.sums[: part.shape[0], : part.shape[1]]

    def advance(self, rows_above: int, last: bool) -> None:
        """Encode the rows of tiles that are complete, after the first `rows_above` rows of the larger level."""
        whole = self.height if last else min(self.height, rows_above // self.ratio)
        while self._first < whole and (last or whole - self._first >= TILE):
            rows = min(TILE, self.height - self._first)
            area = self.ratio**2
            strip = ((self._sums[:rows] + np.uint16(area // 2)) // np.uint16(area)).astype(np.uint8)
            self._sums[:-TILE] = self._sums[TILE:]
            self._sums[-TILE:] = 0
            for tile in _cut(strip):
                self.spool.append(self._encoder(tile))
            if self.below is not None:
                self.below.add(self.below.partial_sums(strip, 0, self._first))
                self.below.advance(self._first + rows, last and self._first + rows == self.height)
            self._first += rows


def _starts(first: int, size: int, ratio: int) -> NDArray[np.int64]:
    """Return the starts, within `size` pixels from `first` on, of the pixels of a lattice `ratio` times coarser."""
    starts = np.arange(first // ratio, -(-(first + size) // ratio)) * ratio - first
    return np.maximum(starts, 0)


def _cut(strip: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Cut a strip of at most TILE rows into tiles; the last tiles are padded with their last row and column."""
    height, width = strip.shape[:2]
    missing = (-height % TILE, -width % TILE)
    padded = np.pad(strip, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else strip
    for x in range(0, padded.shape[1], TILE):
        yield padded[:, x : x + TILE]


@dataclass(frozen=True)
class _EncodedSquare:
    """An encoded square: rows of tiles, and its sums for the first reduced level."""

    tiles: list[list[bytes]]
    sums: _Sums | None


class Pyramid:
    """All encoded tiles of a slide, largest level first; use it as a context manager, and take the levels in order.

    Parameters
    ----------
    slide : SyntheticSlide
    downsamples : sequence of int
        The first is 1; each is 2 to 16 times the one before.
    compression : "jpeg" or "deflate"
    quality : int
        Quality of JPEG, 0..100.
    folder : Path
        Folder of temporary files with the encoded tiles of the smaller levels.
    """

    def __init__(
        self,
        slide: SyntheticSlide,
        downsamples: Sequence[int],
        compression: Compression,
        quality: int,
        folder: Path,
    ) -> None:
        ratios = [small // large for large, small in pairwise(downsamples)]
        if downsamples[0] != 1 or any(
            a * r != b or not 2 <= r <= 16 for (a, b), r in zip(pairwise(downsamples), ratios, strict=True)
        ):
            raise ValueError(f"each downsample must be 2 to 16 times the one before: {downsamples}")
        self.slide = slide
        self.sizes = [(max(1, slide.width // factor), max(1, slide.height // factor)) for factor in downsamples]
        self._compression = compression
        self._encoder = partial(encode, compression=compression, quality=quality)
        self._levels = [
            _Level(width, height, ratio, self._encoder, folder)
            for (width, height), ratio in zip(self.sizes[1:], ratios, strict=True)
        ]
        for above, below in pairwise(self._levels):
            above.below = below
        self._blank: dict[tuple[int, int], _EncodedSquare] = {}

    def __enter__(self) -> "Pyramid":
        return self

    def __exit__(self, *_: object) -> None:
        for level in self._levels:
            level.spool.close()

    def tiles(self, level: int) -> Iterator[bytes]:
        """Yield the encoded tiles of a level, row by row; level 0 must be taken first, because it makes all tiles."""
        return self._base_tiles() if level == 0 else self._levels[level - 1].spool.tiles()

    def thumbnail(self, largest: int = 1024) -> NDArray[np.uint8]:
        """Return every n-th pixel of the smallest level, at most `largest` per side; call it after taking level 0."""
        width, height = self.sizes[-1]
        step = -(-max(width, height) // largest)
        columns = -(-width // TILE)
        canvas = np.empty((-(-height // step), -(-width // step), 3), np.uint8)
        for number, data in enumerate(self.tiles(len(self.sizes) - 1)):
            x, y = number % columns * TILE, number // columns * TILE
            tile = self._decode(data)[-y % step : height - y : step, -x % step : width - x : step]
            left, top = -(-x // step), -(-y // step)
            canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
        return canvas

    def _decode(self, data: bytes) -> NDArray[np.uint8]:
        if self._compression == "jpeg":
            return np.asarray(imagecodecs.jpeg8_decode(data))
        return np.frombuffer(imagecodecs.zlib_decode(data), np.uint8).reshape(TILE, TILE, 3)

    def _base_tiles(self) -> Iterator[bytes]:
        squares = self.slide.box.covering(SQUARE_PX)
        indices = ((column, row) for row in range(squares.height) for column in range(squares.width))
        results = _in_order(lambda index: self._encoded_square(*index), indices)
        for row in range(squares.height):
            tile_rows: list[list[bytes]] = [[] for _ in range(SQUARE_PX // TILE)]
            for _ in range(squares.width):
                result = next(results)
                for tiles, more in zip(tile_rows, result.tiles, strict=False):
                    tiles.extend(more)
                if result.sums is not None:
                    self._levels[0].add(result.sums)
            # This comes before the last tile is yielded, because a writer that counts tiles asks for no further one.
            if self._levels:
                self._levels[0].advance((row + 1) * SQUARE_PX, row == squares.height - 1)
            for tiles in tile_rows:
                yield from tiles

    def _encoded_square(self, column: int, row: int) -> _EncodedSquare:
        pixels = self.slide.square(column, row)
        x, y = column * SQUARE_PX, row * SQUARE_PX
        whole = x + SQUARE_PX <= self.slide.width and y + SQUARE_PX <= self.slide.height
        if not (whole and pixels is blank_square()):
            return self._encode(pixels[: self.slide.height - y, : self.slide.width - x], x, y)
        ratio = self._levels[0].ratio if self._levels else 1
        phase = x % ratio, y % ratio
        if phase not in self._blank:
            self._blank[phase] = self._encode(pixels, x, y)
        blank = self._blank[phase]
        return _EncodedSquare(blank.tiles, blank.sums and _Sums(blank.sums.sums, x // ratio, y // ratio))

    def _encode(self, pixels: NDArray[np.uint8], x: int, y: int) -> _EncodedSquare:
        strips = (pixels[top : top + TILE] for top in range(0, pixels.shape[0], TILE))
        tiles = [[self._encoder(tile) for tile in _cut(strip)] for strip in strips]
        return _EncodedSquare(tiles, self._levels[0].partial_sums(pixels, x, y) if self._levels else None)


def _in_order(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Map with threads; results come in order, and only a few are computed ahead."""
    workers = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as executor:
        ahead: deque[Future[_Result]] = deque()
        for item in items:
            ahead.append(executor.submit(function, item))
            if len(ahead) > 3 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
