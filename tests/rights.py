"""Code run without the rights of the superuser, who may read everything."""

import os
import subprocess
import sys

import pytest


def run_as_ordinary_user(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python; root keeps its name and loses its capabilities, so that a file's mode counts."""
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    command = [*drop, sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


#: Belongs to nobody on the systems that we test on.
ANOTHER_USER = 65534


def run_as_another_user(imports: str, code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python as another user of this machine, who holds nothing of ours.

    Parameters
    ----------
    imports : str
        Lines that are run before: the interpreter and its packages may lie where that user cannot read.
    code : str
    *arguments : object
        In `sys.argv`.
    """
    become = f"import os; os.setgroups([]); os.setgid({ANOTHER_USER}); os.setuid({ANOTHER_USER}); os.chdir('/')\n"
    start = [sys.executable, "-c", f"{imports}\n{become}{code}", *map(str, arguments)]
    if os.geteuid() != 0:
        keep = f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}"
        start = ["sudo", "-n", "env", keep, *start]
    return subprocess.run(start, capture_output=True, text=True, timeout=300, check=False)


def can_become_another_user() -> bool:
    """Return whether :func:`run_as_another_user` works here: as root, or with sudo that asks for no password."""
    if not hasattr(os, "geteuid"):
        return False
    if os.geteuid() == 0:
        return True
    try:
        return subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def need_another_user() -> None:
    """Skip a test where nobody can become another user; in CI, that is an error."""
    if not can_become_another_user():
        assert os.environ.get("CI") != "true", "CI must run as root, or with sudo that asks for no password"
        pytest.skip("only root can act as another user")
