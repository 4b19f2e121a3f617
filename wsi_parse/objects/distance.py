"""Distance of each pixel to the edge of a mask, up to a limit; pixels beyond the array count as mask."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_cdt

from wsi_parse.slides.opencv import opencv

# OpenCV's ways hold no larger number; a cell is hardly ever that deep.
_LARGEST = 255


def chessboard_distance(mask: NDArray[np.bool_], limit: int) -> NDArray[np.unsignedinteger]:
    """Count, up to `limit`, the squares of side 1, 3, 5, … around each pixel that lie inside the mask.

    Parameters
    ----------
    mask : bool array (rows, columns)
    limit : int
        From 1 to 65,535.

    Returns
    -------
    uint8 array (rows, columns)
        uint16 if the limit is larger than 255.
    """
    cv2 = opencv() if limit <= _LARGEST else None
    if cv2 is None:
        return _by_scipy(mask, "chessboard", limit)
    left = mask.astype(np.uint8)
    count, square = np.minimum(left, limit), np.ones((3, 3), np.uint8)
    # Cells are not deep, so that a few erosions take less than a distance transform.
    for _ in range(limit - 1):
        left = cv2.erode(left, square)
        if not cv2.countNonZero(left):
            break
        count += left
    return np.asarray(count)


def taxicab_distance(mask: NDArray[np.bool_], limit: int) -> NDArray[np.unsignedinteger]:
    """Count diamonds in place of squares, which is the city-block distance; see :func:`chessboard_distance`."""
    cv2 = opencv() if limit <= _LARGEST else None
    if cv2 is None:
        return _by_scipy(mask, "taxicab", limit)
    # Of what is farther than 255, 255 is told.
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L1, cv2.DIST_MASK_3, dstType=cv2.CV_8U)
    return np.asarray(np.minimum(distance, limit))


def _by_scipy(
    mask: NDArray[np.bool_], metric: Literal["chessboard", "taxicab"], limit: int
) -> NDArray[np.unsignedinteger]:
    dtype = np.min_scalar_type(limit)
    if mask.all():
        # A mask without an edge, of which SciPy says nothing.
        return np.full(mask.shape, limit, dtype)
    return np.asarray(np.minimum(distance_transform_cdt(mask, metric), limit).astype(dtype))
