"""Code run without the rights of the superuser, who may read everything."""

import os
import subprocess
import sys


def run_as_ordinary_user(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python; root keeps its name and loses its capabilities, so that a file's mode counts."""
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    command = [*drop, sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
