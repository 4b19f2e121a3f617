"""Public files by their address: an interrupted download is resumed, and the bytes are checked against a known hash."""

import logging
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from wsi_parse.errors import DownloadError
from wsi_parse.files import file_sha256
from wsi_parse.models.hub import transfer_failure


@dataclass(frozen=True)
class PublicFile:
    """A file that everybody may download, and what is known of it.

    Parameters
    ----------
    address : str
        URL; its last part is the name of the file.
    bytes : int
    sha256 : str
    """

    address: str
    bytes: int
    sha256: str

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.address.rpartition("/")[2]

    @property
    def server(self) -> str:
        """Name of the server."""
        return urlsplit(self.address).netloc


def is_there(file: PublicFile, path: Path) -> bool:
    """Whether `path` holds exactly these bytes."""
    return path.is_file() and path.stat().st_size == file.bytes and file_sha256(path) == file.sha256


def fetch_public(file: PublicFile, folder: Path) -> Path:
    """Return the path of the file in a folder, and download it if it is not there; the progress is shown on a terminal.

    What an interrupted download left is continued (the hub's library writes pieces of 10 MB, so a smaller file begins
    anew). If the whole has another hash then, it is downloaded once more from the start.

    Raises
    ------
    DownloadError
        If the server cannot be reached or refuses, the folder cannot be written to, or the bytes are not those that are
        known; nothing wrong stays in the folder.
    """
    path = folder / file.name
    if is_there(file, path):
        return path
    part = path.with_name(f"{file.name}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            arrived = part.stat().st_size if part.exists() else 0
            if arrived >= file.bytes:
                part.unlink()
                arrived = 0
            _transfer(file, part, arrived)
            if is_there(file, part):
                part.replace(path)
                return path
            part.unlink()
            if not arrived:
                break
    except Exception as error:
        explanation = transfer_failure(
            error, file.name, file.server, "Check the connection, and run the command again."
        )
        if explanation is None:
            raise
        raise explanation from error
    raise DownloadError(f"{file.name} was damaged in the download and was removed.", "Run the command again.")


def _transfer(file: PublicFile, part: Path, arrived: int) -> None:
    """Append the rest of the file; the hub's library tries again where a connection breaks."""
    from huggingface_hub.file_download import http_get

    library = logging.getLogger("huggingface_hub")
    level = library.level
    # It warns of each attempt; the error that ends the last one says the same.
    library.setLevel(logging.ERROR)
    try:
        with part.open("ab") as opened:
            http_get(file.address, opened, resume_size=arrived, displayed_filename=file.name)
    finally:
        library.setLevel(level)
