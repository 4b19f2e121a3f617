"""Options that several commands share: one name has one meaning everywhere."""

from pathlib import Path
from typing import Annotated

import typer

from wsi_parse.cli.help import COMPUTE, MODEL, OBJECTS, OUTPUT, SETTINGS, SLIDE

OneSlide = Annotated[Path, typer.Argument(metavar="SLIDE", help="A slide file.", show_default=False)]
SlideOfRun = Annotated[
    Path | None,
    typer.Option("--slide", metavar="FILE", rich_help_panel=SLIDE, help="The slide that the run was made from."),
]
Prompts = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        "-p",
        metavar="TEXT",
        rich_help_panel=OBJECTS,
        help='What to look for, such as "neoplastic cells", in quotes. Repeat the option for several; all: everything '
        "that the model knows.",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        metavar="P",
        rich_help_panel=OBJECTS,
        show_default="0.5",
        help="Probability at which outlines are drawn, from 0 to 1.",
    ),
]
CellExpansion = Annotated[
    float | None,
    typer.Option(
        "--cell-expansion",
        metavar="µm",
        rich_help_panel=OBJECTS,
        help="Grow each nucleus by this distance to make a cell.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        rich_help_panel=MODEL,
        help="Name of a model; wsi-parse models lists them. Without it, the best installed model that knows every "
        "prompt.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        rich_help_panel=MODEL,
        help="File with weights for the model. Without it, the installed weights are used.",
    ),
]
Organ = Annotated[
    str | None,
    typer.Option(
        "--organ",
        metavar="NAME",
        rich_help_panel=MODEL,
        help="Organ of the tissue, for example breast or colon. Models that read words read it; for others, it may "
        "decide when a class is sure.",
    ),
]
FieldUm = Annotated[
    float | None,
    typer.Option(
        "--field-um",
        metavar="µm",
        rich_help_panel=MODEL,
        help="Side length of a tile (its field). Smaller fields show finer objects and take longer.",
    ),
]
Mpp = Annotated[
    float | None,
    typer.Option(
        "--mpp",
        metavar="µm",
        rich_help_panel=SLIDE,
        help="Microns per pixel at level 0, if the file has no pixel size.",
    ),
]
OverrideMpp = Annotated[
    bool,
    typer.Option("--override-mpp", rich_help_panel=SLIDE, help="Use --mpp even if the file has another pixel size."),
]
Roi = Annotated[
    Path | None,
    typer.Option(
        "--roi",
        metavar="FILE",
        rich_help_panel=SLIDE,
        help="GeoJSON file with regions of interest. Everything outside them is ignored.",
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="TEXT",
        rich_help_panel=SLIDE,
        help="Name of the slide in all outputs, if its file name must not appear there. For several slides it "
        "contains {id}, which stands for the name of the slide's folder.",
    ),
]
Out = Annotated[
    Path, typer.Option("--out", "-o", metavar="FOLDER", rich_help_panel=OUTPUT, help="Folder for the results.")
]
# The help puts in the names of what is registered: see help.filled_in.
FORMAT_HELP = "Output format: {formats}. Repeat the option for several."
Formats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        metavar="NAME",
        rich_help_panel=OUTPUT,
        show_default="geojson and parquet",
        help=FORMAT_HELP,
    ),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(
        "--keep",
        metavar="WHAT",
        rich_help_panel=OUTPUT,
        help="predictions: keep the maps of the model, so that another threshold or size later takes seconds.",
    ),
]
CoordinateFrame = Annotated[
    str | None,
    typer.Option(
        "--frame",
        metavar="NAME",
        rich_help_panel=OUTPUT,
        help="Where coordinates start: qupath (at the slide's bounds, as in QuPath) or level0 (at the corner of "
        "level 0).",
    ),
]
Json = Annotated[bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print JSON instead of tables and text.")]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        rich_help_panel=COMPUTE,
        help="Only check everything, and show what would be done and how long it would take; write nothing.",
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict", rich_help_panel=COMPUTE, help="End with exit code 1 if there is any caution about the results."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        rich_help_panel=COMPUTE,
        help="Number of worker processes, or of jobs on a cluster. With 0, threads of this process do the work.",
    ),
]
ShareGroup = Annotated[
    bool,
    typer.Option(
        "--share-group",
        rich_help_panel=COMPUTE,
        help="Let the group of the output folder continue the work too. Without it, only you can.",
    ),
]
ClusterName = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="NAME",
        rich_help_panel=COMPUTE,
        help="Where the work is done: {clusters}, or the address of a Dask scheduler, tcp://HOST:PORT.",
    ),
]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", rich_help_panel=SETTINGS, help="YAML file with settings.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        rich_help_panel=SETTINGS,
        help="Change any setting, for example tiles.overlap=0.25; wsi-parse settings lists them all. Repeat the "
        "option for several.",
    ),
]
