"""What every command has: -h, --help-all, -q, -v and --traceback, and an end in words when it is interrupted."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from wsi_parse.cli import terminal
from wsi_parse.cli.help import GENERAL, Command, show_all
from wsi_parse.cli.signals import as_interrupts, exit_code


def _help_all(context: typer.Context, wanted: bool) -> None:
    if wanted:
        typer.echo(show_all(context))
        raise typer.Exit


_HelpAll = Annotated[
    bool,
    typer.Option(
        "--help-all",
        callback=_help_all,
        is_eager=True,
        expose_value=False,
        rich_help_panel=GENERAL,
        help="Show all options and exit.",
    ),
]
_Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", rich_help_panel=GENERAL, help="Show nothing but errors and what goes to standard output."
    ),
]
_Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, rich_help_panel=GENERAL, help="Show what is done; -vv shows more of it."
    ),
]
_Traceback = Annotated[
    bool,
    typer.Option("--traceback", rich_help_panel=GENERAL, help="Show for each error where in the program it arose."),
]
_COMMON: dict[str, tuple[Any, Any]] = {
    "help_all": (_HelpAll, False),
    "quiet": (_Quiet, False),
    "verbose": (_Verbose, 0),
    "traceback": (_Traceback, False),
}


def add_command(app: typer.Typer, function: Callable[..., Any], name: str | None = None) -> None:
    """Add a function to a program, as a command with our help and the options that all commands have."""
    app.command(name, cls=Command)(with_common(function))


def with_common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command with the options that all commands have."""

    @wraps(function)
    def command(
        *given: Any,  # noqa: ANN401
        help_all: bool = False,
        quiet: bool = False,
        verbose: int = 0,
        traceback: bool = False,
        **named: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        del help_all
        terminal.configure(quiet=quiet, verbose=verbose, traceback=traceback)
        with as_interrupts():
            try:
                return function(*given, **named)
            except KeyboardInterrupt as error:
                typer.echo("wsi-parse: interrupted.", err=True)
                raise typer.Exit(exit_code(error)) from None
            finally:
                terminal.tell_kept()

    own = inspect.signature(function)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _COMMON.items()
    ]
    command.__signature__ = own.replace(parameters=[*own.parameters.values(), *added])  # type: ignore[attr-defined]
    command.__annotations__ = function.__annotations__ | {name: kind for name, (kind, _) in _COMMON.items()}
    return command
