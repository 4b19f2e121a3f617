"""Whether every format that is asked for can be written, said before a run begins."""

from collections.abc import Iterable
from importlib.util import find_spec

from wsi_parse.errors import MissingPackageError
from wsi_parse.registry import EXPORTERS


def check_formats(names: Iterable[str]) -> None:
    """Refuse formats that nobody knows, or whose packages are not installed.

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
                f"The format {name} needs {', '.join(missing)}, not installed here.", f"pip install {wanted}"
            )
