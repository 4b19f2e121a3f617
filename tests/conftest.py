"""Settings for all tests."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.browser import axe, browser
from tests.skips import summary

# Fixtures of all folders.
__all__ = ["axe", "browser"]

# No test may depend on how fast the machine is; in CI the same examples are tried every time.
settings.register_profile(
    "here",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
    print_blob=True,
)
settings.load_profile("here")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> Iterator[None]:
    """Say at the very end, after failures, what was skipped and why."""
    yield
    reports = terminalreporter.stats.get("skipped", [])
    for line in summary((report.nodeid, report.longrepr[2]) for report in reports):
        terminalreporter.write_line(line)
