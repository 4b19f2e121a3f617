"""Exact counts of the objects of a layer, by class and bin: in any box, and in the squares of a tile."""

import math

import numpy as np
from numpy.typing import NDArray

from wsi_parse.viewer.layout import BINS, CELL_PX
from wsi_parse.viewer.store import Store

#: Side of a tile on the screen, and of the squares of its density.
TILE_PX, SQUARE_PX = 512, 16
SQUARES = TILE_PX // SQUARE_PX
#: From this zoom level on a square of the density is one cell, or several whole ones.
_CELL_ZOOM = int(math.log2(CELL_PX // SQUARE_PX))
#: Below it a square would be smaller than an object.
MIN_DENSITY_ZOOM = 2


def counts_in(store: Store, left: float, top: float, right: float, bottom: float) -> NDArray[np.int64]:
    """Count the objects whose centroid (x, y) has left <= x < right and top <= y < bottom.

    Parameters
    ----------
    store : Store
    left, top, right, bottom : float
        In level-0 pixels; finite.

    Returns
    -------
    int array (classes, bins)
    """
    counts = np.zeros(store.wide, np.int64)
    first_column, first_row, end_column, end_row = store.cells_box
    columns = max(first_column, math.floor(left / CELL_PX)), min(end_column, math.ceil(right / CELL_PX))
    rows = max(first_row, math.floor(top / CELL_PX)), min(end_row, math.ceil(bottom / CELL_PX))
    if columns[0] >= columns[1] or rows[0] >= rows[1] or not (left < right and top < bottom):
        return counts.reshape(-1, BINS)
    # Cells that lie in the box as a whole, by their sums; those on its border object by object.
    inner_columns = math.ceil(left / CELL_PX), math.floor(right / CELL_PX)
    inner_rows = math.ceil(top / CELL_PX), math.floor(bottom / CELL_PX)
    parts: list[tuple[int, int]] = []
    row = np.arange(*rows)
    whole = (row >= inner_rows[0]) & (row < inner_rows[1]) & (inner_columns[0] < inner_columns[1])
    low, high = np.clip(inner_columns, *columns).tolist()
    begin, end = store.cells_before(low, row[whole]), store.cells_before(high, row[whole])
    counts += (store.sums[end].astype(np.int64) - store.sums[begin]).sum(axis=0)
    borders = [(row[~whole], *columns), (row[whole], columns[0], low), (row[whole], high, columns[1])]
    for rows_of, start_column, stop_column in borders:
        if start_column < stop_column:
            begin, end = store.cells_before(start_column, rows_of), store.cells_before(stop_column, rows_of)
            parts += zip(store.start[begin].tolist(), store.start[end].tolist(), strict=True)
    for start, stop in parts:
        x, y = store.centroid[start:stop].T
        inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        counts += np.bincount(store.kind[start:stop][inside], minlength=store.wide)
    return counts.reshape(-1, BINS)


def density_of(store: Store, zoom: int, column: int, row: int) -> NDArray[np.uint32] | None:
    """Count the objects in the squares of a tile.

    Parameters
    ----------
    store : Store
    zoom : int
        log2 of the downsample, from 2 on.
    column, row : int
        Of the tile, whose side is 512 * 2**zoom level-0 pixels.

    Returns
    -------
    uint32 array (classes, bins, 32, 32) or None
        None if the tile has no objects.
    """
    counts = _of_cells(store, zoom, column, row) if zoom >= _CELL_ZOOM else _of_objects(store, zoom, column, row)
    if not counts.any():
        return None
    return counts.reshape(-1, BINS, SQUARES, SQUARES).astype(np.uint32)


def _of_cells(store: Store, zoom: int, column: int, row: int) -> NDArray[np.int64]:
    """Count from the sums of cells, of which a square has `side` x `side`."""
    side = 1 << (zoom - _CELL_ZOOM)
    left, top = column * SQUARES * side, row * SQUARES * side
    counts = np.zeros((SQUARES, SQUARES, store.wide), np.int64)
    _, first_row, _, end_row = store.cells_box
    rows = np.arange(max(top, first_row), min(top + SQUARES * side, end_row))
    edges = left + side * np.arange(SQUARES + 1)
    places = store.cells_before(edges[None, :], rows[:, None])
    # A row of cells in which nothing lies costs nothing.
    used = places[:, -1] > places[:, 0]
    for cell_row, place in zip(rows[used].tolist(), places[used], strict=True):
        counts[(cell_row - top) // side] += np.diff(store.sums[place].astype(np.int64), axis=0)
    return counts.transpose(2, 0, 1)


def _of_objects(store: Store, zoom: int, column: int, row: int) -> NDArray[np.int64]:
    """Count from the centroids of the objects in the cells of the tile."""
    tile, square = TILE_PX << zoom, SQUARE_PX << zoom
    left, top = column * tile, row * tile
    _, first_row, _, end_row = store.cells_box
    rows = np.arange(max(top // CELL_PX, first_row), min(-(-(top + tile) // CELL_PX), end_row))
    corner = np.array([column, row], np.int64) * SQUARES
    begin, end = (store.cells_before(edge, rows) for edge in (left // CELL_PX, -(-(left + tile) // CELL_PX)))
    index = []
    for start, stop in zip(store.start[begin].tolist(), store.start[end].tolist(), strict=True):
        # The division by a power of two is exact, where a difference would be rounded.
        place = np.floor(store.centroid[start:stop] / square).astype(np.int64) - corner
        inside = ((place >= 0) & (place < SQUARES)).all(axis=1)
        x, y = place[inside].T
        index.append((store.kind[start:stop][inside].astype(np.int64) * SQUARES + y) * SQUARES + x)
    flat = np.concatenate([np.zeros(0, np.int64), *index])
    return np.bincount(flat, minlength=store.wide * SQUARES * SQUARES)
