"""The folders that runs write to: whether they are writable, how much is free, and whether they lie on a network."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from wsi_parse.doctor.finding import Finding, bytes_in_words
from wsi_parse.files import try_writing
from wsi_parse.models.weights import CACHE_VARIABLE, cache_folder

_NETWORK = {
    *("9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs", "fuse.s3fs", "glusterfs"),
    *("gpfs", "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "panfs", "pvfs2", "smb", "smb2", "smb3", "smbfs", "wekafs"),
}
_MEMORY = {"ramfs", "tmpfs"}
_LOCK_SECONDS = 3.0
# Less than this is not enough for the maps of a large slide, or for its results.
_ENOUGH_BYTES, _LEAST_BYTES = 5e9, 2e8


def check_storage(check: str) -> Iterator[Finding]:
    """Look at each folder; one that hangs ends the check, after those that answered."""
    scratch = "set TMPDIR to a folder on a local disk"
    yield _folder(check, "scratch", Path(tempfile.gettempdir()), tempfile.gettempdir(), scratch)
    yield _folder(
        check, "cache of models", cache_folder(), str(cache_folder()), f"set {CACHE_VARIABLE} to another folder"
    )
    # Its name may be that of a patient or a project; who asks knows it.
    yield _folder(check, "current folder", Path.cwd(), "the current folder", "write results elsewhere, with -o FOLDER")


def _folder(check: str, name: str, folder: Path, shown: str, remedy: str) -> Finding:
    """Try what a run does in a folder, or in the nearest one above that is there."""
    there = next(path for path in (folder, *folder.parents) if path.is_dir())
    free, system = shutil.disk_usage(there).free, file_system(there)
    facts: dict[str, Any] = {"free_bytes": free, "file_system": system, "network": system in _NETWORK}
    where = f"file system {system}{', on the network' if system in _NETWORK else ''}"
    text = f"{shown}: writable, {bytes_in_words(free)} free, {where}"
    try:
        try_writing(there)
        facts["locks"] = _locks_work(there)
    except OSError as error:
        return Finding(check, name, "fail", f"{shown} is not writable: {error.strerror or error}.", remedy, facts)
    if free < _LEAST_BYTES:
        return Finding(check, name, "fail", f"{text}: too little for any run.", f"free some space, or {remedy}", facts)
    if not facts["locks"]:
        text += "; files cannot be locked there, so two runs could write into one folder"
        return Finding(check, name, "warn", f"{text}.", remedy, facts)
    if free < _ENOUGH_BYTES:
        return Finding(
            check, name, "warn", f"{text}: little for a large slide.", f"free some space, or {remedy}", facts
        )
    if name == "scratch" and system in _NETWORK | _MEMORY:
        reason = "it takes memory" if system in _MEMORY else "it is slower than a disk of this machine"
        return Finding(check, name, "warn", f"{text}; {reason}.", remedy, facts)
    return Finding(check, name, "ok", f"{text}.", facts=facts)


def file_system(folder: Path) -> str:
    """Return the kind of the file system of a folder, such as ext4 or nfs4; "unknown" where the system does not say."""
    real = folder.resolve()
    mounts = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    kind = next((mounts[path] for path in (real, *real.parents) if path in mounts), "")
    return kind.lower() or "unknown"


def _locks_work(folder: Path) -> bool:
    """Return whether a file can be locked there: some network file systems are mounted without."""
    handle, name = tempfile.mkstemp(prefix=".wsi-parse-lock-", dir=folder)
    os.close(handle)
    try:
        with FileLock(name, timeout=_LOCK_SECONDS):
            return True
    except (Timeout, OSError, NotImplementedError):
        return False
    finally:
        Path(name).unlink(missing_ok=True)
