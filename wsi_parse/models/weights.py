"""Weights of a model: where the file is, its hash, and whether it still is what was installed."""

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from wsi_parse.errors import WeightsError
from wsi_parse.files import file_sha256, write_text
from wsi_parse.gates import check_input

CACHE_VARIABLE = "WSI_PARSE_CACHE"
_FILE = "weights.safetensors"
_CARD = "weights.json"


@dataclass(frozen=True)
class Weights:
    """A file of weights.

    Parameters
    ----------
    path : Path
    sha256 : str
        Of the file.
    revision : str or None
        Of the repository it came from, if known.
    """

    path: Path
    sha256: str
    revision: str | None = None

    @classmethod
    def of_file(cls, path: Path) -> "Weights":
        """Describe any file of weights.

        Raises
        ------
        WeightsError
            If it cannot be read.
        """
        check_input(path, "a file of weights", error=WeightsError)
        try:
            status = path.stat()
            return cls(path.absolute(), _hash_of(path.absolute(), status.st_size, status.st_mtime_ns))
        except OSError as error:
            raise _unreadable(path, error) from error

    @property
    def folder(self) -> Path:
        """The folder of the file, and of other files that came with it."""
        return self.path.parent

    def check(self) -> None:
        """Hash the file again.

        Raises
        ------
        WeightsError
            If it has changed.
        """
        if Weights.of_file(self.path).sha256 != self.sha256:
            raise WeightsError(
                f"The weights {self.path.name} have changed since the run was planned.",
                "Install them again, or run the same command again.",
            )


def require_readable(path: Path) -> None:
    """Open a file and close it again: safetensors calls a file missing that may not be read.

    Raises
    ------
    WeightsError
        Where it cannot be opened; says why.
    """
    check_input(path, "a file of weights", error=WeightsError)
    try:
        path.open("rb").close()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> WeightsError:
    return WeightsError(f"The weights {path.name} cannot be read: {error.strerror or error}.", "Check --weights.")


def cache_folder() -> Path:
    """Return the folder of downloaded models: `WSI_PARSE_CACHE`, else the user's cache folder."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    import platformdirs

    return platformdirs.user_cache_path("wsi-parse", appauthor=False)


def model_folder(name: str) -> Path:
    """Return the folder of one model in the cache."""
    return cache_folder() / "models" / name


def installed(name: str) -> Weights:
    """Find installed weights by the card beside them; the file is not read.

    Raises
    ------
    WeightsError
        If they are not installed, or incomplete.
    """
    folder = model_folder(name)
    remedy = f"Get them: wsi-parse models get {name}"
    card = read_card(name)
    if card is None:
        raise WeightsError(f"The weights of {name} are not installed.", remedy)
    try:
        complete = (folder / _FILE).stat().st_size == card["bytes"]
        weights = Weights(folder / _FILE, str(card["sha256"]), card.get("revision"))
    except PermissionError as error:
        raise _refused(name, error) from error
    except (OSError, KeyError) as error:
        # Without the text of the error, which holds the path of a user's home.
        raise WeightsError(f"The installed weights of {name} are damaged.", remedy) from error
    if not complete:
        raise WeightsError(f"The installed weights of {name} are incomplete.", remedy)
    return weights


def read_card(name: str) -> dict[str, Any] | None:
    """Read the card of installed weights (source, revision, licence, hashes); None if there is none.

    Raises
    ------
    WeightsError
        If the system refuses to read it.
    """
    try:
        card = json.loads((model_folder(name) / _CARD).read_text(encoding="utf-8"))
    except PermissionError as error:
        raise _refused(name, error) from error
    except (OSError, ValueError):
        return None
    return card if isinstance(card, dict) else None


def _refused(name: str, error: OSError) -> WeightsError:
    return WeightsError(
        f"The installed weights of {name} cannot be read: {error.strerror}.",
        f"Get permission to read them, or set {CACHE_VARIABLE} to a folder of your own.",
    )


def weights_path(name: str) -> Path:
    """Return the path for the weights of a model; :func:`write_card` then declares them installed."""
    return model_folder(name) / _FILE


def write_card(name: str, facts: dict[str, Any]) -> Weights:
    """Declare the weights installed: the last step of an installation.

    Parameters
    ----------
    name : str
    facts : dict
        Source, revision, licence, purpose, for JSON. Size and hash are added.
    """
    path = weights_path(name)
    weights = Weights.of_file(path)
    card = {**facts, "sha256": weights.sha256, "bytes": path.stat().st_size}
    write_text(path.with_name(_CARD), json.dumps(card, indent=2) + "\n")
    return Weights(path, weights.sha256, facts.get("revision"))


def forget(name: str) -> None:
    """Remove the card, so that the weights no longer count as installed."""
    (model_folder(name) / _CARD).unlink(missing_ok=True)


@lru_cache(maxsize=8)
def _hash_of(path: Path, size: int, changed_ns: int) -> str:
    del size, changed_ns
    return file_sha256(path)
