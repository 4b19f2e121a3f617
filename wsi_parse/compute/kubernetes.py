"""Workers in Kubernetes, through the operator of dask-kubernetes."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from distributed import Client

from wsi_parse.compute import cluster
from wsi_parse.errors import ClusterError
from wsi_parse.settings import ComputeSettings


@contextmanager
def kubernetes(settings: ComputeSettings, at_once: int | None, folder: Path) -> Iterator[Client]:
    """Start a cluster of pods; `compute.options` are passed to dask_kubernetes.operator.KubeCluster."""
    del folder
    try:
        from dask_kubernetes.operator import KubeCluster
    except ImportError:
        raise ClusterError(
            "Kubernetes needs dask-kubernetes, which is not installed.",
            "Install it: pip install 'wsi-parse[kubernetes]'",
        ) from None
    options = {
        "worker_command": ["dask-worker", "--resources", f"{cluster.DEVICE}={at_once or 2}"],
        "n_workers": max(1, settings.workers),
        **settings.options,
    }
    with KubeCluster(**options) as started, closing(Client(started, set_as_default=False)) as client:
        yield client
