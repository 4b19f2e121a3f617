"""What is looked at: a run, a slide, or the runs of a cohort."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wsi_parse.cohort.tables import PARQUET_TABLE
from wsi_parse.errors import ManifestError, StoreError, UsageError
from wsi_parse.files import MANIFEST_NAME, file_sha256
from wsi_parse.gates import check_input
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.outputs import OVERLAY_NAME, REGION_NAME, TISSUE_NAME
from wsi_parse.run.result import OBJECTS, Run
from wsi_parse.slides import open_slide
from wsi_parse.slides.options import SlideOptions
from wsi_parse.slides.slide import Slide
from wsi_parse.viewer.file_layer import Result, layer_of_file
from wsi_parse.viewer.find_slide import slide_of_run
from wsi_parse.viewer.layers import Layer, layer_of_table, table_of_run
from wsi_parse.viewer.maps import MapTiles, maps_of_run
from wsi_parse.viewer.opened import Opened
from wsi_parse.viewer.shelf import Shelf
from wsi_parse.viewer.slide_view import Entry, SlideView

# From this number of objects on, reading them takes more than two seconds.
_MANY_PX = 500_000_000


@dataclass(frozen=True)
class Request:
    """What a user wants to see.

    Parameters
    ----------
    path : Path
        A folder of a run, a folder of such folders, or a slide.
    slide : Path or None
        The slide of the run, or a folder of slides.
    others : sequence of Path
        GeoJSON files to lie over the slide.
    temporary : Path
        A folder for what cannot be kept.
    say : callable
        Is told what takes time.
    """

    path: Path
    slide: Path | None
    others: Sequence[Path]
    temporary: Path
    say: Callable[[str], None]


def opened_of(request: Request) -> Opened:
    """Find out what is looked at; a single slide is opened at once, those of a cohort when they are looked at.

    Raises
    ------
    UsageError
        The path leads to nothing that can be shown.
    """
    path = check_input(request.path, "a run, a slide or a cohort", folder=True)
    if (path / MANIFEST_NAME).is_file():
        entries = [_of_run(path, request, 0)]
    elif path.is_dir() and (runs := sorted(found.parent for found in path.glob(f"*/{MANIFEST_NAME}"))):
        if request.others:
            raise UsageError("--with is for one slide.", f"Give the folder of one run, such as {runs[0]}.")
        entries = [_of_run(folder, request, number) for number, folder in enumerate(runs)]
        entries += _without_run(path, {folder.name for folder in runs})
        return Opened(entries, request.temporary, cohort=True)
    else:
        entries = [Entry(path.name, "done", None, (), partial(_open_slide, path, request))]
    opened = Opened(entries, request.temporary, cohort=False)
    opened.view(0)
    return opened


def _of_run(folder: Path, request: Request, number: int) -> Entry:
    opens = partial(_open_run, folder, request, number)
    try:
        manifest = RunManifest.load(folder)
    except ManifestError:
        return Entry(folder.name, "failed", None, (), opens)
    assert manifest is not None
    state = "open" if manifest.state == "running" else manifest.state
    objects = sum(manifest.counts.values()) if state == "done" else None
    codes = dict.fromkeys(one.code for one in manifest.caution_list())
    return Entry(str(manifest.slide["name"]), state, objects, tuple(codes), opens, folder / OVERLAY_NAME)


def _without_run(cohort: Path, runs: set[str]) -> list[Entry]:
    """Return the slides of a cohort's table that have no run, such as those that could not be opened."""
    try:
        table = pq.read_table(cohort / PARQUET_TABLE, columns=["id", "slide", "state", "error"])
    except (OSError, pa.ArrowException):
        return []
    return [
        Entry(str(row["slide"]), str(row["state"]), None, (), partial(_nothing_to_see, row["slide"], row["error"]))
        for row in table.to_pylist()
        if row["id"] not in runs
    ]


def _nothing_to_see(slide: str, error: str | None) -> SlideView:
    why = f" It failed: {error}" if error else ""
    raise UsageError(f"The slide {slide} has no result yet.{why}", "Run the cohort again.")


def _open_run(folder: Path, request: Request, number: int) -> SlideView:
    manifest = Run.open(folder, verify=False).manifest
    slide = slide_of_run(folder, manifest, request.slide)
    try:
        table = table_of_run(folder, manifest)
        sha256 = file_sha256(table.path)
        if sha256 != manifest.outputs.get(OBJECTS):
            request.say(f"{OBJECTS} in {folder} was changed since the run; it is shown as it is.")
        shelf = Shelf(folder, request.temporary / str(number), request.say)
        layers = {0: layer_of_table(table, sha256, shelf)}
        layers |= _of_files(request, slide, Result(table, layers[0]), shelf)
        shelf.remove_unused()
        _check_outlines(folder, manifest, request.say)
    except BaseException:
        slide.close()
        raise
    _say_if_slow(slide, request.say)
    return SlideView(slide, layers, manifest, folder, _maps(folder, manifest, request))


def _maps(folder: Path, manifest: RunManifest, request: Request) -> list[MapTiles]:
    try:
        found = maps_of_run(folder, manifest)
    except StoreError as error:
        request.say(f"The maps of {folder.name} are not shown. {error.message} {error.remedy}")
        return []
    if manifest.maps_kept and not found:
        request.say(f"The kept predictions of {folder.name} were removed: there are no probability maps to show.")
    return found


def _check_outlines(folder: Path, manifest: RunManifest, say: Callable[[str], None]) -> None:
    """Say which outlines of the run are not shown, because somebody changed or removed them."""
    for name in manifest.changed_outputs(folder, sorted({TISSUE_NAME, REGION_NAME} & manifest.outputs.keys())):
        say(f"{name} in {folder.name} was changed or removed since the run; it is not shown.")


def _open_slide(path: Path, request: Request) -> SlideView:
    slide = open_slide(path, SlideOptions(skip_unreadable=True))
    try:
        # Nothing is written beside a slide.
        layers = _of_files(request, slide, None, Shelf(None, request.temporary, request.say))
    except BaseException:
        slide.close()
        raise
    _say_if_slow(slide, request.say)
    return SlideView(slide, layers, None, None)


def _say_if_slow(slide: Slide, say: Callable[[str], None]) -> None:
    """Say that a slide takes long to be seen as a whole."""
    coarsest = slide.info.levels[-1]
    if coarsest.width * coarsest.height > _MANY_PX:
        say(
            f"{slide.name} holds no small copy of itself: before it is seen as a whole, all of it is read, once, "
            "which may take a minute. What is near comes at once."
        )


def _of_files(request: Request, slide: Slide, result: Result | None, shelf: Shelf) -> dict[int, Layer]:
    return {
        number: layer_of_file(path, slide, result, shelf, request.say) for number, path in enumerate(request.others, 1)
    }
