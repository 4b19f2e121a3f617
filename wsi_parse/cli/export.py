"""The export command: other formats of the objects of finished runs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from wsi_parse.cli.help import OUTPUT
from wsi_parse.cli.options import FORMAT_HELP, Json, SlideOfRun
from wsi_parse.cli.terminal import messages, say
from wsi_parse.text import RESEARCH_ONLY


def export(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUNS", help="Folders of finished runs.", show_default=False),
    ],
    formats: Annotated[
        list[str],
        typer.Option(
            "--format",
            metavar="NAME",
            rich_help_panel=OUTPUT,
            help=FORMAT_HELP,
        ),
    ],
    gzip: Annotated[
        bool, typer.Option("--gzip", rich_help_panel=OUTPUT, help="Compress the formats that can be compressed.")
    ] = False,
    slide: SlideOfRun = None,
    as_json: Json = False,
) -> None:
    """Write the objects of finished runs in other formats, without predicting again.

    They are read from objects.parquet in the folder of each run, and the files are written beside it. They are the
    ones that the run itself would have written. Formats that refer to the slide need --slide.

    Examples
    --------
    wsi-parse export wsi-parse-out/slide --format csv
        Write a table for spreadsheets.
    wsi-parse export out/* --format geojson --gzip
        Write compressed annotations for all slides of a cohort.
    wsi-parse export wsi-parse-out/slide --format dicom --slide slide.dcm
        Write annotations that refer to the slide.
    """
    from wsi_parse.run.export import export_run

    console = messages(muted=as_json)
    for run in runs:
        written = export_run(run, formats, gzip=gzip, slide=slide)
        if as_json:
            typer.echo(json.dumps({"folder": str(run), "files": [path.name for path in written]}))
        say(console, f"→ {', '.join(map(str, written))}  ({RESEARCH_ONLY})")
