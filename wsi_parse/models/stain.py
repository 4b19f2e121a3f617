"""The stain model: nuclei by colour deconvolution. It has no weights, runs anywhere, and is the fallback."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from wsi_parse.cautions import Caution, style_from_few_pixels, threshold_at_bound
from wsi_parse.errors import UnknownPromptError
from wsi_parse.models.contract import ModelSpec, Segmenter, State
from wsi_parse.models.scale_pass import Channel, Recipe, ScalePass
from wsi_parse.prompts import Prompt, suggest_prompt
from wsi_parse.settings import ModelSettings
from wsi_parse.slides.optical_density import optical_density
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask
from wsi_parse.tissue.samples import Sample, read_samples

READ_MPP = 0.5
FIELD_UM = 512.0
# Optical density of haematoxylin and eosin: Ruifrok and Johnston, Anal Quant Cytol Histol 23 (2001) 291.
RUIFROK = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
_MIN_DENSITY = 0.15
_PERCENTILE = 1.0
_MIN_PIXELS = 2_000
_SMOOTH_UM = 0.6
# A nucleus must stand out from the local mean over this width, which is less than half a tile's overlap (64 px).
_AROUND_PX = 41
# Labelled tiles have 0.07 to 0.66, six slides 0.2 to 0.43.
_BOUNDS = (0.05, 0.80)
_SOFTNESS = 0.05


class StainModel(Segmenter):
    """Nuclei are where the smoothed haematoxylin density exceeds a threshold, which is estimated once per slide.

    It always runs on the CPU.
    """

    spec: ClassVar[ModelSpec] = ModelSpec(
        name="stain",
        summary="Nuclei by colour deconvolution of H&E; no weights, no training. A fallback of moderate quality.",
        prompts=("nuclei",),
        cpu_seconds_per_tile=0.35,
        rank=10,
    )

    @classmethod
    def plan(cls, prompts: Sequence[Prompt], settings: ModelSettings) -> tuple[ScalePass, ...]:
        """Plan the prompt "nuclei"; see :class:`wsi_parse.models.contract.Segmenter`."""
        for prompt in prompts:
            if prompt.name not in cls.spec.prompts:
                raise UnknownPromptError(
                    f"The stain model does not know {prompt.text!r}: it knows nuclei (or cells) only.",
                    f"{suggest_prompt(prompt.text)} Get BiomedParse for classes of cells, glands and free text: "
                    "wsi-parse models get biomedparse.",
                )
        recipes = tuple(Recipe(prompt, "nucleus") for prompt in prompts)
        return (
            ScalePass("stain", settings.field_um or FIELD_UM, READ_MPP, (Channel("nucleus", "probability"),), recipes),
        )

    def prepare(self, slide: Slide, tissue: TissueMask) -> State:
        """Estimate white level, stain vectors and threshold on samples spread over the tissue."""
        samples = read_samples(slide, tissue, READ_MPP)
        if not samples:
            return {"white": [245.0] * 3, "stains": RUIFROK.tolist(), "threshold": 0.25, "source": "no tissue"}
        return estimate(samples)

    @classmethod
    def cautions_of(cls, state: State) -> tuple[Caution, ...]:
        """Question an estimate from few pixels, and a threshold at its bound."""
        if state.get("pixels", _MIN_PIXELS) < _MIN_PIXELS:
            return (style_from_few_pixels(state["pixels"]),)
        threshold = state.get("threshold", 0.25)
        return () if _BOUNDS[0] < threshold < _BOUNDS[1] else (threshold_at_bound(threshold),)

    def predict(self, images: NDArray[np.uint8], scale_pass: ScalePass, state: State) -> Mapping[str, NDArray[Any]]:
        """See :class:`wsi_parse.models.contract.Segmenter`."""
        del scale_pass
        white, stains = np.array(state["white"]), np.array(state["stains"])
        return {"nucleus": np.stack([self._probability(image, white, stains, state["threshold"]) for image in images])}

    @staticmethod
    def _probability(
        image: NDArray[np.uint8], white: NDArray[Any], stains: NDArray[Any], threshold: float
    ) -> NDArray[np.uint8]:
        density = haematoxylin(image, white, stains)
        around = ndimage.uniform_filter(density, _AROUND_PX, mode="nearest")
        # In crowded fields everything is dark, so a nucleus must stand out from its surroundings.
        level = np.maximum(threshold, 0.55 * threshold + 0.5 * around)
        excess = (density - level) / _SOFTNESS
        np.clip(excess, -20, 20, out=excess)
        return np.rint(255 / (1 + np.exp(-excess))).astype(np.uint8)


def estimate(samples: Sequence[Sample]) -> State:
    """Estimate white level, stain vectors and threshold from samples of tissue at :data:`READ_MPP`.

    Returns
    -------
    dict
        The state of the model; `pixels` is the number of stained pixels that the threshold was estimated from.
    """
    white = white_level(samples)
    density = np.concatenate([density_over(sample.pixels, white) for sample in samples])
    stains, source = estimate_stains(density[:: max(1, len(density) // 400_000)])
    smooth = np.concatenate([haematoxylin(sample.image, white, stains)[sample.usable] for sample in samples])
    stained = smooth[smooth > 0.02]
    threshold = float(threshold_otsu(stained)) if len(stained) >= _MIN_PIXELS else 0.25
    return {
        "white": [round(float(value), 3) for value in white],
        "stains": [[round(float(value), 6) for value in row] for row in stains],
        "threshold": round(min(max(threshold, _BOUNDS[0]), _BOUNDS[1]), 6),
        "source": source,
        "pixels": len(stained),
    }


def white_level(samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Return the 99th percentile of each colour channel, but at least mid-grey."""
    pixels = np.concatenate([sample.image[::4, ::4][sample.usable[::4, ::4]] for sample in samples])
    if not len(pixels):
        pixels = np.concatenate([sample.pixels for sample in samples])
    return np.maximum(np.percentile(pixels, 99, axis=0), 128.0)


