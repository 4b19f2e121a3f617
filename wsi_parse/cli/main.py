"""The program wsi-parse: its commands, and how it ends.

Libraries are imported when a command runs, so that --help answers at once.
"""

import atexit
import gc
import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer

from wsi_parse._version import __version__
from wsi_parse.cli import terminal
from wsi_parse.cli.check import check
from wsi_parse.cli.cite import cite
from wsi_parse.cli.cohort import cohort
from wsi_parse.cli.common import add_command, with_common
from wsi_parse.cli.demo import demo
from wsi_parse.cli.doctor import doctor
from wsi_parse.cli.evaluate import evaluate
from wsi_parse.cli.export import export
from wsi_parse.cli.help import GENERAL, CommandGroup
from wsi_parse.cli.info import info
from wsi_parse.cli.mistakes import check_command
from wsi_parse.cli.models import models
from wsi_parse.cli.preview import preview
from wsi_parse.cli.run import RESULTS, run
from wsi_parse.cli.schema import schema
from wsi_parse.cli.settings import settings
from wsi_parse.cli.view import view
from wsi_parse.errors import UsageError, WsiParseError

# New objects before the youngest are looked through, collections of those before the middle ones are, and of those
# before all are: Python's own default, 700, 10 and 10, is for less than importing the packages of a run.
_COLLECTIONS = (10_000, 10, 50)


class DefaultToRun(CommandGroup):
    """`wsi-parse SLIDE …` means `wsi-parse run SLIDE …`."""

    default = "run"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's context
        """Refuse a mistyped command, which would be taken for a slide."""
        if not ctx.resilient_parsing:
            terminal.reset()
            first = self.first_word(ctx, args)
            if first < len(args) and args[first] not in self.commands:
                check_command(args[first], self.commands)
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=DefaultToRun,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=RESULTS,
)
# A command is a function in a module of its own: the signature has its options, the ten that matter most first; the
# docstring has its help and three examples.
for command in (run, preview, info, cohort, view, export, check, evaluate, cite, settings, schema, demo, doctor):
    add_command(app, command)
app.add_typer(models, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wsi-parse {__version__}")
        raise typer.Exit


@app.callback()
@with_common
def top(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, rich_help_panel=GENERAL, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Find the objects that you name in a slide, and write them as polygons for QuPath.

    Without the name of a command, run is used; wsi-parse run --help shows its options.

    Examples
    --------
    wsi-parse slide.svs --prompt nuclei
        Find the nuclei of a slide; the same as wsi-parse run slide.svs --prompt nuclei.
    wsi-parse demo
        Make a slide with known cells, and find them.
    wsi-parse cohort slides.csv -o out --prompt nuclei
        Process hundreds of slides, and write one table.
    """


def main() -> None:
    """Run the command line: an error is one line with a remedy, exit code 2 for a wrong call, 1 for a failure."""
    # Python would look through all that is left, again and again, before the system takes it back.
    atexit.register(gc.freeze)
    # And while it imports modules, of which hardly anything ever becomes garbage.
    gc.set_threshold(*_COLLECTIONS)
    for name in ("stdout", "stderr"):
        # Whoever started us may have closed it.
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the process ends
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal or a file that cannot show µ or → gets a question mark.
            stream.reconfigure(errors="replace")
    try:
        try:
            app(prog_name="wsi-parse")
        finally:
            sys.stdout.flush()
    except WsiParseError as error:
        terminal.show_error(error)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        # Before a command began.
        sys.exit(130)
    except BrokenPipeError:
        # Who read our output has closed it, such as `head`.
        _drop_output()
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - its traceback goes to a file
        terminal.show_error(error)
        _drop_output()
        sys.exit(1)


def _drop_output() -> None:
    """Let what is still buffered go nowhere, so that Python does not fail once more when it ends."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        return
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
