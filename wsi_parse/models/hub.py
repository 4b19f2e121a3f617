"""Files of a gated repository on the Hugging Face hub; every kind of failure has its own message.

The token of the user is taken from `HF_TOKEN`, or from `hf auth login`. `HF_ENDPOINT` names another hub.
"""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsi_parse.errors import DownloadError, MissingFileError
from wsi_parse.files import file_sha256


@dataclass(frozen=True)
class RemoteFile:
    """A file of the hub, before it is downloaded.

    Parameters
    ----------
    repository, name : str
    revision : str
        Commit.
    bytes : int
    sha256 : str or None
        If the hub states it (it does for large files).
    """

    repository: str
    name: str
    revision: str
    bytes: int
    sha256: str | None


def look_up(repository: str, name: str, revision: str) -> RemoteFile:
    """Request size, hash and commit of a file.

    Raises
    ------
    DownloadError
        If there is no token, the token is refused, the conditions are not accepted, the file does not exist, or the hub
        cannot be reached.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    with explain_errors(repository, name):
        facts = get_hf_file_metadata(hf_hub_url(repository, name, revision=revision))
    if facts.size is None or facts.commit_hash is None:
        raise DownloadError(f"Hugging Face does not state the size or revision of {name}.", "Try again later.")
    etag = facts.etag or ""
    return RemoteFile(repository, name, facts.commit_hash, facts.size, etag if len(etag) == _SHA256_DIGITS else None)


_SHA256_DIGITS = 64


def fetch(file: RemoteFile, folder: Path, *, spare_bytes: int = 0) -> Path:
    """Download a file, resuming an interrupted download.

    Parameters
    ----------
    file : RemoteFile
    folder : Path
    spare_bytes : int
        Disk space that must be free besides the file.

    Raises
    ------
    DownloadError
        As in :func:`look_up`; also if the disk is full, or the file differs from what the hub states.
    """
    from huggingface_hub import hf_hub_download

    arrived = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free, needed = shutil.disk_usage(folder).free, max(0, file.bytes - arrived) + spare_bytes
    if free < needed:
        raise no_space(f"{needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free in {folder}.")
    with explain_errors(file.repository, file.name):
        path = Path(hf_hub_download(file.repository, file.name, revision=file.revision, local_dir=folder))
    if path.stat().st_size != file.bytes or (file.sha256 and file_sha256(path) != file.sha256):
        path.unlink()
        raise DownloadError(f"{file.name} was damaged in the download and was removed.", "Run the command again.")
    return path


@contextmanager
def explain_errors(repository: str, name: str) -> Iterator[None]:
    """Convert errors of the hub's library to one sentence and a remedy."""
    try:
        yield
    except Exception as error:
        explanation = (
            _refusal(error, repository)
            or _absence(error, repository, name)
            or transfer_failure(error, name, "Hugging Face", _DOWNLOAD_ELSEWHERE)
        )
        if explanation is None:
            raise
        raise explanation from error


def _refusal(error: Exception, repository: str) -> DownloadError | None:
    """Explain an error if the hub refuses the file to this user."""
    from huggingface_hub import errors

    page = f"{_HUB}/{repository}"
    token = f"Create a token at {_HUB}/settings/tokens, run hf auth login, and accept the conditions at {page}."
    if isinstance(error, errors.GatedRepoError):
        if _status(error) == _UNAUTHORISED:
            return DownloadError(f"{repository} needs a token of Hugging Face, and no valid one was sent.", token)
        return DownloadError(
            f"Your account has not accepted the conditions of {repository}, or waits for approval.",
            f"Accept them at {page}, then run the command again.",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return DownloadError(f"Hugging Face does not show {repository}: there is no token, or it is not valid.", token)
    if isinstance(error, errors.HfHubHTTPError) and _status(error) in {_UNAUTHORISED, _FORBIDDEN}:
        return DownloadError(
            f"Hugging Face refuses your token: {_first(error)}.",
            f"Use a token with read access to gated repositories. {token}",
        )
    return None


def _absence(error: Exception, repository: str, name: str) -> DownloadError | None:
    """Explain an error if the hub cannot be reached, or does not have the file."""
    from huggingface_hub import errors

    check = "Check --revision, or leave it out."
    if isinstance(error, errors.RevisionNotFoundError):
        return DownloadError(f"{repository} does not have this revision.", check)
    if isinstance(error, errors.OfflineModeIsEnabled | errors.LocalEntryNotFoundError):
        return DownloadError(f"Hugging Face cannot be reached to download {name}.", _DOWNLOAD_ELSEWHERE)
    if isinstance(error, errors.EntryNotFoundError):
        return MissingFileError(f"{repository} does not have the file {name}.", check)
    return None


def transfer_failure(error: Exception, name: str, server: str, remedy: str) -> DownloadError | None:
    """Explain an error of the network or the disk; None for other errors.

    Parameters
    ----------
    error : Exception
        Of the hub's library, whichever server it asked.
    name : str
        Of the file.
    server : str
        As it is called in the sentence.
    remedy : str
        What to do if the server cannot be reached.
    """
    from huggingface_hub import errors

    if isinstance(error, errors.HfHubHTTPError):
        return DownloadError(f"{server} answered with an error: {_first(error)}.", "Try again later.")
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return no_space("The disk is full.")
    # The hub's library passes on errors of its HTTP client, which changes between versions.
    if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _HTTP_CLIENTS:
        return DownloadError(f"{server} cannot be reached to download {name}: {_first(error)}.", remedy)
    return None


_HUB = "https://huggingface.co"
_DOWNLOAD_ELSEWHERE = "Check the connection, or download it on another machine and use --from FILE."
_UNAUTHORISED, _FORBIDDEN = 401, 403
_HTTP_CLIENTS = {"httpcore", "httpcore2", "httpx", "httpx2", "requests", "urllib3"}


def no_space(reason: str) -> DownloadError:
    """Return the error of a full disk."""
    return DownloadError(reason, "Free some space, or set WSI_PARSE_CACHE to another folder.")


def _status(error: Any) -> int | None:  # noqa: ANN401 - of several libraries
    return getattr(getattr(error, "response", None), "status_code", None)


def _first(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200].rstrip(".")