def density_over(image: NDArray[np.uint8], white: NDArray[Any]) -> NDArray[np.float32]:
    """Return the base-10 optical density relative to white, by a table of 256 entries per channel."""
    levels = np.arange(256, dtype=np.float64)
    table = np.maximum(optical_density(levels[:, None], white), 0).astype(np.float32)
    return np.stack([table[image[..., channel], channel] for channel in range(3)], axis=-1)


def estimate_stains(density: NDArray[np.float32]) -> tuple[NDArray[np.float64], str]:
    """Estimate the directions of haematoxylin and eosin, after Macenko et al. (ISBI 2009).

    Parameters
    ----------
    density : float array (N, 3)

    Returns
    -------
    stains : float array (2, 3)
        Unit vectors; those of Ruifrok and Johnston if the estimate is not plausible.
    source : str
    """
    reference = RUIFROK / np.linalg.norm(RUIFROK, axis=1, keepdims=True)
    dense = density[(density > _MIN_DENSITY).any(axis=1)].astype(np.float64)
    if len(dense) < _MIN_PIXELS:
        return reference, "reference: little tissue"
    _, vectors = np.linalg.eigh(np.cov(dense.T))
    plane = vectors[:, [2, 1]]
    plane *= np.where(plane.sum(axis=0) < 0, -1, 1)
    angle = np.arctan2(*(dense @ plane).T[::-1])
    low, high = np.percentile(angle, [_PERCENTILE, 100 - _PERCENTILE])
    ends = np.stack([np.cos([low, high]), np.sin([low, high])], axis=1) @ plane.T
    # Haematoxylin absorbs more red than eosin does.
    stains = ends[np.argsort(-ends[:, 0] / np.linalg.norm(ends, axis=1))]
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    off = np.degrees(np.arccos(np.clip((stains * reference).sum(axis=1), -1, 1)))
    apart = math.degrees(math.acos(min(1.0, float(stains[0] @ stains[1]))))
    if (stains < -0.05).any() or off.max() > 30 or apart < 12:
        return reference, "reference: the estimate was not plausible"
    return stains, "estimated"


def haematoxylin(image: NDArray[np.uint8], white: NDArray[Any], stains: NDArray[Any]) -> NDArray[np.float32]:
    """Return the smoothed density of haematoxylin.

    The third direction is the cross product of both stains, and takes the rest.
    """
    basis = np.vstack([stains, np.cross(stains[0], stains[1])])
    basis[2] /= np.linalg.norm(basis[2])
    unmix = np.linalg.inv(basis)[:, 0].astype(np.float32)
    density: NDArray[np.float32] = ndimage.gaussian_filter(
        density_over(image, white) @ unmix, _SMOOTH_UM / READ_MPP, truncate=3.0
    )
    return density
