"""What a slide looks like to the network, in a few numbers: light, staining, sharpness, and the size of dark spots.

The same numbers of the tiles that the weights learnt from are in confidence.json: on a slide outside of their range,
the classes are less sure.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from wsi_parse.models.mini.facts import READ_MPP
from wsi_parse.models.mini.stain_normalization import StainNormalization, density_of
from wsi_parse.tissue.samples import Sample
from wsi_parse.tissue.spot_sizes import DIAMETERS_PX, spot_sizes

# Widths in pixels: of the finest detail that optics and compression leave, and of a nucleus.
_FINE_PX, _COARSE_PX = 1.0, 4.0
# A sample with less tissue is mostly edge.
_MIN_TISSUE = 0.25
# Nuclei: spots of other sizes are texture, or groups.
_SPOTS_UM = (2.5, 16.0)
_HIGH_PERCENTILE = 98


def appearance_of(samples: Sequence[Sample]) -> dict[str, Any]:
    """Measure samples at the scale of the network.

    Parameters
    ----------
    samples : sequence of Sample
        At :data:`wsi_parse.models.mini.facts.READ_MPP`.

    Returns
    -------
    dict
        For JSON: white (three floats), strength and pixels of :class:`StainNormalization`; sharpness, the contrast of
        the finest detail over that of details as wide as a nucleus; nuclear_area_um2, the
        size of dark spots.
        The last two are None if no sample is tissue.
    """
    stain = StainNormalization.of(samples)
    full = [sample for sample in samples if sample.usable.mean() >= _MIN_TISSUE]
    density = [[density_of(sample.image[..., channel]) for channel in range(3)] for sample in full]
    grey = [(red + green + blue) / np.float32(3) for red, green, blue in density]
    sharpness = [_sharpness(each, sample.usable) for each, sample in zip(grey, full, strict=True)]
    area_um2 = _spot_area_um2([red for red, _, _ in density], [sample.usable for sample in full])
    return {
        "white": list(stain.white),
        "strength": stain.strength,
        "pixels": stain.pixels,
        "sharpness": round(float(np.median(sharpness)), 4) if sharpness else None,
        "nuclear_area_um2": area_um2,
    }


def _sharpness(density: NDArray[np.float32], usable: NDArray[np.bool_]) -> float:
    fine, coarse = gaussian_filter(density, _FINE_PX), gaussian_filter(density, _COARSE_PX)
    return float((density - fine)[usable].std() / max(float((fine - coarse)[usable].std()), 1e-6))


def _spot_area_um2(densities: Sequence[NDArray[np.float32]], usable: Sequence[NDArray[np.bool_]]) -> float | None:
    """Return the area of a spot such that half of all that spots cover is of smaller ones."""
    share = np.zeros(len(DIAMETERS_PX))
    for density, tissue in zip(densities, usable, strict=True):
        low, high = np.percentile(density[tissue], (50, _HIGH_PERCENTILE)).tolist()
        share += spot_sizes(density, low, high)[:, 0].max(axis=0) * density.size
    diameters_um = DIAMETERS_PX * READ_MPP
    share[(diameters_um < _SPOTS_UM[0]) | (diameters_um > _SPOTS_UM[1])] = 0
    if not share.sum():
        return None
    log_um = np.interp(0.5, np.cumsum(share) / share.sum(), np.log(diameters_um))
    return round(float(np.pi / 4 * np.exp(log_um) ** 2), 2)
