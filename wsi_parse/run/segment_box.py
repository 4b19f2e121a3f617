"""segment_box: a box of a slide and words in, its objects and maps in memory out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from wsi_parse.errors import UsageError
from wsi_parse.geometry import Box, Frame
from wsi_parse.objects.probability_map import ProbabilityMap
from wsi_parse.predict.maps_description import MAPS_NAME, load_description
from wsi_parse.progress import Progress, Silent
from wsi_parse.run.digests import Digests
from wsi_parse.run.pipeline import run_prepared
from wsi_parse.run.prepared import PreparedRun, cautions_before
from wsi_parse.run.probability import Probability, read_probability
from wsi_parse.run.resolve import resolve
from wsi_parse.run.result import OBJECTS, name_of_prompt, need_geopandas, objects_of
from wsi_parse.run.segment import with_words
from wsi_parse.run.work import maps_of
from wsi_parse.settings import ModelSettings, RunSettings
from wsi_parse.slides import Slide, SlideOptions, open_slide
from wsi_parse.slides.slide import is_whole_box, not_a_box

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


@dataclass(frozen=True)
class BoxResult:
    """What was found in a box of a slide; everything is in memory.

    Parameters
    ----------
    box_level0 : Box
        The box in level-0 pixels.
    counts : mapping of prompt to number of objects
    parquet : bytes
        The objects as GeoParquet; `objects` and `table` read it.
    maps : mapping of prompt to Probability

    Examples
    --------
    >>> from wsi_parse.synthetic import SyntheticSlide
    >>> made = SyntheticSlide(900, 700, seed=3, tissue=1.0)
    >>> with open_slide(made.pixels(made.box), SlideOptions(mpp=0.25)) as slide:
    ...     found = segment_box(slide, Box(200, 100, 400, 300), "nuclei", model="stain")
    >>> found.box_level0, list(found.counts), len(found.objects()) == found.counts["nuclei"]
    (Box(x=200, y=100, width=400, height=300), ['nuclei'], True)
    """

    box_level0: Box
    counts: Mapping[str, int]
    parquet: bytes
    maps: Mapping[str, Probability]

    def objects(self) -> "GeoDataFrame":
        """Return the objects as a GeoDataFrame; see :meth:`wsi_parse.Run.objects`.

        Raises
        ------
        MissingPackageError
            geopandas is not installed; `table` does without it.
        """
        need_geopandas()
        return objects_of(self.parquet)

    def table(self) -> pa.Table:
        """Return the objects as a pyarrow.Table, whose column "geometry" holds outlines as WKB in level-0 pixels."""
        return pq.read_table(BytesIO(self.parquet))

    def probability(self, prompt: str) -> Probability:
        """Return the probability of a prompt in the box, as numpy arrays.

        Raises
        ------
        UnknownNameError
            The prompt is not one of those that were looked for.
        """
        return self.maps[name_of_prompt(prompt, {one.prompt.text: name for name, one in self.maps.items()})]

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {name}" for name, count in self.counts.items())
        box = self.box_level0
        return f"<BoxResult at ({box.x}, {box.y}), {box.width} x {box.height} level-0 pixels: {counts}>"


def segment_box(
    slide: Slide | str | Path,
    box: Box,
    prompts: str | Sequence[str] | None = None,
    model: str | ModelSettings | None = None,
    *,
    frame: Frame | None = None,
    settings: RunSettings | None = None,
    progress: Progress | None = None,
) -> BoxResult:
    """Segment a box of a slide; nothing is left on the disk.

    The result is that of a whole run whose region of interest is the box: cells whose middle lies in the box are whole,
    regions end at its border, and what the model learns of the slide, such as its stain, it learns of all its tissue.

    Parameters
    ----------
    slide : Slide, str or Path
        An open slide, or a path.
    box : Box
        What is segmented, in level-0 pixels, or in pixels of `frame`.
    prompts : str or sequence of str, optional
        What to look for, in words; takes the place of that in `settings`.
    model : str or ModelSettings, optional
        Name of a model; takes the place of that in `settings`.
    frame : Frame, optional
        A frame of the slide; None: level 0.
    settings : RunSettings, optional
        What they say of outputs and clusters does not count: the work is done in threads of this process.
    progress : Progress, optional

    Returns
    -------
    BoxResult

    Raises
    ------
    UsageError
        The box is no Box or lies outside the slide, or the settings name a region of interest, too.
    WsiParseError
        What else went wrong and what to do about it.

    Examples
    --------
    >>> import numpy as np
    >>> from wsi_parse.synthetic import SyntheticSlide
    >>> made = SyntheticSlide(900, 700, seed=3, tissue=1.0)
    >>> with open_slide(made.pixels(made.box), SlideOptions(mpp=0.25)) as slide:
    ...     found = segment_box(slide, Box(200, 100, 400, 300), "nuclei", model="stain")
    >>> found.probability("nuclei").array.shape, found.counts["nuclei"] == found.table().num_rows > 0
    ((150, 200), True)
    """
    if not is_whole_box(box):
        raise not_a_box(box)
    settings, progress = with_words(settings, prompts, model), progress or Silent()
    if settings.slide.roi is not None:
        raise UsageError("segment_box takes a box in place of a region of interest.", "Leave out slide.roi.")
    if isinstance(slide, Slide):
        return _segment(slide, box, frame, settings, progress)
    options = SlideOptions.of(settings.slide)
    with open_slide(slide, options) as opened:
        return _segment(opened, box, frame, settings, progress)


def _segment(slide: Slide, box: Box, frame: Frame | None, settings: RunSettings, progress: Progress) -> BoxResult:
    level0 = slide.level0_frame
    frame = frame or level0
    box_level0 = frame.box_in(box, level0)
    if not box_level0.intersection(level0.box).area:
        width, height = slide.dimensions
        raise UsageError(
            f"The box {box_level0} (level 0) lies outside of {slide.name}, or is empty.",
            f"Give a box inside of {width} x {height} pixels.",
        )
    (left, top), (right, bottom) = frame.to_level0([(box.x, box.y), (box.right, box.bottom)]).tolist()
    request = resolve(_in_memory(settings))
    cautions = cautions_before(slide, request)
    for caution in cautions:
        progress.caution(caution)
    for note in (*request.notes, *slide.info.notes):
        progress.note(note)
    digests = Digests.of(
        request.settings,
        slide,
        request.scale_passes,
        request.prompts,
        request.weights,
        f"box {left} {top} {right} {bottom}",
    )
    prepared = PreparedRun(request, slide, shapely.box(left, top, right, bottom), digests, slide.info.notes, cautions)
    with TemporaryDirectory(prefix="wsi-parse-") as temporary:
        folder = Path(temporary)
        manifest = run_prepared(prepared, folder, progress, None)
        maps: dict[str, Probability] = {}
        for described in (path for work in maps_of(folder, digests.predict) for path in work.glob(f"*/{MAPS_NAME}")):
            one = ProbabilityMap.of_maps(load_description(described.parent))
            box_frame = frame.box_in(box, one.frame).intersection(one.frame.box)
            maps |= {prompt.name: read_probability(one, prompt.name, box_frame) for prompt in one.prompts}
        return BoxResult(box_level0, manifest.counts, (folder / OBJECTS).read_bytes(), maps)


def _in_memory(settings: RunSettings) -> RunSettings:
    """Settings of a run in a temporary folder, whose objects and maps are read when it ends."""
    nothing_else = {"overlay_px": 0, "report": False, "heat_map": False, "least_certain": 0}
    export = {"formats": ("parquet",), "frame": "level0", "keep": ("predictions",), **nothing_else}
    compute = {"cluster": "local", "workers": 0}
    return settings.model_copy(
        update={
            "export": settings.export.model_copy(update=export),
            "compute": settings.compute.model_copy(update=compute),
        }
    )
