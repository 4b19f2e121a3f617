"""Tiles as models see them: black where nothing was scanned becomes white, wherever it lies in the tile."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from wsi_parse.geometry import Box
from wsi_parse.predict.inference import cut_tile

_SPAN = st.tuples(st.integers(-12, 60), st.integers(-12, 60), st.integers(1, 30), st.integers(1, 30))


def _by_definition(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """White where a square of 15 black pixels lies, and two pixels around it; the image is mirrored at its edge."""
    filling = minimum_filter(image.max(axis=2) <= 20, 15)
    return np.where(maximum_filter(filling, 19)[..., None], np.uint8(255), image)


@settings(max_examples=100, deadline=None)
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    spans=st.lists(_SPAN, max_size=4),
    grey=st.integers(18, 22),
    seed=st.integers(0, 9),
)
def test_filling_is_whitened_wherever_it_lies(
    size: tuple[int, int], spans: list[tuple[int, int, int, int]], grey: int, seed: int
) -> None:
    image = np.random.default_rng(seed).integers(10, 256, (*size, 3), dtype=np.uint8)
    whole = Box(0, 0, size[1], size[0])
    for span in spans:
        image[Box(*span).intersection(whole).slices] = grey
    assert np.array_equal(cut_tile(image, whole, whole), _by_definition(image))
