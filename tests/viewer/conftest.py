"""The browser of all tests of the viewer in a process."""

import shutil
from collections.abc import Iterator

import pytest

from tests.browser import Browser, missing
from tests.viewer.served import drawing_browser


@pytest.fixture(scope="session")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium that has WebGL."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        missing("there is no Chromium: apt-get install chromium")
    with drawing_browser(str(program), tmp_path_factory.mktemp("drawing")) as running:
        yield running
