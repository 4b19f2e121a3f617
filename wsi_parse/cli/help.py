"""The help of a command: what it does, the options that matter first, in panels, and examples; --help-all shows all."""

import inspect
import sys
from collections.abc import Iterable
from inspect import cleandoc
from pathlib import Path
from typing import Any, ClassVar, get_args

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from wsi_parse.cli.mistakes import check_numbers, check_quotes, check_values
from wsi_parse.registry import CLUSTERS, EXPORTERS

#: Panels of options, in this order; the last one is in every command.
OBJECTS, MODEL, SLIDE, OUTPUT, COMPUTE = "Objects", "Model", "Slide", "Output", "Compute"
SETTINGS, GENERAL = "Any other setting", "Help and messages"
#: The first options of a command's signature are shown, the others by --help-all only.
MAX_SHOWN = 10
_PANELS = (OBJECTS, MODEL, SLIDE, OUTPUT, COMPUTE, SETTINGS)
_EXAMPLES = "\n\nExamples\n--------\n"
_ALL = "wsi_parse.help_all"


def show_all(context: Any) -> str:  # noqa: ANN401 - click's context
    """Return the help of a command with all options."""
    context.meta[_ALL] = True
    return str(context.get_help())


def split_help(docstring: str | None) -> tuple[str, str]:
    """Split the docstring of a command into its help and its examples: a command, then what it does, indented."""
    text, _, examples = cleandoc(docstring or "").partition(_EXAMPLES)
    return text, examples


