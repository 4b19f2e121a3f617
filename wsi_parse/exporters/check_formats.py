"""Checks, before a run begins, that every requested format can be written."""

from collections.abc import Iterable
from importlib.util import find_spec

from wsi_parse.errors import MissingPackageError
from wsi_parse.registry import EXPORTERS


def check_formats(names: Iterable[str]) -> None:
    """Refuse unknown formats, and formats whose packages are not installed.

    Raises
    ------
    UnknownNameError
        Lists the known formats.
    MissingPackageError
        Says how to install what is missing.
    """
    for name in names:
        kind = EXPORTERS.get(name)
        missing = [package for package in getattr(kind, "packages", ()) if find_spec(package) is None]
        if missing:
            extra = getattr(kind, "extra", "")
            wanted = f'"wsi-parse[{extra}]"' if extra else " ".join(missing)
            raise MissingPackageError(
                f"The format {name} needs {', '.join(missing)}, which is not installed.",
                f"Install it: pip install {wanted}",
            )
