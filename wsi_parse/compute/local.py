"""A Dask cluster on this machine: threads of this process, worker processes, or one worker per GPU."""

import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster

from wsi_parse.compute import cluster
from wsi_parse.settings import ComputeSettings

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def local(settings: ComputeSettings, at_once: int | None, folder: Path) -> Iterator[Client]:
    """Start workers, yield their client, and stop them at the end.

    Parameters
    ----------
    settings : ComputeSettings
        `workers` 0 runs threads of this process or, with several GPUs and dask-cuda, one process per GPU.
    at_once : int or None
        Blocks that a worker predicts at once; None: one per thread.
    folder : Path
        Not used.
    """
    del folder
    threads = settings.threads or os.cpu_count() or 1
    gpus = _gpus() if settings.workers == 0 else 0
    workers = gpus if gpus > 1 else max(1, settings.workers)
    each = max(1, threads // workers)
    options: dict[str, Any] = {
        "n_workers": workers,
        "threads_per_worker": each,
        "resources": {cluster.DEVICE: at_once or each},
        "memory_limit": None,
        # Any free port, on this machine only, so that two runs do not collide.
        "dashboard_address": "127.0.0.1:0",
        "silence_logs": logging.CRITICAL,
    }
    # The default of Dask also returns freed memory at once: half of the time then goes into requesting it again.
    config = {"distributed.nanny.pre-spawn-environ": dict.fromkeys(_ONE_THREAD, 1)}
    with dask.config.set(config), warnings.catch_warnings():
        # Dask leaves sockets of its own to the garbage collector; warnings of anything else are shown.
        warnings.filterwarnings("ignore", r"unclosed (<socket|transport|<asyncio|event loop)", ResourceWarning)
        with (
            _cluster(gpus, options, processes=settings.workers > 0) as started,
            closing(Client(started, set_as_default=False)) as client,
        ):
            yield client


def _cluster(gpus: int, options: dict[str, Any], *, processes: bool) -> Any:  # noqa: ANN401 - one of two classes
    if gpus > 1:
        from dask_cuda import LocalCUDACluster

        return LocalCUDACluster(**options)
    return LocalCluster(processes=processes, **options)


def _gpus() -> int:
    """Return the number of GPUs for dask-cuda; 0 if it is not installed."""
    if importlib.util.find_spec("dask_cuda") is None:
        return 0
    from dask_cuda.utils import get_n_gpus

    return int(get_n_gpus())
