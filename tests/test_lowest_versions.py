"""The lower bounds of pyproject.toml are true: exactly these install, and a part of the tests passes with them.

That part is what meets the libraries: reading, outlining, joining, writing, Dask, the models, the command line.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.lowest import EXTRAS, ROOT, TOOLS, bounds, pins, requirements

PART = (
    "tests/slides/test_damaged.py",
    "tests/slides/test_known_slides.py",
    "tests/slides/test_stored_tiles.py",
    "tests/tissue",
    "tests/models/test_contract.py",
    "tests/models/mini",
    "tests/models/biomedparse/test_golden.py",
    "tests/predict",
    "tests/objects",
    "tests/exporters/test_geojson.py",
    "tests/exporters/test_parquet.py",
    "tests/exporters/test_dicom.py",
    "tests/evaluate",
    "tests/run/test_pipeline.py",
    "tests/cli/test_cli.py",
    "tests/cli/test_help.py",
    "tests/cli/test_mistakes.py",
)
# Old releases warn of what their newer companions deprecate, and new ones of their older users; nobody can mend that.
QUIET = [f"-Wdefault::{name}" for name in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")]


@pytest.mark.parametrize("requirement", requirements(), ids=lambda item: item.name)
def test_the_lowest_version_is_pinned(requirement: Requirement) -> None:
    pinned = {canonicalize_name(name): version for name, version in pins().items()}
    lower = bounds()[requirement.name]
    assert Version(pinned[canonicalize_name(requirement.name)]) == Version(lower), "make lowest"


def test_the_lowest_versions_are_plain_pins() -> None:
    names = list(pins())
    assert names == sorted(names, key=str.lower)


@pytest.mark.parametrize("path", PART)
def test_the_part_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.slow
@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the lowest versions are for the lowest Python: run with Python 3.11"
)
def test_the_lowest_versions_work(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    # The editable package has the sources of this tree, and metadata and a command of its own.
    wanted = [f"{ROOT}[{','.join(EXTRAS)}]", *TOOLS]
    subprocess.run([*pip, "--constraint", ROOT / "constraints-lowest.txt", "--editable", *wanted], check=True, cwd=ROOT)
    environment = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", "-m", "not slow and not kill", *QUIET, *PART]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
