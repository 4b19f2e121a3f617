"""example_cluster: a Dask cluster of one process on this machine, which is started for a run."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from distributed import Client, LocalCluster

from wsi_parse.compute.cluster import DEVICE
from wsi_parse.compute.private import private_options
from wsi_parse.settings import ComputeSettings
from wsi_parse_example.failing import fail


@contextmanager
def example_cluster(settings: ComputeSettings, at_once: int | None, folder: Path) -> Iterator[Client]:
    fail("start")
    options = {"threads_per_worker": 1, "resources": {DEVICE: at_once or 1}}
    options |= {"memory_limit": None, "silence_logs": 50, **private_options()}
    with (
        LocalCluster(n_workers=max(1, settings.workers), **options) as started,
        closing(Client(started, set_as_default=False)) as client,
    ):
        yield client
