"""PageFiles: the built client, read once; only these files are ever served as files."""

from pathlib import Path

from wsi_parse.errors import UsageError

#: Where the build puts the client.
STATIC = Path(__file__).parent / "static"
_NEEDED = ("index.html", "viewer.js", "viewer.css")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".map": "application/json",
}


def page_files() -> dict[str, tuple[bytes, str]]:
    """Read the files of the client: name -> content and media type.

    Raises
    ------
    UsageError
        They are not there: this installation was made without them.
    """
    folder = STATIC
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise UsageError(
            "This installation has no viewer: its page was not built, because the packages of the page could not be "
            "loaded when wsi-parse was installed.",
            "Build it with `make viewer` in the source of wsi-parse, or install wsi-parse again where the network "
            "reaches npm.",
        )
    return {
        path.name: (path.read_bytes(), _TYPES[path.suffix])
        for path in sorted(folder.iterdir())
        if path.is_file() and path.suffix in _TYPES
    }
