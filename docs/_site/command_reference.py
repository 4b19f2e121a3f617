"""The directive `commands`: every command of the program with all its options, as the program itself shows them."""

import click
import typer
from docutils import nodes
from docutils.nodes import Element, Node
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from wsi_parse.cli.help import filled_in, split_help
from wsi_parse.cli.main import app as program


def _texts(text: str) -> list[Node]:
    return [nodes.paragraph("", " ".join(part.split())) for part in text.split("\n\n") if part.strip()]


def _definitions(rows: list[tuple[str, str]]) -> Element:
    found = nodes.definition_list()
    for name, text in rows:
        term = nodes.term("", "", nodes.literal("", name))
        found += nodes.definition_list_item("", term, nodes.definition("", nodes.paragraph("", text)))
    return found


def _option(parameter: click.Parameter) -> tuple[str, str]:
    names = ", ".join(sorted((*parameter.opts, *parameter.secondary_opts), key=len))
    if parameter.param_type_name == "argument":
        names = str(parameter.metavar)
    elif parameter.metavar and not (getattr(parameter, "is_flag", False) or getattr(parameter, "count", False)):
        names += f" {parameter.metavar}"
    return names, filled_in(str(getattr(parameter, "help", "") or ""))


def _examples(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip()]
    return [(command, says.strip()) for command, says in zip(lines[::2], lines[1::2], strict=True)]


def _section(command: click.Command, name: str, context: click.Context) -> list[Element]:
    """One section for a command; a group also has those of its commands after it."""
    section = nodes.section("", nodes.title("", name), ids=[nodes.make_id(name)])
    text, examples = split_help(command.help)
    section += _texts(text)
    own = click.Context(command, info_name=name, parent=context)
    parameters = [one for one in command.get_params(own) if not getattr(one, "hidden", False)]
    rows = [_option(one) for one in parameters if one.name != "help"]
    if rows:
        section += _definitions(rows)
    if examples:
        section += [nodes.rubric("", "Examples"), _definitions(_examples(examples))]
    found: list[Element] = [section]
    for inner, one in getattr(command, "commands", {}).items():
        found += _section(one, f"{name} {inner}", own)
    return found


class Commands(Directive):
    """Sections of all commands, in the order in which the program lists them."""

    def run(self) -> list[Node]:
        """Return the sections."""
        top = typer.main.get_command(program)
        return list(_section(top, "wsi-parse", click.Context(top)))


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
