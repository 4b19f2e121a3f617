"""Test suites for authors of plug-ins: inherit one, give its fixtures, and the contract is checked."""
