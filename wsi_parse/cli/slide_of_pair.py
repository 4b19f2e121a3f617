"""The slide of two files that are compared: what --slides names, or the one with their name in a folder of slides."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wsi_parse.cli.evaluation_outputs import Outputs
from wsi_parse.errors import UsageError
from wsi_parse.gates import check_input

if TYPE_CHECKING:
    from wsi_parse.annotations import Annotations
    from wsi_parse.pictures.ground import SlideGround


def check_slide(slide: Path | None, outputs: Outputs, *, several: bool) -> None:
    """Refuse a slide that is not there, that has no picture to lie under, or that is one for several pairs."""
    if slide is None:
        return
    check_input(slide, "a slide or a folder of slides", folder=True)
    if outputs.overlay is None:
        raise UsageError("--slides is for the picture of the differences.", "Name the picture with --overlay.")
    if several and not slide.is_dir():
        raise UsageError(
            f"{slide.name} is one slide, but there are several pairs of files.", "Give the folder of the slides."
        )


@contextmanager
def ground_of(
    slide: Path | None, name: str, truth: "Annotations", pred: "Annotations", mpp: float | None
) -> "Iterator[SlideGround | None]":
    """Open the slide under two files, for a picture in the coordinates of the truth.

    Parameters
    ----------
    slide : Path or None
        A slide, or a folder of slides: the one counts that the files name, or that has the name of the pair.
    name : str
        Of the pair.
    truth, pred : Annotations
    mpp : float or None
        The pixel size that the user gave.

    Yields
    ------
    SlideGround or None
        None without a slide.

    Raises
    ------
    UsageError
        The folder has no slide for this pair, or a file states that it was made from another one.
    """
    from wsi_parse.annotations.frame import slide_stated
    from wsi_parse.evaluate.frames import pixel_size
    from wsi_parse.pictures.ground import SlideGround
    from wsi_parse.slides import SlideOptions, open_slide

    stated = [found for one in (truth, pred) if (found := slide_stated(one.provenance)) is not None]
    path = slide
    if slide is not None and slide.is_dir():
        path = _found_in(slide, name, {one.name for one in stated})
        if path is None:
            raise UsageError(f"No slide of {name} is in {slide.name}.", "Give its slide with --slides.")
    if path is None:
        yield None
        return
    # The size of a pixel is that of the files, which may know better than the slide; only its ratios count here.
    size = pixel_size(mpp, [truth.provenance, pred.provenance])
    with open_slide(path, SlideOptions() if size is None else SlideOptions(mpp=size[0], override_mpp=True)) as opened:
        info = opened.info
        if any(one.is_other({path.name, name}, info.fingerprint, (info.width, info.height)) for one in stated):
            raise UsageError(
                f"{path.name} is not the slide from which the files of {name} were made.", "Give their slide."
            )
        yield SlideGround.of_file(opened, truth.provenance)


def _found_in(folder: Path, name: str, stated: set[str]) -> Path | None:
    """Return the slide of a pair in a folder: the one that the files name, else one with the name of the pair."""
    from wsi_parse.slides.listing import list_slides

    slides = list_slides([folder])
    named = [one for one in slides if one.name in stated]
    alike = [one for one in slides if name in (one.name, one.stem, one.parent.name if one.parent != folder else "")]
    return next(iter([*named, *alike]), None)
