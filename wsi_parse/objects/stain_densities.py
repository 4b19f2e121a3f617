"""Haematoxylin and eosin of each pixel, as QuPath measures them."""

import numpy as np
from numpy.typing import NDArray


def stain_densities(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the haematoxylin and eosin densities of an RGB image, in thousandths, as (2, rows, columns).

    Colour deconvolution with the vectors of Ruifrok and Johnston (2001), in base-10 optical density as in QuPath.
    """
    # Imported where the first object is: it takes as long as the densities of many.
    from skimage.color import rgb2hed

    # rgb2hed returns densities of unit stain vectors in natural logarithms of 1e-6, hence its own scale.
    hed = rgb2hed(image.astype(np.float32) / 255)
    scale = -np.log(1e-6) / np.log(10)
    return np.rint(hed[..., :2] * scale * 1000).astype(np.int64).transpose(2, 0, 1)
