"""The command line in this process: quick, and what it prints is caught."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from wsi_parse.cli.main import main


@dataclass(frozen=True)
class Ended:
    """How a call ended.

    Parameters
    ----------
    code : int
        Exit code.
    out, err : str
        What it printed, with single spaces.
    """

    code: int
    out: str
    err: str


def caller(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Return a function that calls the command line with arguments."""

    def call(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["wsi-parse", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        code = end.value.code
        return Ended(code if isinstance(code, int) else 0 if code is None else 1, out, err)

    return call
