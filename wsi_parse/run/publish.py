"""Move outputs that are whole into a run's folder; what a person made or changed there is kept aside."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from wsi_parse.files import MANIFEST_NAME, move, remove
from wsi_parse.gates import keep_aside
from wsi_parse.run.manifest import RunManifest, sha256_of


def publish(
    staged: Path, folder: Path, manifest: RunManifest, names: Iterable[str], say: Callable[[str], None]
) -> None:
    """Move outputs into the folder of a run.

    Parameters
    ----------
    staged : Path
        Folder in which they were written, in the same file system.
    folder : Path
    manifest : RunManifest
        Names the outputs with their hashes, and those of earlier runs. It is saved before anything is moved: if we are
        killed meanwhile, the next run knows which files are ours.
    names : iterable of str
    say : callable
        Receives a sentence about each file that is kept aside.
    """
    names = list(names)
    for name in names:
        path = folder / name
        if os.path.lexists(path) and not _is_ours(path, manifest):
            kept = keep_aside(path)
            say(f"{name} was changed or made by somebody else. It is kept as {kept.name}.")
    for name in names:
        hashes = manifest.earlier.setdefault(name, [])
        if manifest.outputs[name] not in hashes:
            hashes.append(manifest.outputs[name])
    manifest.save(folder)
    for name in names:
        move(staged / name, folder / name)


def remove_earlier(folder: Path, manifest: RunManifest) -> list[str]:
    """Remove outputs of earlier runs that this run did not write, and nothing else.

    Returns
    -------
    list of str
        Names of outputs that were changed since they were written. They stay, because they may hold somebody's work.
    """
    changed = []
    for name in manifest.earlier:
        path = folder / name
        if name in manifest.outputs or name in (MANIFEST_NAME, "..") or path.name != name or not os.path.lexists(path):
            continue
        if _is_ours(path, manifest):
            remove(path)
        else:
            changed.append(name)
    manifest.earlier = {}
    return changed


def _is_ours(path: Path, manifest: RunManifest) -> bool:
    """Return whether a file is as a run wrote it."""
    return not path.is_symlink() and sha256_of(path) in manifest.earlier.get(path.name, ())
