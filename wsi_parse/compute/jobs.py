"""Workers that are jobs of a batch system, through dask-jobqueue; one that is lost is asked for again."""

import inspect
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from distributed import Client

from wsi_parse.compute import cluster
from wsi_parse.errors import ClusterError, SettingsError
from wsi_parse.settings import ComputeSettings


@contextmanager
def _jobs(name: str, settings: ComputeSettings, at_once: int | None, folder: Path) -> Iterator[Client]:
    """Start a scheduler here and ask for jobs; `compute.options` go to dask-jobqueue's class as they are."""
    ours = signal.getsignal(signal.SIGINT)
    try:
        import dask_jobqueue
    except ImportError:
        raise ClusterError(
            "Batch systems need dask-jobqueue.", "Install it: pip install 'wsi-parse[cluster]'"
        ) from None
    # Importing it takes over Ctrl-C, which would then end us without a word.
    signal.signal(signal.SIGINT, ours)
    options = {
        "cores": 1,
        "processes": 1,
        "memory": "8GiB",
        "log_directory": str(folder / "jobs"),
        **settings.options,
    }
    # One block is read while another is computed. The batch system keeps to the memory: a worker that Dask paused for
    # it would wait for ever, since tasks here hold nothing that could be freed.
    options.setdefault("worker_extra_args", ["--resources", f"{cluster.DEVICE}={at_once or 2}", "--memory-limit", "0"])
    kind = getattr(dask_jobqueue, name)
    unknown = sorted(options.keys() - _known(kind))
    if unknown:
        raise SettingsError(f"compute.options has no {', '.join(unknown)}.", f"They are those of dask_jobqueue.{name}.")
    with kind(**options) as started, closing(Client(started, set_as_default=False)) as client:
        jobs = max(1, settings.workers)
        # Adapting to a fixed number replaces what is lost; scaling to it would not.
        started.adapt(minimum=jobs, maximum=jobs)
        yield client


def _known(kind: Any) -> set[str]:  # noqa: ANN401 - a class of dask-jobqueue
    """Names of all options of a batch system's class."""
    ours = inspect.getmro(kind)[:2] + inspect.getmro(kind.job_cls)[:2]
    return {name for part in ours for name in inspect.signature(part).parameters}


slurm = partial(_jobs, "SLURMCluster")
pbs = partial(_jobs, "PBSCluster")
lsf = partial(_jobs, "LSFCluster")
