"""The output folder of each slide: named after the slide, and longer where names clash."""

import hashlib
from collections import Counter
from pathlib import Path


def output_folders(slides: list[Path], out: Path) -> list[Path]:
    """Choose an output folder for each slide of a run; the same slides always get the same folders.

    Parameters
    ----------
    slides : list of Path
    out : Path
        The folder of the run.

    Returns
    -------
    list of Path
        `out`/name. Where two slides have the same name, the file ending is added; where that is the same too, a hash
        of the path. A DICOM slide is named after its folder.

    >>> [folder.name for folder in output_folders([Path("a.svs"), Path("a.ndpi"), Path("b.svs")], Path("out"))]
    ['a-svs', 'a-ndpi', 'b']
    """
    names = [_stem(slide) for slide in slides]
    for longer in (_with_ending, _with_path_hash):
        counts = Counter(names)
        names = [longer(slide) if counts[name] > 1 else name for name, slide in zip(names, slides, strict=True)]
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


def _with_path_hash(slide: Path) -> str:
    path_hash = hashlib.sha256(str(slide.absolute()).encode()).hexdigest()[:6]
    return f"{_with_ending(slide)}-{path_hash}"
