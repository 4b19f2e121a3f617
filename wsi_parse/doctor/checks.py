"""The checks of the doctor by name, in the order in which they are shown; each runs in a process of its own."""

import importlib
from collections.abc import Callable, Iterator
from typing import cast

from wsi_parse.doctor.finding import Finding

# Name -> "module:function". A function takes the name of its check, and yields findings as it makes them: what it has
# yielded counts, even if it then hangs.
CHECKS = {
    "packages": "wsi_parse.doctor.packages:check_packages",
    "readers": "wsi_parse.doctor.readers:check_readers",
    "device": "wsi_parse.doctor.device:check_device",
    "models": "wsi_parse.doctor.models:check_models",
    "storage": "wsi_parse.doctor.storage:check_storage",
    "dask": "wsi_parse.doctor.workers:check_workers",
    "clusters": "wsi_parse.doctor.batch_systems:check_batch_systems",
}


#: These run alone, before the others: what they measure must not depend on those.
ALONE = ("device",)


def run_check(name: str, place: str) -> Iterator[Finding]:
    """Run a check in this process, finding by finding.

    Parameters
    ----------
    name : str
    place : str
        The function, as "module:function".
    """
    module, _, function = place.partition(":")
    check = cast("Callable[[str], Iterator[Finding]]", getattr(importlib.import_module(module), function))
    yield from check(name)
