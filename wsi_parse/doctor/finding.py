"""Finding: one line of the doctor, with its status, its numbers and the command that mends it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Status = Literal["ok", "warn", "fail"]
#: Mends a broken installation.
REINSTALL = "pip install --force-reinstall wsi-parse"
_GB, _MB = 1e9, 1e6


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    check : str
        The check that looked; see :data:`wsi_parse.doctor.checks.CHECKS`.
    name : str
        What was looked at, such as the name of a reader.
    status : "ok", "warn" or "fail"
        warn: runs work, but with less than they could have; fail: something that runs need does not work.
    text : str
        What was found, in a sentence.
    remedy : str
        What to do, mostly a command; empty if nothing is to be done.
    facts : dict
        Numbers for JSON, with their unit in their name.
    """

    check: str
    name: str
    status: Status
    text: str
    remedy: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; the user's home is written as ~."""
        return {
            "check": self.check,
            "name": without_home(self.name),
            "status": self.status,
            "text": without_home(self.text),
            "remedy": without_home(self.remedy),
            "facts": self.facts,
        }


def without_home(text: str) -> str:
    """Write the user's home folder as ~: its name is often that of the user.

    >>> without_home(f"{Path.home()}/.cache/wsi-parse, 5 GB free")
    '~/.cache/wsi-parse, 5 GB free'
    """
    home = str(Path.home())
    # The root folder is the home of some services; every path would begin with ~.
    return text.replace(home, "~") if len(Path(home).parts) > 1 else text


def bytes_in_words(count: float) -> str:
    """Write a number of bytes for a person.

    >>> bytes_in_words(23_400_000_000), bytes_in_words(3_400_000)
    ('23.4 GB', '3.4 MB')
    """
    return f"{count / _GB:.1f} GB" if count >= _GB else f"{count / _MB:.1f} MB"
