"""Whether workers start here, in threads and (by Dask) in a process of their own, and whether they answer."""

import time
from collections.abc import Iterator
from importlib.metadata import version

from wsi_parse.compute.trial import try_workers
from wsi_parse.doctor.finding import Finding
from wsi_parse.errors import ClusterError


def check_workers(check: str) -> Iterator[Finding]:
    """Start both kinds of workers, and give each a task."""
    versions = {name: version(name) for name in ("dask", "distributed")}
    listed = ", ".join(f"{name} {number}" for name, number in versions.items())
    for name, workers, remedy in (
        ("threads", 0, "allow more processes (ulimit -u), and close other programs"),
        ("processes", 1, "work without them: --workers 0; or allow more processes (ulimit -u)"),
    ):
        started = time.perf_counter()
        try:
            try_workers(workers)
        except ClusterError as error:
            yield Finding(check, name, "fail", error.message, error.remedy or remedy, versions)
            continue
        except (OSError, RuntimeError) as error:
            yield Finding(check, name, "fail", f"No worker answers: {str(error).rstrip('.')}.", remedy, versions)
            continue
        seconds = time.perf_counter() - started
        text = f"Workers in {name} start and answer within {seconds:.1f} s ({listed})."
        yield Finding(check, name, "ok", text, facts={**versions, "seconds": round(seconds, 2)})
