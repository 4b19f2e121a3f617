"""run.json of a folder of results, as it stands."""

import json
import stat
from pathlib import Path
from typing import Any

from wsi_parse.errors import ManifestError

# The manifest of a run, in the folder of its results; it is the last file that is written.
MANIFEST_NAME = "run.json"
#: Of the manifest; it grows when an older reader would misunderstand it, not when a field is added.
SCHEMA_VERSION = 2
# A manifest takes some 10 kB.
_MAX_MANIFEST_BYTES = 50_000_000


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read run.json of a folder as it stands; None only where there is no such file.

    Raises
    ------
    ManifestError
        Where it is not JSON of a run, or was written by a newer version: what the folder holds is not known then.
    """
    path = folder / MANIFEST_NAME
    try:
        if not stat.S_ISREG((status := path.stat()).st_mode):
            raise manifest_error(folder, "it is not a file")
        if status.st_size > _MAX_MANIFEST_BYTES:
            raise manifest_error(folder, "it is too large")
        values = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise manifest_error(folder, error.strerror or str(error)) from error
    except ManifestError:
        raise
    except (ValueError, RecursionError) as error:
        raise manifest_error(folder, "it is not JSON") from error
    if not isinstance(values, dict):
        raise manifest_error(folder, "it does not describe a run")
    # The first version had no number.
    schema = values.get("schema_version", 1)
    if type(schema) is not int or schema < 1:
        raise manifest_error(folder, "schema_version is not a positive whole number")
    if schema > SCHEMA_VERSION:
        raise ManifestError(
            f"{MANIFEST_NAME} in {folder} was written by a newer version of wsi-parse (schema {schema}; this one reads "
            f"up to {SCHEMA_VERSION}).",
            "Update wsi-parse, choose another folder with --out, or remove that file.",
        )
    return values


def manifest_error(folder: Path, reason: str) -> ManifestError:
    """Build the error for a manifest that cannot be read."""
    return ManifestError(
        f"{MANIFEST_NAME} in {folder} cannot be read: {reason}.",
        "Choose another folder with --out, or remove that file.",
    )
