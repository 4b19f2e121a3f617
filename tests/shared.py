"""Where the shared data lie: outside of the project, named by WSI_PARSE_DATA."""

import os
from pathlib import Path
from typing import NoReturn

import pytest


def shared_data_root() -> Path:
    """Return the folder of shared data; skip the test where it is absent, fail where that cannot be under CI."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("WSI_PARSE_DATA", default))
    if not root.is_dir():
        missing(f"no shared data at {root}: set WSI_PARSE_DATA")
    return root


def missing(reason: str) -> NoReturn:
    """Skip a test for want of something; under CI nothing may be wanting."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
