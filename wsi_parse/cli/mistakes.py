"""Mistakes of a command line that would be taken for something else: a mistyped command, a prompt without quotes."""

import os
from collections.abc import Collection, Iterable, Sequence
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
