"""Every block of code in the documentation is run, read by the installed program, or says why it is not."""

import json
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.docs.blocks import PAGES, ROOT, Block, blocks_of
from wsi_parse.cli.main import app
from wsi_parse.cli.request import settings_of

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
# Their tests run the Python on them: test_python_tour.py, test_readme.py, tests/test_contributing.py.
RUN_AS_PYTHON = ("docs/python.md", "README.md", "CONTRIBUTING.md")
# The shell on them: test_tutorial.py.
RUN_AS_SHELL = ("docs/tutorial.md",)
# Directives of the site, and drawings.
NO_CODE = ("{commands}", "{literalinclude} ../../configs/default.yaml", "{eval-rst}", "text")


def is_of_ours(block: Block) -> bool:
    return not block.language and all(words[0] == "wsi-parse" for words in block.commands)


def parsed(arguments: list[str]) -> dict[str, Any]:
    """Let the program read the arguments of a command, as it does before it runs it."""
    command, rest = typer.main.get_command(app), list(arguments)
    # A group without more words is a command, too.
    while rest and hasattr(command, "commands"):
        default = getattr(command, "default", None)
        command = command.commands[rest.pop(0) if rest[0] in command.commands else default]
    # Not closed: typer's context hands on what its commands would use.
    parameters: dict[str, Any] = command.make_context(command.name, rest).params
    return parameters


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_it_is_known_what_becomes_of_a_block(block: Block) -> None:
    page = str(block.page.relative_to(ROOT))
    if block.reason is not None:
        assert len(block.reason) > 15, "say why"
    elif block.language == "toml":
        assert tomllib.loads(block.text)
    elif block.language == "json":
        assert json.loads(block.text)
    else:
        assert (
            is_of_ours(block)
            or block.language in NO_CODE
            or (block.language == "python" and page in RUN_AS_PYTHON)
            or page in RUN_AS_SHELL
        ), "mark it: <!-- not run: REASON -->"


COMMANDS = [
    pytest.param(words[1:], id=f"{block}:{shlex.join(words[1:4])}")
    for block in BLOCKS
    if not block.language or block.language == "sh"
    for words in block.commands
    if words[0] == "wsi-parse"
]


def read_by_the_program(arguments: list[str]) -> None:
    parameters = parsed(arguments)
    if "overrides" in parameters:
        settings_of(parameters["config"], parameters["overrides"], parameters.get("prompt"))


@pytest.mark.parametrize("arguments", COMMANDS)
def test_the_program_understands_a_command(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # Files of settings are named as from there.
    monkeypatch.chdir(ROOT)
    read_by_the_program(arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["slide.svs", "--promt", "nuclei"], "--promt"),
        (["slide.svs", "--prompt"], "--prompt"),
        (["slide.svs", "--set", "objects.threshhold=1"], "threshhold"),
    ],
)
def test_a_mistake_would_be_noticed(arguments: list[str], says: str) -> None:
    with pytest.raises(Exception, match=says):
        read_by_the_program(arguments)


def test_the_guide_is_found() -> None:
    assert len(COMMANDS) > 50
    assert Path("docs/guide.md") in {page.relative_to(ROOT) for page in PAGES}
