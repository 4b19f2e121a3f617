"""The doctor command: what of this machine works for a run, and the command that mends what does not."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from wsi_parse.cli.help import COMPUTE
from wsi_parse.cli.options import Json
from wsi_parse.cli.terminal import messages
from wsi_parse.text import for_terminal

if TYPE_CHECKING:
    from wsi_parse.doctor import Finding

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
_SECONDS = 20.0


def doctor(
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds",
            rich_help_panel=COMPUTE,
            metavar="S",
            min=1.0,
            help="Stop checks that take longer, for example because a file system hangs.",
        ),
    ] = _SECONDS,
    as_json: Json = False,
) -> None:
    """Check this machine: packages, readers, GPU and processor with their speed, weights, folders, Dask, batch systems.

    Nothing is downloaded. A line that begins with fail makes the exit code 1; below it stands what mends it.

    Examples
    --------
    wsi-parse doctor
        See what works, and how fast this machine is.
    wsi-parse doctor --json
        Print it as JSON, for a script or a question to the authors; your home folder is written as ~.
    wsi-parse doctor --seconds 60
        Give a busy machine more time.
    """
    from wsi_parse.doctor import diagnose

    with messages().status("Checking this machine …") as status:
        diagnosis = diagnose(seconds, arrived=lambda name: status.update(f"Checking this machine … {name} is done"))
    if as_json:
        typer.echo(json.dumps(diagnosis.to_dict()))
    else:
        console, group = Console(), ""
        for finding in diagnosis.findings:
            if finding.check != group:
                group = finding.check
                console.print(f"[bold]{group}[/bold]")
            _print(console, finding)
        counts = ", ".join(f"{diagnosis.count(status)} {status}" for status in _COLOURS)
        console.print(f"{counts}; {diagnosis.seconds:.0f} s.", highlight=False)
    if diagnosis.failed:
        raise typer.Exit(1)


def _print(console: Console, finding: "Finding") -> None:
    title = "" if finding.name == finding.check else f"{finding.name}: "
    line = Text.assemble(
        (f"{finding.status:<5}", _COLOURS[finding.status]), (title, "bold"), for_terminal(finding.text)
    )
    wide = not console.is_terminal
    console.print(Padding(line, (0, 0, 0, 2)) if not wide else Text("  ").append_text(line), soft_wrap=wide)
    if finding.remedy:
        console.print(Text(f"       → {for_terminal(finding.remedy)}"), soft_wrap=wide, highlight=False)
