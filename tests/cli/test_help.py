"""The help of every command: panels, the ten options that matter, all of them with --help-all, three examples."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from rich.cells import cell_len

from tests.cli.in_process import caller
from wsi_parse.cli.help import GENERAL, MAX_SHOWN, split_help
from wsi_parse.cli.main import app

COMMON = {"--help", "--help-all", "--quiet", "--verbose", "--traceback"}


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    command = command or typer.main.get_command(app)
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


ALL = dict(commands())


def own_options(command: Any) -> list[Any]:
    return [
        one for one in command.params if one.param_type_name == "option" and (one.rich_help_panel or GENERAL) != GENERAL
    ]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("COLUMNS", "80")
    return caller(monkeypatch, capsys)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
class TestEveryCommand:
    def test_help_is_one_text_by_two_names(self, call: Any, path: tuple[str, ...]) -> None:
        help_text = call(*path, "--help").out
        assert call(*path, "-h").out == help_text
        assert help_text.startswith(f"Usage: {' '.join(('wsi-parse', *path))} ")
        assert all(cell_len(line) <= 80 for line in help_text.splitlines())
        assert not re.search(r"<\w+>|\bBOOLEAN\b|\bINTEGER\b|\[default: (False|None)\]", help_text)

    def test_the_first_ten_options_are_shown_and_all_by_help_all(self, call: Any, path: tuple[str, ...]) -> None:
        own = own_options(ALL[path])
        names = [max(one.opts, key=len) for one in own]
        short, long = call(*path, "--help").out, call(*path, "--help-all").out
        shown = [name for name in names if re.search(rf"{name}\b(?!-)", short.partition("Examples")[0])]
        assert shown == names[:MAX_SHOWN]
        assert all(name in long for name in names)
        assert ("--help-all" in short.splitlines()[-1]) == (len(names) > MAX_SHOWN)
        assert all(name in short for name in COMMON)

    def test_every_option_has_a_panel_and_a_value_a_name(self, path: tuple[str, ...]) -> None:
        for one in own_options(ALL[path]):
            assert one.help, one.opts
            assert one.is_flag or one.count or one.metavar, one.opts
            assert one.rich_help_panel, one.opts

    def test_three_examples_are_calls_that_the_command_knows(self, path: tuple[str, ...]) -> None:
        _, examples = split_help(ALL[path].help)
        calls = [line for line in examples.splitlines() if not line.startswith(" ")]
        assert len(calls) == 3
        assert len(examples.splitlines()) == 6, "each is explained in a line"
        for line in calls:
            assert len(line) <= 76
            words = shlex.split(line.partition(" > ")[0])
            words = words[words.index("wsi-parse") + 1 :]
            group, name = typer.main.get_command(app), []
            while words and words[0] in getattr(group, "commands", {}):
                name.append(words.pop(0))
                group = ALL[tuple(name)]
            known = {option for one in group.params for option in one.opts} or set()
            if not name:
                known |= {option for one in ALL[("run",)].params for option in one.opts}
            assert {word for word in words if word.startswith("-")} <= known, line


def test_panels_have_the_order_of_the_work(call: Any) -> None:
    titles = re.findall(r"^╭─ (.+?) ─", call("run", "--help-all").out, re.MULTILINE)
    assert titles == [
        "Arguments",
        "Objects",
        "Model",
        "Slide",
        "Output",
        "Compute",
        "Any other setting",
        "Help and messages",
    ]


def test_the_same_option_means_the_same_everywhere() -> None:
    meanings: dict[str, set[tuple[str, str | None]]] = {}
    for path, command in ALL.items():
        for one in own_options(command):
            # Weights are verified on labelled tiles, which are no slides.
            if path != ("models", "verify"):
                meanings.setdefault(max(one.opts, key=len), set()).add((one.help, one.metavar))
    assert {name: found for name, found in meanings.items() if len(found) > 1} == {}


def test_run_and_cohort_have_the_same_options() -> None:
    run, cohort = ({max(one.opts, key=len) for one in own_options(ALL[(name,)])} for name in ("run", "cohort"))
    assert cohort - run == {"--only", "--limit", "--retry-failed"}
    assert run - cohort == set()


def test_completion_can_be_shown(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/bash")
    text = call("--help").out
    assert "--install-completion" in text
    assert "--show-completion" in text


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["wsi-parse", "pre"], "preview"),
        (["wsi-parse", "run", "a.svs", "--cell"], "--cell-expansion"),
        (["wsi-parse", "a.svs", "--ke"], "--keep"),
        (["wsi-parse", "models", "ver"], "verify"),
    ],
)
def test_completion_offers_commands_and_options(
    call: Any, monkeypatch: pytest.MonkeyPatch, typed: list[str], offered: str
) -> None:
    monkeypatch.setenv("_WSI_PARSE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(typed))
    monkeypatch.setenv("COMP_CWORD", str(len(typed) - 1))
    assert offered in call().out.split()
