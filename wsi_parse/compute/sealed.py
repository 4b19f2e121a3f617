"""SealedFile: an object in a file for the workers; its hash goes with each task and is checked before it is read."""

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsi_parse.errors import StoreError
from wsi_parse.files import atomic, clear_for_file, read_regular


@dataclass(frozen=True)
class SealedFile:
    """A pickle that nobody can exchange unnoticed.

    Unpickling runs code. The file lies in a folder that several machines and perhaps a group share, so that its place
    proves nothing; its hash reaches the workers through the scheduler, as the tasks themselves do. Owners are not
    compared: the numbers of users may differ between machines.

    Parameters
    ----------
    path : Path
        Absolute.
    sha256 : str
    """

    path: Path
    sha256: str

    @classmethod
    def write(cls, path: Path, value: object) -> "SealedFile":
        """Write an object whole or not at all."""
        data = pickle.dumps(value)
        with atomic(clear_for_file(path)) as temporary:
            temporary.write_bytes(data)
        return cls(path, hashlib.sha256(data).hexdigest())

    def load(self) -> Any:  # noqa: ANN401 - what was written
        """Read the object.

        Raises
        ------
        StoreError
            The file is missing, cannot be read, or is not the one that was written; nothing of it is unpickled then.
        """
        remedy = "Run the same command again. Finished work is kept."
        try:
            data = read_regular(self.path)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreError(f"The file {self.path.name} of this run cannot be read: {reason}.", remedy) from error
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise StoreError(f"The file {self.path.name} of this run is not the one that was written for it.", remedy)
        return pickle.loads(data)
