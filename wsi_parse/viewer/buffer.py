"""The binary form of objects that goes to the browser: flat little-endian arrays, one after another."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAGIC, VERSION = 0x56505357, 1
_HEAD = struct.Struct("<6I2d")


@dataclass(frozen=True)
class ObjectBuffer:
    """Objects with their outlines, relative to an origin.

    Parameters
    ----------
    origin : (float, float)
        x and y in level-0 pixels.
    row : int array (N,)
        Row of each object in its file.
    ring_start : int array (N + 1,)
    point_start : int array (R + 1,)
    points : float array (P, 2)
    probability : float array (N,)
        NaN: none.
    centroid : float array (N, 2)
    class_index : uint8 array (N,)
    hole : uint8 array (R,)
    """

    origin: tuple[float, float]
    row: NDArray[np.integer]
    ring_start: NDArray[np.integer]
    point_start: NDArray[np.integer]
    points: NDArray[np.float32]
    probability: NDArray[np.float32]
    centroid: NDArray[np.float32]
    class_index: NDArray[np.uint8]
    hole: NDArray[np.uint8]

    def to_bytes(self) -> bytes:
        """Return the buffer: the head of 40 bytes, the arrays of four-byte numbers, then those of bytes."""
        head = _HEAD.pack(MAGIC, VERSION, len(self.row), len(self.hole), len(self.points), 0, *self.origin)
        whole = (self.row, self.ring_start, self.point_start)
        parts = [head, *(np.ascontiguousarray(values, "<u4").tobytes() for values in whole)]
        reals = (self.points, self.probability, self.centroid)
        parts += [np.ascontiguousarray(values, "<f4").tobytes() for values in reals]
        parts += [np.ascontiguousarray(values, np.uint8).tobytes() for values in (self.class_index, self.hole)]
        return b"".join(parts)
