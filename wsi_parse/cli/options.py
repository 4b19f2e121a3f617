"""Options that several commands share: one name has one meaning everywhere."""

from pathlib import Path
from typing import Annotated

import typer

# The metavar of a flag, which takes no value: typer would print its type.
FLAG = ""

OneSlide = Annotated[Path, typer.Argument(metavar="SLIDE", help="A slide file.", show_default=False)]
Prompts = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        "-p",
        metavar="TEXT",
        help='What to look for, for example "nuclei". Repeat the option for several; "all" means everything that '
        "the model knows.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Name of a model; wsi-parse models lists them. Without this option, the best installed model that knows "
        "every prompt is used.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights", metavar="FILE", help="File with weights for the model. Without it, the installed weights are used."
    ),
]
Organ = Annotated[
    str | None,
    typer.Option(
        "--organ", metavar="NAME", help="Organ of the tissue, for models that read words, for example breast or colon."
    ),
]
FieldUm = Annotated[
    float | None,
    typer.Option(
        "--field-um",
        metavar="µm",
        help="Side length of a tile (its field). Smaller fields show finer objects and take longer.",
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder for the results.")]
Mpp = Annotated[
    float | None,
    typer.Option("--mpp", metavar="µm", help="Microns per pixel at level 0, if the file has no pixel size."),
]
OverrideMpp = Annotated[
    bool, typer.Option("--override-mpp", metavar=FLAG, help="Use --mpp even if the file has another pixel size.")
]
Roi = Annotated[
    Path | None,
    typer.Option(
        "--roi", metavar="FILE", help="GeoJSON file with regions of interest. Everything outside them is ignored."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Number of worker processes, or of jobs on a cluster. With 0, threads of this process do the work.",
    ),
]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="YAML file with settings.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change one setting, for example tiles.overlap=0.25; wsi-parse settings lists them all. Repeat the "
        "option for several.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", metavar=FLAG, help="Only show what would be done and how long it would take; write nothing."
    ),
]
Json = Annotated[bool, typer.Option("--json", metavar=FLAG, help="Print JSON instead of tables and text.")]
