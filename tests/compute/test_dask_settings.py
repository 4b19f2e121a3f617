"""Settings of Dask that cannot be read: the user is told which, and what to do, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def imported(**environment: str) -> subprocess.CompletedProcess[str]:
    code = (
        "from wsi_parse.errors import UsageError\n"
        "from pathlib import Path\n"
        "from wsi_parse.compute.cluster import Cluster\n"
        "from wsi_parse.settings import ComputeSettings\n"
        "try: Cluster(ComputeSettings(workers=1), Path())\n"
        "except UsageError as error: print(error)"
    )
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("content", "reason"), [("a: [b", "while parsing a flow"), ("- a", "got a list"), ("a: \x00", "not allowed")]
)
def test_a_settings_file_that_is_not_valid_is_named(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "site.yaml").write_text(content)
    found = imported(DASK_CONFIG=str(tmp_path))
    assert found.returncode == 0, found.stderr
    (line,) = found.stdout.splitlines()
    assert line.startswith(f"The settings file of Dask {tmp_path / 'site.yaml'} cannot be read: ")
    assert reason in line
    assert line.endswith(". Correct the file, or unset DASK_CONFIG.")


def test_a_settings_file_in_the_home_folder_is_named(tmp_path: Path) -> None:
    file = tmp_path / ".config" / "dask" / "x.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("a: [b")
    found = imported(HOME=str(tmp_path))
    assert found.stdout.startswith(f"The settings file of Dask {file} cannot be read: ")
    assert found.stdout.endswith(". Correct the file, or rename it.\n")


def test_variables_that_are_not_valid_are_named() -> None:
    found = imported(DASK_INTERNAL_INHERIT_CONFIG="z")
    assert found.stdout.startswith("The settings of Dask in the variables of the environment cannot be read: ")
    assert imported().stdout == ""
