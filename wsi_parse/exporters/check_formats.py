"""Checks, before a run begins, that every requested format can be written."""

from collections.abc import Iterable
from importlib.util import find_spec

from wsi_parse.errors import MissingPackageError, UnknownNameError
from wsi_parse.exporters.base import Exporter
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
        if name not in EXPORTERS:
            raise UnknownNameError.of("format", name, EXPORTERS.names())
        kind: type[Exporter] = EXPORTERS.get(name)
        missing = [package for package in kind.packages if find_spec(package) is None]
        if missing:
            wanted = f'"wsi-parse[{kind.extra}]"' if kind.extra else " ".join(missing)
            raise MissingPackageError(
                f"The format {name} needs {', '.join(missing)}, which is not installed.",
                f"Install it: pip install {wanted}",
            )
