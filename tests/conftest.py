"""Settings for all tests."""

import os

from hypothesis import HealthCheck, settings

# No test may depend on how fast the machine is; in CI the same examples are tried every time.
settings.register_profile(
    "here",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
    print_blob=True,
)
settings.load_profile("here")
