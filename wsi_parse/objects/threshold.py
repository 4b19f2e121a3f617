"""threshold_mask: where a probability map reaches the threshold, so that it can be part of an object."""

import numpy as np
from numpy.typing import NDArray


def threshold_mask(values: NDArray[np.uint8], covered: NDArray[np.bool_], threshold_255: float) -> NDArray[np.bool_]:
    """Return the pixels at or above the threshold.

    Parameters
    ----------
    values : uint8 array (rows, columns)
        Probabilities on the scale 0..255.
    covered : bool array (rows, columns)
        Where the model looked; elsewhere a value is not a probability.
    threshold_255 : float
        `objects.threshold` on the same scale.

    Returns
    -------
    bool array (rows, columns)
    """
    return covered & (values >= threshold_255)
