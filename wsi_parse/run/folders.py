"""Which folder the results of each slide go to: its name, or a longer one where names clash."""

import hashlib
from collections import Counter
from pathlib import Path


def output_folders(slides: list[Path], out: Path) -> list[Path]:
    """Name a folder for each slide of a run, the same ones every time.

    Parameters
    ----------
    slides : list of Path
    out : Path
        The folder of the run.

    Returns
    -------
    list of Path
        `out`/name; with the ending where two slides differ by that, with a hash of the place where even that is
        the same. A DICOM slide is called like its folder.

    >>> [folder.name for folder in output_folders([Path("a.svs"), Path("a.ndpi"), Path("b.svs")], Path("out"))]
    ['a-svs', 'a-ndpi', 'b']
    """
    names = [_stem(slide) for slide in slides]
    for longer in (_with_ending, _with_place):
        seen = Counter(names)
        names = [longer(slide) if seen[name] > 1 else name for name, slide in zip(names, slides, strict=True)]
    return [out / name for name in names]


def _stem(slide: Path) -> str:
    if slide.suffix.lower() == ".dcm":
        return slide.absolute().parent.name
    name = slide.name
    for ending in (".ome.tiff", ".ome.tif", slide.suffix):
        if ending and name.lower().endswith(ending.lower()):
            return name[: -len(ending)]
    return name


def _with_ending(slide: Path) -> str:
    return f"{_stem(slide)}-{slide.suffix.removeprefix('.').lower()}"


def _with_place(slide: Path) -> str:
    place = hashlib.sha256(str(slide.absolute()).encode()).hexdigest()[:6]
    return f"{_with_ending(slide)}-{place}"
