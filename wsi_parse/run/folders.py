"""The output folder of each slide: named after the slide, longer where names clash, never in or at what is read."""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from wsi_parse.errors import UsageError
from wsi_parse.gates import shown
from wsi_parse.slides.dicom_series import is_dicom

#: Files that a cohort writes beside the folders of its slides.
COHORT_FILES = ("cohort.csv", "cohort.parquet", "summary.md", "wsi_parse_mqc.json", "cohort.html")
#: Bytes of the longest name of a folder: temporary names, which are longer, still fit into 255.
MAX_NAME_BYTES = 120
_MAX_STEM_BYTES = 100
_NO_NAME = "slide"
# Windows keeps these names for devices, with any ending.
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r"[/\\:*?\"<>|]")
# Slides of these formats keep their pixels in a folder of the same name beside them.
_WITH_FOLDER_BESIDE = (".mrxs",)


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
        `out`/name. Where two slides have the same name, or something that is read has it, the file ending is added;
        where that is not enough, a hash of the path. A DICOM slide is named after its folder. What no system takes in
        the name of a folder is replaced, and a long name is cut. A slide that is given twice has one folder.

    >>> [folder.name for folder in output_folders([Path("a.svs"), Path("a.ndpi"), Path("b.svs")], Path("out"))]
    ['a-svs', 'a-ndpi', 'b']
    """
    names = [_stem(slide) for slide in slides]
    read = {_normal(path) for slide in slides for path in _read_with(slide)}
    for longer in (_with_ending, _with_path_hash):
        counts = Counter(name.casefold() for name in names)
        names = [
            longer(slide) if counts[name.casefold()] > 1 or _normal(out / name) in read else name
            for name, slide in zip(names, slides, strict=True)
        ]
    return [out / name for name in names]


def check_outside(folder: Path, slide: Path) -> None:
    """Refuse to write results into, or in the place of, what is read with a slide.

    Parameters
    ----------
    folder : Path
        The output folder of the slide.
    slide : Path

    Raises
    ------
    UsageError
        Names both.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as study:
    ...     Path(study, "1.dcm").touch()
    ...     check_outside(Path(study, "results", "a"), Path(study, "1.dcm"))
    Traceback (most recent call last):
    ...
    wsi_parse.errors.UsageError: The results of 1.dcm would be written into the folder of the slide, .... Choose ...
    """
    resolved = Path(_normal(folder))
    above = {str(path) for path in (resolved, *resolved.parents)}
    for read in _read_with(slide):
        if _normal(read) in above:
            where = f"into the folder of the slide, {shown(read)}" if read.is_dir() else f"over {shown(read)}"
            raise UsageError(
                f"The results of {shown(Path(slide.name))} would be written {where}.",
                "Choose another folder with --out.",
            )


def safe_name(name: str) -> str:
    """Return a name as one that a folder can have on every system; a name that is one already stays.

    >>> safe_name("a.b"), safe_name(".."), safe_name("a:b?"), safe_name("nul.x"), safe_name("summary.md")
    ('a.b', 'slide', 'a_b_', 'nul.x_', 'summary.md_')
    """
    valid = unicodedata.normalize("NFC", _as_text(name))
    valid = _FORBIDDEN.sub("_", "".join(letter if letter.isprintable() else "_" for letter in valid))
    valid = _cut(valid.lstrip(". "), _MAX_STEM_BYTES) or _NO_NAME
    return f"{valid}_" if _reserved_for(valid) else valid


def folder_name_problem(name: str) -> str:
    """Say why a name cannot be that of a folder of results; empty if it can.

    >>> folder_name_problem("a-1"), folder_name_problem("a/b")
    ('', 'is not a valid folder name: it contains /')
    """
    start = "is not a valid folder name"
    if not name or name != name.strip() or name.endswith("."):
        return f"{start}: it is empty, or begins or ends with a space, or ends with a dot"
    if name.startswith("."):
        return f"{start}: it begins with a dot"
    if found := _FORBIDDEN.search(name):
        return f"{start}: it contains {found[0]}"
    if not name.isprintable():
        return f"{start}: it contains a character that cannot be printed"
    if len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        return f"{start}: it is longer than {MAX_NAME_BYTES} letters (fewer if they are not Latin)"
    reason = _reserved_for(name)
    return f"{start}: it is that of {reason}" if reason else ""


def _reserved_for(name: str) -> str:
    if name.casefold() in COHORT_FILES:
        return "a table of the cohort"
    return "a device in Windows" if _DEVICES.fullmatch(name) else ""


def _as_text(name: str) -> str:
    """Return the name of a file as valid Unicode."""
    return name.encode("utf-8", "replace").decode()


def _cut(name: str, most: int) -> str:
    return name.encode()[:most].decode(errors="ignore").rstrip(". ")


def _stem(slide: Path) -> str:
    path = slide.absolute()
    if path.name in ("", ".."):
        # A folder that is one slide, named from inside.
        path = Path(os.path.realpath(path))
    if _is_dicom(slide):
        return safe_name(path.parent.name)
    name = path.name
    for ending in (".ome.tiff", ".ome.tif", path.suffix):
        if ending and name.lower().endswith(ending.lower()):
            name = name[: -len(ending)]
            break
    return safe_name(name)


def _with_ending(slide: Path) -> str:
    ending = _FORBIDDEN.sub("_", _as_text(slide.suffix.removeprefix(".").lower()))
    return f"{_stem(slide)}-{_cut(ending, 10) or _NO_NAME}"


def _with_path_hash(slide: Path) -> str:
    path_hash = hashlib.sha256(str(slide.absolute()).encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{_with_ending(slide)}-{path_hash}"


def _is_dicom(slide: Path) -> bool:
    """Whether a slide is one of the files of a folder; files of DICOM may have no ending."""
    if slide.suffix:
        return slide.suffix.lower() == ".dcm"
    try:
        return slide.is_file() and is_dicom(slide)
    except (OSError, ValueError):
        return False


def _read_with(slide: Path) -> Iterable[Path]:
    """Name the files and folders in which nothing may be written: the slide, and its folder where it has one."""
    yield slide
    if _is_dicom(slide):
        yield slide.absolute().parent
    elif slide.suffix.lower() in _WITH_FOLDER_BESIDE:
        yield slide.with_suffix("")


def _normal(path: Path) -> str:
    """Return a path so that it can be compared on a file system that ignores the case of letters."""
    try:
        resolved = os.path.realpath(path)
    except (OSError, ValueError):
        resolved = str(path.absolute())
    return unicodedata.normalize("NFC", resolved).casefold()
