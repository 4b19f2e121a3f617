"""The schema command: the JSON Schema of run.json."""

import json
from pathlib import Path
from typing import Annotated

import typer


def schema(
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="File to write. Without it, the schema is printed."),
    ] = None,
) -> None:
    """Print the JSON Schema of run.json, the manifest of a run.

    Programs that read run.json can check it with this schema, or generate types from it.
    """
    from wsi_parse.files import write_text
    from wsi_parse.run.manifest import manifest_schema

    text = json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        typer.echo(text.encode(), nl=False)
    else:
        write_text(out, text)
