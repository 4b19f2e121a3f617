"""The slide of a run: a run keeps no path, so its slide is looked for, and known by its fingerprint."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from wsi_parse.errors import SlideError, UsageError
from wsi_parse.gates import check_input, exists
from wsi_parse.run.manifest import RunManifest
from wsi_parse.settings.sections import SlideSettings
from wsi_parse.slides import open_slide
from wsi_parse.slides.listing import list_slides
from wsi_parse.slides.options import SlideOptions
from wsi_parse.slides.slide import Slide

# In a folder with more subfolders, none of them is looked into.
_MOST_FOLDERS = 1_000


def slide_of_run(folder: Path, manifest: RunManifest, given: Path | None) -> Slide:
    """Open the slide that a run was made from, as the run opened it.

    Parameters
    ----------
    folder : Path
        Of the run.
    manifest : RunManifest
    given : Path or None
        The slide, or the folder it is in; None: it is looked for by its name in the current folder, and beside and
        above the run.

    Raises
    ------
    UsageError
        It is not there, or what was given is another slide.
    SlideError
        It cannot be opened.
    """
    options = replace(SlideOptions.of(SlideSettings.model_validate(manifest.settings["slide"])), skip_unreadable=True)
    name, fingerprint = str(manifest.slide["name"]), manifest.slide["fingerprint"]
    if given is not None:
        check_input(given, "a slide or a folder of slides", folder=True)
    others = []
    for path in _candidates(folder, name, given):
        try:
            slide = open_slide(path, options)
        except SlideError:
            if path == given:
                raise
            continue
        if slide.info.fingerprint == fingerprint:
            return slide
        slide.close()
        others.append(path.name)
    if given is not None and given.name in others:
        raise UsageError(
            f"{given.name} is not the slide of the run {folder.name}, which is {name}.",
            "Give the slide that the run was made from.",
        )
    where = f"in {given.name}" if given is not None else f"in the current folder, and beside and above {folder.name}"
    also = " A slide with this name is there, but has other content." if name in others else ""
    raise UsageError(
        f"{name}, the slide of the run {folder.name}, was not found {where}; a run does not keep where its slide is."
        f"{also}",
        "Give the slide, or the folder it is in, with --slide.",
    )


def _candidates(folder: Path, name: str, given: Path | None) -> Iterator[Path]:
    """Yield what may be the slide: first what has its name."""
    if given is not None and (not given.is_dir() or given.suffix.lower() == ".zarr"):
        yield given
        return
    if given is not None:
        slides = list_slides([given])
        yield from sorted(slides, key=lambda path: name not in (path.name, path.parent.name))
        return
    above = folder.absolute()
    for base in dict.fromkeys([Path.cwd(), *list(above.parents)[:3]]):
        for place in (base, *_subfolders(base)):
            if exists(place / name):
                yield place / name


def _subfolders(folder: Path) -> list[Path]:
    try:
        found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []
    return found if len(found) <= _MOST_FOLDERS else []
