"""What makes a cluster that we start private: TLS, no pages for others to read, and no Dask settings but ours."""

import atexit
import gc
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dask
from distributed import Scheduler, Security, Worker

#: Where the dashboard of a scheduler that we start listens, if it is wanted: any free port, on this machine only.
LOOPBACK = "127.0.0.1:0"


def credentials() -> Security:
    """Make TLS credentials for one cluster; whoever does not hold them is refused by scheduler, workers and nannies.

    They are held in memory, and sent to worker processes of this machine through their pipe.
    """
    return Security.temporary(tls_min_version=ssl.TLSVersion.TLSv1_3)


def credentials_in(folder: Path) -> Security:
    """Make the same for workers on other machines, which read them from a folder that only their owner may open."""
    made = credentials()
    key, cert = folder / "key.pem", folder / "cert.pem"
    for path, text in ((key, made.tls_worker_key), (cert, made.tls_worker_cert)):
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    roles = ("scheduler", "worker", "client")
    paths = {f"tls_{role}_{kind}": str(path) for role in roles for kind, path in (("key", key), ("cert", cert))}
    return Security(require_encryption=True, tls_ca_file=str(cert), tls_min_version=ssl.TLSVersion.TLSv1_3, **paths)


def private_options(*, dashboard: bool = False) -> dict[str, Any]:
    """Return the options of a `LocalCluster` of Dask, or of a class made from it, with which only its owner gets in."""
    options: dict[str, Any] = {"security": credentials(), "protocol": "tls://", "host": "127.0.0.1"}
    if dashboard:
        return {**options, "dashboard_address": LOOPBACK}
    # Its scheduler opens a port for pages all the same; within :func:`only_our_settings`, there are none.
    pages = {"dashboard": False, "dashboard_address": LOOPBACK}
    return {**options, "dashboard_address": None, "scheduler_kwargs": pages}


class PrivateScheduler(Scheduler):
    """A scheduler without pages, unless a dashboard is wanted: they ask nobody who they are."""

    def start_http_server(self, routes: Any, dashboard_address: Any, *more: Any, **how: Any) -> None:  # noqa: ANN401
        """Start the server of the pages if the scheduler has an address for it."""
        if dashboard_address is not None:
            super().start_http_server(routes, dashboard_address, *more, **how)


class PrivateWorker(Worker):
    """A worker without pages."""

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*given, **named)
        # As the command line does: what is left when the process ends goes with it.
        atexit.register(gc.freeze)

    def start_http_server(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Start no server."""


@contextmanager
def only_our_settings(*, dashboard: bool) -> Iterator[None]:
    """Use Dask's own defaults for scheduler and workers, whatever its settings files and variables say here.

    A lifetime of workers, modules to load first, or a demand for certificates may fit other work of the same user. The
    sections of other packages stay: the one of dask-jobqueue says how jobs are submitted here.

    What Dask writes on this machine goes into a folder that only its owner can open, and that is removed at the end:
    Dask would take one whose name everybody knows, and import modules from it.
    """
    defaults = dask.config.merge(*dask.config.defaults)
    with TemporaryDirectory(prefix="wsi-parse-", ignore_cleanup_errors=True) as scratch:
        ours: dict[str, Any] = {"distributed": defaults["distributed"], "scheduler-address": None}
        ours["temporary-directory"] = scratch
        with dask.config.set(ours), dask.config.set(_without_pages(dashboard)):
            yield


def _without_pages(dashboard: bool) -> dict[str, Any]:
    """Return settings that leave an HTTP server nothing to show, where Dask starts one anyway."""
    closed: dict[str, Any] = {"distributed.worker.http.routes": []}
    return closed if dashboard else {**closed, "distributed.scheduler.http.routes": []}
