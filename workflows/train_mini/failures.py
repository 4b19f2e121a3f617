"""Pictures of the most dangerous failure: tiles of normal tissue with the most nuclei called neoplastic."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import find_boundaries

from workflows.train_mini.measure import called, predict, score, segmented, votes_of
from workflows.train_mini.tiles import Tile
from wsi_parse.models.mini.facts import CLASS_OF, CLASSES, READ_MPP
from wsi_parse.models.mini.network import MiniNetwork
from wsi_parse.prompts import TARGETS

_ZOOM, _SHOWN, _ROW, _MIN_NUCLEI = 3, 6, 3, 15
_COLOURS = {CLASS_OF[target.name]: target.colour for target in TARGETS if target.name in CLASS_OF}
_OTHER = (120, 120, 120)


def draw_failures(network: MiniNetwork, tiles: Sequence[Tile], path: Path) -> None:
    """Draw the worst tiles, outlines in the colours of QuPath's classes (neoplastic: red); small tiles are left out.

    Parameters
    ----------
    network : MiniNetwork
        Fused with its normalisation.
    tiles : sequence of Tile
        Of normal tissue.
    path : Path
        A JPEG or PNG.
    """
    shares = [called([score(network, tile)], "neoplastic") for tile in tiles]
    worst = sorted(
        (n for n, share in enumerate(shares) if share["nuclei"] >= _MIN_NUCLEI), key=lambda n: -shares[n]["called"]
    )[:_SHOWN]
    if not worst:
        return
    pictures = [outlined(network, tiles[number].at(READ_MPP).image) for number in worst]
    height, width = (min(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    page = np.full((-(-len(worst) // _ROW) * height, min(len(worst), _ROW) * width, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // _ROW * height, number % _ROW * width
        page[top : top + height, left : left + width] = picture[:height, :width]
    Image.fromarray(page).save(path, quality=85)


def outlined(network: MiniNetwork, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw the outline of each nucleus in the colour of its class, enlarged three times."""
    channels = predict(network, image)
    nuclei = segmented(channels)
    colours = np.array([_COLOURS.get(name, _OTHER) for name in CLASSES], np.uint8)
    of_nucleus = np.vstack([np.zeros((1, 3), np.uint8), colours[votes_of(nuclei, channels).argmax(axis=1)]])
    large = nuclei.repeat(_ZOOM, 0).repeat(_ZOOM, 1)
    edge = find_boundaries(large, mode="inner")
    picture = image.repeat(_ZOOM, 0).repeat(_ZOOM, 1)
    picture[edge] = of_nucleus[large[edge]]
    return picture
