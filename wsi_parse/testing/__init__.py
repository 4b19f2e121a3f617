"""Test suites for authors of plug-ins: inherit a suite and provide its fixtures to check the contract."""