class _Help:
    """Formats the help of a command or a group; a part of both classes."""

    def get_usage(self: Any, ctx: Any) -> str:  # noqa: ANN401 - click's types
        """Return the line that shows how the command is called, also above an error."""
        arguments = [_name(one) for one in self.get_params(ctx) if one.param_type_name == "argument"]
        after = ["COMMAND …"] if isinstance(self, TyperGroup) else arguments
        return f"Usage: {' '.join((ctx.command_path, *after, '[OPTIONS]'))}"

    def format_help(self: Any, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - click's types
        """Write the help."""
        console = Console(highlight=False)
        with console.capture() as captured:
            console.print(Group(*_help(self, ctx)))
        text = "\n".join(line.rstrip() for line in captured.get().rstrip().splitlines()) + "\n"
        # Click would write UTF-8 to a terminal that says it reads ASCII.
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        formatter.write(text.encode(encoding, "replace").decode(encoding))


class Command(_Help, TyperCommand):
    """A command with our help, that notices a prompt without quotes and an option without its value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's context
        """Parse the arguments."""
        if not ctx.resilient_parsing:
            self._check(ctx, args)
        return super().parse_args(ctx, args)

    def _check(self, ctx: Any, args: list[str]) -> None:  # noqa: ANN401 - click's context
        options = [parameter for parameter in self.get_params(ctx) if parameter.param_type_name == "option"]
        names = {name for one in options for name in (*one.opts, *one.secondary_opts)}
        flags = {
            name
            for one in options
            if getattr(one, "is_flag", False) or getattr(one, "count", False)
            for name in one.opts
        }
        check_values(args, names - flags, names)
        kinds = {name: self._kinds.get(str(one.name), ()) for one in options for name in one.opts}
        check_numbers(args, {name: int in kind for name, kind in kinds.items() if {int, float} & set(kind)})
        # Where the argument is the name of a model, a word beside a prompt is no slide.
        arguments = {parameter.name for parameter in self.params if parameter.param_type_name == "argument"}
        if "--prompt" in names and arguments & {"slide", "slides"}:
            check_quotes(args)

    @property
    def _kinds(self) -> dict[str, tuple[type, ...]]:
        """The types that the value of each option may have, by the signature of the command's function."""
        if self.callback is None:
            return {}
        found = {}
        for name, parameter in inspect.signature(self.callback).parameters.items():
            kind = get_args(parameter.annotation)[:1] or (parameter.annotation,)
            found[name] = get_args(kind[0]) or kind
        return found


class CommandGroup(_Help, TyperGroup):
    """A group of commands with our help; a word that is no command is an argument of the default command."""

    default: ClassVar[str]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's context
        """Put the name of the default command before the first word that is not a command."""
        first = self.first_word(ctx, args)
        if first < len(args) and args[first] not in self.commands:
            args = [*args[:first], self.default, *args[first:]]
        return super().parse_args(ctx, args)

    def first_word(self, ctx: Any, args: list[str]) -> int:  # noqa: ANN401 - click's context
        """Return the position of the first argument after the options of the group, which have no values."""
        own = {name for parameter in self.get_params(ctx) for name in (*parameter.opts, *parameter.secondary_opts)}
        letters = {name.removeprefix("-") for name in own if len(name) == len("-h")}
        for index, arg in enumerate(args):
            # Letters may be joined: -qv.
            if arg not in own and not (arg[:1] == "-" and arg[1:] and set(arg[1:]) <= letters):
                return index
        return len(args)


def _help(command: Any, context: Any) -> Iterable[RenderableType]:  # noqa: ANN401 - click's types
    text, examples = split_help(command.help)
    parameters = command.get_params(context)
    arguments = [one for one in parameters if one.param_type_name == "argument"]
    yield Text(command.get_usage(context), style="bold")
    for paragraph in text.split("\n\n"):
        yield Padding(Text(" ".join(paragraph.split())), (1, 0, 0, 0))
    yield Text()
    options = [one for one in parameters if one.param_type_name == "option"]
    own = [one for one in options if _panel_of(one) != GENERAL]
    shown = own if context.meta.get(_ALL) else own[:MAX_SHOWN]
    yield from _panel("Arguments", [(_name(one), _text(one)) for one in arguments])
    for name in dict.fromkeys((*_PANELS, *map(_panel_of, own))):
        yield from _panel(name, [(_name(one), _text(one)) for one in shown if _panel_of(one) == name])
    if isinstance(command, TyperGroup):
        yield from _panel("Commands", [(name, _summary(one)) for name, one in command.commands.items()])
    yield from _panel(GENERAL, [(_name(one), _text(one)) for one in options if _panel_of(one) == GENERAL])
    if examples:
        yield from _examples(examples)
    hidden = len(own) - len(shown)
    if hidden:
        yield Text(f"{hidden} more options: {context.command_path} --help-all", style="dim")
    if command.epilog:
        yield Text(command.epilog)


def _panel(title: str, rows: list[tuple[str, str]]) -> Iterable[RenderableType]:
    if not rows:
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(ratio=1)
    for name, text in rows:
        table.add_row(Text(name), Text(text))
    yield Panel(table, title=title, title_align="left", border_style="dim")


def _panel_of(option: Any) -> str:  # noqa: ANN401 - click's Option
    # Click adds --help itself, typer the options of completion: they have no panel.
    return getattr(option, "rich_help_panel", None) or GENERAL


def _name(parameter: Any) -> str:  # noqa: ANN401 - click's Parameter
    if parameter.param_type_name == "argument":
        return f"{parameter.metavar}{' …' if parameter.nargs == -1 else ''}"
    names = ", ".join(sorted(parameter.opts, key=len))
    return names if parameter.is_flag or parameter.count or not parameter.metavar else f"{names} {parameter.metavar}"


def _text(parameter: Any) -> str:  # noqa: ANN401 - click's Parameter
    # A default of the settings is given as a text.
    default = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    text = filled_in(str(parameter.help))
    if parameter.required and parameter.param_type_name == "option":
        return f"{text} [required]"
    if isinstance(default, str | Path | int | float) and not isinstance(default, bool) and not parameter.count:
        return f"{text} [default: {default}]"
    return text


def filled_in(text: str) -> str:
    """Put in the names of what is registered, also by other packages, when the help is shown and not before.

    >>> filled_in("Where: {clusters}.")
    'Where: local, slurm, pbs, lsf.'
    """
    for place, registry in (("{formats}", EXPORTERS), ("{clusters}", CLUSTERS)):
        if place in text:
            text = text.replace(place, ", ".join(registry.names()))
    return text


def _summary(command: Any) -> str:  # noqa: ANN401 - click's Command
    return " ".join(split_help(command.help)[0].split("\n\n")[0].split())


def _examples(text: str) -> Iterable[RenderableType]:
    yield Text("Examples", style="bold")
    for line in text.splitlines():
        is_command = not line.startswith(" ")
        yield Padding(Text(line.strip(), style="cyan" if is_command else ""), (0, 0, 0, 2 if is_command else 6))
    yield Text()
