"""The export command: other formats of the objects of finished runs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from wsi_parse.cli.help import OUTPUT, SLIDE
from wsi_parse.cli.options import FORMAT_HELP, Json
from wsi_parse.cli.terminal import messages
from wsi_parse.notice import RESEARCH_ONLY


def export(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUNS", help="Folders of finished runs, such as wsi-parse-out/slide.", show_default=False
        ),
    ],
    formats: Annotated[list[str], typer.Option("--format", metavar="NAME", rich_help_panel=OUTPUT, help=FORMAT_HELP)],
    gzip: Annotated[
        bool, typer.Option("--gzip", rich_help_panel=OUTPUT, help="Compress the formats that allow it.")
    ] = False,
    slide: Annotated[
        Path | None,
        typer.Option(
            "--slide",
            metavar="FILE",
            rich_help_panel=SLIDE,
            help="The slide of the run, for formats that refer to it.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the objects of finished runs in other formats, without predicting again.

    The objects are read from objects.parquet in the folder of each run.

    Examples
    --------
    wsi-parse export wsi-parse-out/slide --format csv
        Write a table for a spreadsheet.
    wsi-parse export out/* --format geojson --gzip
        Write compressed annotations for all slides of a cohort.
    wsi-parse export out/slide --format dicom --slide slide.dcm
        Write a format that refers to the slide.
    """
    from wsi_parse.run.export import export_run

    console = messages(muted=as_json)
    for run in runs:
        written = export_run(run, formats, gzip=gzip, slide=slide)
        if as_json:
            typer.echo(json.dumps({"folder": str(run), "files": [path.name for path in written]}))
        files = ", ".join(map(str, written))
        console.print(f"→ {files}  ({RESEARCH_ONLY})", highlight=False, markup=False, soft_wrap=True)
