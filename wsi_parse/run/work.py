"""The folder of intermediate results inside a run's folder: maps and objects, each under the digest of its stage."""

import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from wsi_parse.files import remove

WORK = ".work"
#: Beginnings of the names of the folders in it; the digest of the stage follows.
MAPS, OBJECTS, OUTPUTS = "maps-", "objects-", "outputs-"


def remove_void(work: Path, needed: Collection[Path], say: Callable[[str], None]) -> None:
    """Remove maps, objects and outputs that other settings left; `say` is called before maps or objects go."""
    for beginning, what in ((MAPS, "predicted maps"), (OBJECTS, "objects"), (OUTPUTS, "")):
        void = [path for path in work.glob(f"{beginning}*") if path not in needed]
        size = sum(map(size_bytes, void))
        if size and what:
            say(
                f"The stored {what} of an earlier run ({size_text(size)}) do not fit the settings of this one, and are "
                "removed."
            )
        for path in void:
            shutil.rmtree(path, ignore_errors=True)


def maps_of(folder: Path, predict_digest: str) -> list[Path]:
    """Return the folders in a run's folder that hold maps of these settings: one for each kind of device and block."""
    return sorted(path for path in (folder / WORK).glob(f"{MAPS}{predict_digest}-*") if path.is_dir())


def remove_work(folder: Path, *, keep_maps_of: str | None = None) -> None:
    """Remove the intermediate results of a run's folder, but for the maps of one digest if that is given."""
    kept = maps_of(folder, keep_maps_of) if keep_maps_of else []
    for path in (folder / WORK).glob("*"):
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
