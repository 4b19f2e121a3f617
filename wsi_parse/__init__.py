"""wsi-parse: words and a gigapixel slide in, polygons to review in QuPath out. Research use only.

Open and read a slide::

    open_slide(path)                a Slide: .dimensions, .get_thumbnail(size), .frame(mpp), .read(box, frame)
    SlideOptions, Box, Frame        how to open it; a rectangle (x, y, width, height); its pixels at one scale

Look for something::

    segment_slide(path, folder, prompts="nuclei")     the whole slide; results in a folder, and as a Run
    segment_box(slide, box, "nuclei")                 a part of it; results in memory, as a BoxResult
    RunSettings, Prompt                               every setting; how words are understood

Look at what was found::

    Run.open(folder)                .objects() as a GeoDataFrame, .probability(prompt), .thumbnail(), .manifest
    Probability, RunManifest        an array with its Frame; what was done, and with what

Many slides: list_cohort, run_cohort. Every error is a WsiParseError that says what to do.

Each of these has an example: ``help(wsi_parse.segment_slide)``; docs/python.md is a tour.

>>> from pathlib import Path
>>> from tempfile import TemporaryDirectory
>>> import wsi_parse
>>> from wsi_parse.synthetic import SyntheticSlide, write_svs_like
>>> with TemporaryDirectory() as folder:
...     write_svs_like(Path(folder, "small.svs"), SyntheticSlide(900, 700, seed=3, tissue=1.0))
...     run = wsi_parse.segment_slide(f"{folder}/small.svs", f"{folder}/out", prompts="nuclei", model="stain")
...     len(run.objects()) == run.counts["nuclei"] > 0
True
"""

from importlib import import_module
from typing import TYPE_CHECKING

from wsi_parse._version import __version__

if TYPE_CHECKING:
    from wsi_parse.cohort import list_cohort, run_cohort
    from wsi_parse.errors import WsiParseError
    from wsi_parse.geometry import Box, Frame
    from wsi_parse.prompts import Prompt
    from wsi_parse.run.manifest import RunManifest
    from wsi_parse.run.probability import Probability
    from wsi_parse.run.result import Run
    from wsi_parse.run.segment import segment_slide
    from wsi_parse.run.segment_box import BoxResult, segment_box
    from wsi_parse.settings import RunSettings
    from wsi_parse.slides import Slide, SlideOptions, open_slide

# A literal, because type checkers read it; a test holds it against the two lists below and above.
__all__ = [
    "Box",
    "BoxResult",
    "Frame",
    "Probability",
    "Prompt",
    "Run",
    "RunManifest",
    "RunSettings",
    "Slide",
    "SlideOptions",
    "WsiParseError",
    "__version__",
    "list_cohort",
    "open_slide",
    "run_cohort",
    "segment_box",
    "segment_slide",
]

if not TYPE_CHECKING:
    # Looked up when first used: importing the package costs nothing and loads no slide library, Dask or torch. Type
    # checkers do not see this, so that a name that is not there is an error to them.
    _PUBLIC = {
        "Box": "wsi_parse.geometry",
        "BoxResult": "wsi_parse.run.segment_box",
        "Frame": "wsi_parse.geometry",
        "Probability": "wsi_parse.run.probability",
        "Prompt": "wsi_parse.prompts",
        "Run": "wsi_parse.run.result",
        "RunManifest": "wsi_parse.run.manifest",
        "RunSettings": "wsi_parse.settings",
        "Slide": "wsi_parse.slides",
        "SlideOptions": "wsi_parse.slides",
        "WsiParseError": "wsi_parse.errors",
        "list_cohort": "wsi_parse.cohort",
        "open_slide": "wsi_parse.slides",
        "run_cohort": "wsi_parse.cohort",
        "segment_box": "wsi_parse.run.segment_box",
        "segment_slide": "wsi_parse.run.segment",
    }

    def __getattr__(name: str) -> object:
        if name not in _PUBLIC:
            raise AttributeError(f"module 'wsi_parse' has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_PUBLIC[name]), name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
