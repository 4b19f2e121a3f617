"""Workers that are jobs of a batch system, through dask-jobqueue; a lost worker is replaced."""

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
    """Start a scheduler here and submit jobs; `compute.options` are passed to the class of dask-jobqueue."""
    own_handler = signal.getsignal(signal.SIGINT)
    try:
        import dask_jobqueue
    except ImportError:
        raise ClusterError(
            "Batch systems need dask-jobqueue, which is not installed.", "Install it: pip install 'wsi-parse[cluster]'"
        ) from None
    # Importing it replaces the handler of Ctrl-C, which would then end us without a message.
    signal.signal(signal.SIGINT, own_handler)
    options = {
        "cores": 1,
        "processes": 1,
        "memory": "8GiB",
        "log_directory": str(folder / "jobs"),
        # Any free port, so that two runs on one machine do not collide.
        "scheduler_options": {"dashboard_address": ":0"},
        **settings.options,
    }
    # One block is read while another is computed. The batch system limits the memory: a worker that Dask paused would
    # wait for ever, because our tasks hold nothing that could be freed.
    options.setdefault("worker_extra_args", ["--resources", f"{cluster.DEVICE}={at_once or 2}", "--memory-limit", "0"])
    kind = getattr(dask_jobqueue, name)
    unknown = sorted(options.keys() - _known(kind))
    if unknown:
        raise SettingsError(
            f"compute.options has unknown names: {', '.join(unknown)}.", f"Use the options of dask_jobqueue.{name}."
        )
    with kind(**options) as started, closing(Client(started, set_as_default=False)) as client:
        jobs = max(1, settings.workers)
        # Adapting to a fixed number replaces lost jobs; scaling to it would not.
        started.adapt(minimum=jobs, maximum=jobs)
        yield client


def _known(kind: Any) -> set[str]:  # noqa: ANN401 - a class of dask-jobqueue
    """Return the names of all options of a batch system's class."""
    classes = inspect.getmro(kind)[:2] + inspect.getmro(kind.job_cls)[:2]
    return {name for part in classes for name in inspect.signature(part).parameters}


slurm = partial(_jobs, "SLURMCluster")
pbs = partial(_jobs, "PBSCluster")
lsf = partial(_jobs, "LSFCluster")
