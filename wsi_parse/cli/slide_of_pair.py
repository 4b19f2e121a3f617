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
        raise UsageError(f"{slide.name} is one slide, but several are compared.", "Give the folder of the slides.")


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
        None without a slide, or if the folder has none for this pair.

    Raises
    ------
    UsageError
        A file states that it was made from another slide.
    """
    from wsi_parse.pictures.ground import SlideGround
    from wsi_parse.slides import SlideOptions, open_slide

    stated = [one.provenance.get("slide") for one in (truth, pred)]
    known = [facts for facts in stated if isinstance(facts, dict)]
    path = slide
    if slide is not None and slide.is_dir():
        names = {facts.get("name") for facts in known}
        found = sorted(one for one in slide.iterdir() if one.name in names or name in (one.stem, one.name))
        path = found[0] if found else None
    if path is None:
        yield None
        return
    with open_slide(path, SlideOptions(mpp=mpp)) as opened:
        prints = {facts.get("fingerprint") for facts in known} - {None, opened.info.fingerprint}
        if prints:
            raise UsageError(
                f"{path.name} is not the slide from which the files of {name} were made.", "Give their slide."
            )
        yield SlideGround.of_file(opened, truth.provenance)
