"""Mistakes of a command line that would be taken for something else: a mistyped command, a prompt without quotes."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise, takewhile
from pathlib import Path

from wsi_parse.errors import UsageError, closest

_PROMPT = ("--prompt", "-p")


def check_command(word: str, commands: Iterable[str]) -> None:
    """Refuse a word that would be taken for a slide, but is a mistyped command.

    Raises
    ------
    UsageError
        Names the command that is meant.
    """
    near = closest(word, commands) if _is_plain(word) else None
    if near is not None:
        raise UsageError(f"There is no command and no file called {word!r}.", f"Did you mean {near!r}?")


def check_quotes(arguments: Sequence[str]) -> None:
    """Refuse words that would be taken for slides: a prompt without quotes, or without its option.

    Raises
    ------
    UsageError
        Shows the prompt with quotes.
    """
    before = list(takewhile(lambda argument: not argument.startswith("-"), arguments))
    if unknown := " ".join(filter(_is_plain, before)):
        raise UsageError(
            f"There is no file and no folder called {unknown!r}.",
            f'If this is what to look for, write: --prompt "{unknown}"',
        )
    for index, argument in enumerate(arguments):
        name, equals, first = argument.partition("=")
        if name not in _PROMPT:
            continue
        after = arguments[index + 1 :] if equals else arguments[index + 2 :]
        words = [first] if equals else list(arguments[index + 1 : index + 2])
        for word in after:
            if not _is_plain(word):
                break
            words.append(word)
        if len(words) > 1:
            rest = " ".join(words[1:])
            raise UsageError(
                f"There is no slide called {rest!r}.",
                f'If these words belong to the prompt, put it in quotes: {name} "{" ".join(words)}"',
            )


def check_numbers(arguments: Sequence[str], numbers: Mapping[str, bool]) -> None:
    """Refuse a value that is not a number, and say which number was meant.

    Parameters
    ----------
    arguments : sequence of str
    numbers : mapping of str to bool
        Names of the options whose value is a number, and whether it must be a whole one.

    Raises
    ------
    UsageError
        Names the option and the value.
    """
    before = list(takewhile(lambda argument: argument != "--", arguments))
    for index, argument in enumerate(before):
        name, equals, value = argument.partition("=")
        if name not in numbers or (not equals and index + 1 == len(before)):
            continue
        value = value if equals else before[index + 1]
        try:
            (int if numbers[name] else float)(value)
        except ValueError:
            from wsi_parse.settings.problems import number_meant

            meant = number_meant(value)
            kind = "a whole number" if numbers[name] else "a number"
            can_be = meant is not None and (not numbers[name] or meant.is_integer())
            remedy = f"Did you mean {name} {meant:g}?" if can_be else f"Write {kind} after {name}."
            raise UsageError(f"{name} is {value[:60]!r}, which is not {kind}.", remedy) from None


def check_values(arguments: Sequence[str], with_value: Collection[str], options: Collection[str]) -> None:
    """Refuse an option without its value, for which the next option would be taken.

    Parameters
    ----------
    arguments : sequence of str
    with_value : collection of str
        Names of the options that have a value.
    options : collection of str
        Names of all options.

    Raises
    ------
    UsageError
        Names both.
    """
    for name, after in pairwise(takewhile(lambda argument: argument != "--", arguments)):
        if name in with_value and after.partition("=")[0] in options:
            raise UsageError(
                f"{name} has no value: {after} follows it.", f"Write the value after {name}, or leave {name} out."
            )


def _is_plain(word: str) -> bool:
    """Whether a word is neither an option nor a path, nor anything that exists."""
    is_word = bool(word) and not word.startswith("-") and not set(word) & {os.sep, "/", ".", "*", "?"}
    return is_word and not Path(word).exists()
