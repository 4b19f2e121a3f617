"""Dask reads its settings files when it is imported: one that is not valid must not look like an error of ours."""

import os
import re
from pathlib import Path

from wsi_parse.errors import UsageError


def import_dask() -> None:
    """Import Dask for the first time.

    Raises
    ------
    UsageError
        Its settings cannot be read; the file is named where there is one.
    """
    try:
        import dask  # noqa: F401 - what is imported after it relies on its settings
    except ImportError:
        raise
    except Exception as error:
        found = re.search("file at '([^']+)'", str(error))
        folder = os.environ.get("DASK_CONFIG")
        if found is None:
            raise UsageError(
                f"The settings of Dask in the variables of the environment cannot be read: {_in_a_line(error)}.",
                "Correct or unset those whose names begin with DASK_.",
            ) from error
        is_named = folder is not None and Path(found[1]).absolute().is_relative_to(Path(folder).absolute())
        raise UsageError(
            f"The settings file of Dask {found[1]} cannot be read: {_in_a_line(error)}.",
            "Correct the file, or unset DASK_CONFIG." if is_named else "Correct the file, or rename it.",
        ) from error


def _in_a_line(error: Exception) -> str:
    """Return what Dask says of the content, without the name of the file."""
    text = re.split("original error message:|is malformed - ", " ".join(str(error).split()))[-1]
    return text.strip(" ^").rstrip(".")[:200]
