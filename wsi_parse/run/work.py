"""The folder of intermediate results inside a run's folder: maps and objects, each under the digest of its stage."""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wsi_parse.files import check_can_be_folder, check_private, odd_entries, private_folder, remove

WORK = ".work"
#: Beginnings of the names of the folders in it; the digest of the stage follows.
MAPS, OBJECTS, OUTPUTS = "maps-", "objects-", "outputs-"
#: What a worker reads before there is a plan.
PREPARE_NAME = "prepare.pickle"
# All names that we give in there; anything else was put there by somebody else, and stays.
_OURS = re.compile(
    rf"({MAPS}|{OBJECTS}|{OUTPUTS})[0-9a-z-]+|{re.escape(PREPARE_NAME)}|\.{re.escape(PREPARE_NAME)}\..+\.part|jobs|tls-\w+"
)


def open_work(folder: Path) -> Path:
    """Return the folder of intermediate results of a run's folder; it is made if needed, and only ours.

    Links, pipes and the like in our folders are removed: what a link leads to stays as it is.

    Raises
    ------
    UsageError
        It is a link or a file, or belongs to another user.
    """
    work = private_folder(folder.absolute() / WORK)
    for path in _ours(work):
        if path.is_dir() and not path.is_symlink():
            for odd in odd_entries(path):
                remove(odd)
        elif path.is_symlink() or not path.is_file():
            remove(path)
    return work


def check_work(folder: Path) -> None:
    """Refuse a folder in which a run could not work, before anything in it is changed; nothing is made.

    Raises
    ------
    UsageError
        It is a file or not writable, or its folder of intermediate results is a link, a file or another user's.
    """
    check_can_be_folder(folder)
    check_private(folder / WORK)


def has_work(folder: Path) -> bool:
    """Return whether a run's folder has a folder of intermediate results; a link is none."""
    work = folder / WORK
    return work.is_dir() and not work.is_symlink()


def _ours(work: Path) -> list[Path]:
    return sorted(path for path in work.iterdir() if _OURS.fullmatch(path.name))


@contextmanager
def staging(folder: Path, name: str) -> Iterator[Path]:
    """Give an empty folder inside a run's folder to write outputs into before they are moved; it is removed again.

    Parameters
    ----------
    folder : Path
        Of a run; no other process works in it.
    name : str
        Distinguishes outputs of several settings.
    """
    work = open_work(folder)
    staged = work / f"{OUTPUTS}{name}"
    remove(staged)
    staged.mkdir()
    try:
        yield staged
    finally:
        # An error of the body is more important than one of removing.
        with suppress(OSError):
            remove(staged)
        with suppress(OSError):
            work.rmdir()


def remove_void(work: Path, needed: Collection[Path], say: Callable[[str], None]) -> None:
    """Remove maps, objects and outputs that other settings left; `say` is called before maps or objects go."""
    for beginning, what in ((MAPS, "predicted maps"), (OBJECTS, "objects"), (OUTPUTS, "")):
        void = [path for path in _ours(work) if path.name.startswith(beginning) and path not in needed]
        size = sum(map(size_bytes, void))
        if size and what:
            say(
                f"The stored {what} of an earlier run ({size_text(size)}) do not fit the settings of this one, and are "
                "removed."
            )
        for path in void:
            with suppress(OSError):
                remove(path)


def maps_of(folder: Path, predict_digest: str) -> list[Path]:
    """Return the folders in a run's folder that hold maps of these settings: one for each kind of device and block."""
    if not has_work(folder):
        return []
    found = (folder / WORK).glob(f"{MAPS}{predict_digest}-*")
    return sorted(path for path in found if path.is_dir() and not path.is_symlink())


def remove_work(folder: Path, *, keep_maps_of: str | None = None) -> None:
    """Remove the intermediate results of a run's folder, but for the maps of one digest if that is given."""
    if not has_work(folder):
        return
    kept = maps_of(folder, keep_maps_of) if keep_maps_of else []
    for path in _ours(folder / WORK):
        if path not in kept:
            with suppress(OSError):
                remove(path)
    with suppress(OSError):
        (folder / WORK).rmdir()


def size_bytes(path: Path) -> int:
    """Return the size of a folder's files; files that go away meanwhile do not count."""
    total = 0
    for file in path.rglob("*"):
        try:
            total += file.lstat().st_size if not file.is_dir() else 0
        except OSError:
            continue
    return total


def size_text(size: int) -> str:
    """Put a number of bytes into words.

    >>> size_text(400), size_text(2_340_000), size_text(12_000_000_000)
    ('0.1 MB', '2.3 MB', '12 GB')
    """
    if size >= 1e9:
        return f"{size / 1e9:.2g} GB" if size < 1e10 else f"{size / 1e9:.0f} GB"
    return f"{max(size / 1e6, 0.1):.1f} MB" if size < 1e7 else f"{size / 1e6:.0f} MB"
