"""The program wsi-parse: its commands, and how it ends.

Libraries are imported when a command runs, so that --help answers at once.
"""

import sys
from inspect import cleandoc
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from wsi_parse._version import __version__
from wsi_parse.cli.check import check
from wsi_parse.cli.cohort import cohort
from wsi_parse.cli.demo import demo
from wsi_parse.cli.evaluate import evaluate
from wsi_parse.cli.export import export
from wsi_parse.cli.info import info
from wsi_parse.cli.models import models
from wsi_parse.cli.options import FLAG
from wsi_parse.cli.preview import preview
from wsi_parse.cli.run import RESULTS, run
from wsi_parse.cli.schema import schema
from wsi_parse.cli.settings import settings
from wsi_parse.errors import UsageError, WsiParseError

_HELP = ["-h", "--help"]


class DefaultToRun(TyperGroup):
    """`wsi-parse SLIDE …` means `wsi-parse run SLIDE …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's context
        """Put "run" in front of anything that is not a command."""
        if args and args[0] not in {*self.commands, *_HELP, "--version"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


def _paragraphs(text: str) -> str:
    """Return a docstring with one line a paragraph: typer would keep the line breaks of the source."""
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in cleandoc(text).split("\n\n"))


app = typer.Typer(
    cls=DefaultToRun,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": _HELP},
    help="""Find the objects that you name in a slide, and write them as polygons for QuPath.

    wsi-parse SLIDE --prompt "nuclei"

    Without the name of a command, run is used; wsi-parse run --help shows its options.""",
    epilog=RESULTS,
)
app.command(epilog=RESULTS)(run)
for command in (preview, info, cohort, export, check, evaluate, settings, schema, demo):
    app.command(help=_paragraphs(command.__doc__ or ""))(command)
app.add_typer(models, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wsi-parse {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, metavar=FLAG, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line: an error is one line with a remedy, exit code 2 for a wrong call, 1 for a failure."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal or a file that cannot show µ or → gets a question mark.
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="wsi-parse")
    except WsiParseError as error:
        typer.echo(f"wsi-parse: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        typer.echo("wsi-parse: interrupted.", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
