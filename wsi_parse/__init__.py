"""wsi-parse: words and a gigapixel slide in, polygons to review in QuPath out. Research use only.

>>> from pathlib import Path
>>> import wsi_parse
>>> settings = wsi_parse.RunSettings.load(prompts=("nuclei",))
>>> manifest = wsi_parse.segment_slide(Path("slide.svs"), Path("out/slide"), settings)  # doctest: +SKIP
"""

from importlib import import_module
from typing import Any

from wsi_parse._version import __version__

# Looked up when first used: importing the package costs nothing and loads no slide library, Dask or torch.
_PUBLIC = {
    "Prompt": "wsi_parse.prompts",
    "RunManifest": "wsi_parse.run.manifest",
    "RunSettings": "wsi_parse.settings",
    "SlideOptions": "wsi_parse.slides",
    "WsiParseError": "wsi_parse.errors",
    "list_cohort": "wsi_parse.cohort",
    "open_slide": "wsi_parse.slides",
    "run_cohort": "wsi_parse.cohort",
    "segment_slide": "wsi_parse.run.pipeline",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public object
    if name not in _PUBLIC:
        raise AttributeError(f"module 'wsi_parse' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
