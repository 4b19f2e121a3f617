"""The export command: other formats of the objects of finished runs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from wsi_parse.cli.options import FLAG, Json
from wsi_parse.notice import RESEARCH_ONLY


def export(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUNS", help="Folders of finished runs, such as wsi-parse-out/slide.", show_default=False
        ),
    ],
    formats: Annotated[
        list[str],
        typer.Option("--format", metavar="NAME", help="Format to write. Repeat the option for several."),
    ],
    gzip: Annotated[bool, typer.Option("--gzip", metavar=FLAG, help="Compress the formats that allow it.")] = False,
    slide: Annotated[
        Path | None,
        typer.Option("--slide", metavar="FILE", help="The slide of the run, for formats that refer to it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the objects of finished runs in other formats, without predicting again.

    The objects are read from objects.parquet in the folder of each run.
    """
    from wsi_parse.run.export import export_run

    for run in runs:
        written = export_run(run, formats, gzip=gzip, slide=slide)
        if as_json:
            typer.echo(json.dumps({"folder": str(run), "files": [path.name for path in written]}))
        else:
            typer.echo(f"→ {', '.join(map(str, written))}  ({RESEARCH_ONLY})", err=True)
