"""The real slide of the demonstration: a small piece of skin from the test data of OpenSlide (CC0)."""

from pathlib import Path

from wsi_parse.models.public_file import PublicFile, fetch_public, is_there
from wsi_parse.models.weights import cache_folder

SKIN = PublicFile(
    "https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/CMU-1-Small-Region.svs",
    1_938_955,
    "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7",
)


def slides_folder() -> Path:
    """Return the folder of downloaded slides in the cache."""
    return cache_folder() / "slides"


def is_cached() -> bool:
    """Whether the slide lies whole in the cache."""
    return is_there(SKIN, slides_folder() / SKIN.name)


def real_slide() -> Path:
    """Return the path of the slide in the cache; it is downloaded the first time.

    Raises
    ------
    DownloadError
        As in :func:`wsi_parse.models.public_file.fetch_public`.
    """
    return fetch_public(SKIN, slides_folder())
