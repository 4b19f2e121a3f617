"""Workers that are jobs of a batch system, through dask-jobqueue; a lost worker is replaced."""

import inspect
import shlex
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dask
from distributed import Client, Security, Status

from wsi_parse.compute import cluster
from wsi_parse.compute.private import LOOPBACK, PrivateScheduler, credentials_in
from wsi_parse.errors import ClusterError, SettingsError
from wsi_parse.settings import ComputeSettings

# How long a batch system may take to accept or refuse a job.
_ACCEPTS_WITHIN_SECONDS = 180.0
# This many jobs more than wanted may end before a worker of any of them has joined.
_MAX_JOBS_IN_VAIN = 20
# Who reaches a worker runs code as its owner: how it is reached is not for the settings.
_OURS = ("security", "protocol", "job_cls", "scheduler_cls", "shared_temp_directory")
# A job sees the variables and settings files of its user; ours must win there, too. Its scratch folder ends with it.
_PROLOGUE = (
    r"unset $(env | sed -n 's/^\(DASK_[A-Za-z0-9_]*\)=.*/\1/p')",
    "export DASK_INTERNAL_INHERIT_CONFIG={config}",
    'wsi_parse_scratch="$(mktemp -d)"',
    """trap 'rm -rf -- "$wsi_parse_scratch"' EXIT""",
)
_SCRATCH = '"$wsi_parse_scratch"'


@contextmanager
def _jobs(name: str, settings: ComputeSettings, at_once: int | None, folder: Path) -> Iterator[Client]:
    """Start a scheduler here and submit jobs; `compute.options` are passed to the class of dask-jobqueue.

    Scheduler and workers are reached through TLS only. The jobs read the credentials from a folder that only their
    owner may open; it is removed at the end.
    """
    own_handler = signal.getsignal(signal.SIGINT)
    try:
        import dask_jobqueue
    except ImportError:
        raise ClusterError(
            "Batch systems need dask-jobqueue, which is not installed.", "Install it: pip install 'wsi-parse[cluster]'"
        ) from None
    # Importing it replaces the handler of Ctrl-C, which would then end us without a message.
    signal.signal(signal.SIGINT, own_handler)
    kind = getattr(dask_jobqueue, name)
    _check(kind, settings.options)
    folder.mkdir(parents=True, exist_ok=True)
    submissions = _Submissions(kind.job_cls, max(1, settings.workers))
    with TemporaryDirectory(prefix="tls-", dir=folder, ignore_cleanup_errors=True) as private:
        security = credentials_in(Path(private).absolute())
        options = _options(settings, at_once, folder, kind.job_cls.config_name, security)
        options |= {"security": security, "job_cls": submissions.job_class(), "scheduler_cls": PrivateScheduler}
        with kind(**options) as started, closing(Client(started, set_as_default=False)) as client:
            started.problem = submissions.problem
            # Adapting to a fixed number replaces lost jobs; scaling to it would not.
            started.adapt(minimum=submissions.wanted, maximum=submissions.wanted)
            submissions.wait_for_the_first()
            yield client


def _check(kind: Any, options: dict[str, Any]) -> None:  # noqa: ANN401 - a class of dask-jobqueue
    """Refuse options that nobody knows or that are ours, and a machine from which no job can be submitted.

    Raises
    ------
    SettingsError, ClusterError
    """
    unknown = sorted(options.keys() - _known(kind))
    if unknown:
        raise SettingsError(
            f"compute.options has unknown names: {', '.join(unknown)}.",
            f"Use the options of dask_jobqueue.{kind.__name__}.",
        )
    ours = [name for name in _OURS if name in options]
    if ours:
        raise SettingsError(
            f"compute.options cannot set {', '.join(ours)}: workers of a batch system are always reached through TLS.",
            "Leave it out.",
        )
    command = shlex.split(kind.job_cls.submit_command)[0]
    if shutil.which(command) is None:
        raise ClusterError(
            f"Jobs cannot be submitted from this machine: the command {command} is not installed.",
            "Start wsi-parse on a machine of the cluster from which jobs are submitted, or choose another cluster.",
        )


def _options(
    settings: ComputeSettings, at_once: int | None, folder: Path, section: str, security: Security
) -> dict[str, Any]:
    """Return the options of the class: ours, then those of the user, and what both of us say together."""
    given = dict(settings.options)
    # One block is read while another is computed. The batch system limits the memory: a worker that Dask paused would
    # wait for ever, because our tasks hold nothing that could be freed.
    extra = given.pop("worker_extra_args", ["--resources", f"{cluster.DEVICE}={at_once or 2}", "--memory-limit", "0"])
    prologue = given.pop("job_script_prologue", None) or dask.config.get(f"jobqueue.{section}.job-script-prologue", [])
    config = dask.config.serialize({"distributed": dask.config.get("distributed")})
    scheduler = {"dashboard": settings.dashboard, "dashboard_address": LOOPBACK if settings.dashboard else None}
    tls = security.get_tls_config_for_role("worker")
    # dask-jobqueue would not quote the paths.
    tls_extra = [part for name in ("ca_file", "cert", "key") for part in (_tls_option(name), shlex.quote(tls[name]))]
    options = {
        "cores": 1,
        "processes": 1,
        "memory": "8GiB",
        "log_directory": str(folder / "jobs"),
        **given,
        "scheduler_options": {**scheduler, **given.get("scheduler_options", {})},
        "worker_extra_args": [*extra, *tls_extra, "--no-dashboard", "--dashboard-address", LOOPBACK],
        "job_script_prologue": [*(line.replace("{config}", config) for line in _PROLOGUE), *prologue],
    }
    if given.get("local_directory") is None and dask.config.get(f"jobqueue.{section}.local-directory", None) is None:
        options["local_directory"] = _SCRATCH
    return options


def _tls_option(name: str) -> str:
    return f"--tls-{name.replace('_', '-')}"


def _known(kind: Any) -> set[str]:  # noqa: ANN401 - a class of dask-jobqueue
    """Return the names of all options of a batch system's class."""
    classes = inspect.getmro(kind)[:2] + inspect.getmro(kind.job_cls)[:2]
    return {name for part in classes for name in inspect.signature(part).parameters}


class _Submissions:
    """What became of the jobs that were submitted; dask-jobqueue itself only tells its log.

    Parameters
    ----------
    job_class : type
        A batch system's class of jobs.
    wanted : int
        Jobs that are to run at a time.
    """

    def __init__(self, job_class: type, wanted: int) -> None:
        self.wanted = wanted
        self._job_class, self._answered = job_class, threading.Event()
        self._accepted, self._refused = 0, ""
        self._command = str(job_class.submit_command)  # type: ignore[attr-defined]

    def job_class(self) -> type:
        """Return the class of jobs, which tells us what the batch system answers."""
        ours, kind = self, self._job_class

        class Job(kind):  # type: ignore[misc, valid-type]
            def __init__(self, *given: Any, security: Any = None, **options: Any) -> None:  # noqa: ANN401
                del security
                super().__init__(*given, **options)

            async def _submit_job(self, script_filename: str) -> str:
                try:
                    answer: str = await super()._submit_job(script_filename)
                except (OSError, RuntimeError) as error:
                    ours._refused = str(error).rpartition("stderr:")[2].strip() or type(error).__name__
                    # Else its cluster cannot be closed.
                    self.status = Status.failed
                    raise
                else:
                    ours._accepted += 1
                    return answer
                finally:
                    ours._answered.set()

        return Job

    def wait_for_the_first(self) -> None:
        """Wait until the batch system has taken a job.

        Raises
        ------
        ClusterError
            It refuses, or does not answer.
        """
        if not self._answered.wait(_ACCEPTS_WITHIN_SECONDS):
            raise ClusterError(
                f"The batch system has not answered to {self._command} for {_ACCEPTS_WITHIN_SECONDS:.0f} s.",
                "Check that it is running, and run the same command again.",
            )
        if not self._accepted:
            raise ClusterError(
                f"The batch system refused a job: {' '.join(self._refused.split())}",
                "Correct compute.options, and run the same command again.",
            )

    def problem(self) -> ClusterError | None:
        """Return why no worker will ever join; None where one may, however long its job waits in the queue."""
        in_vain = self._accepted - self.wanted
        if in_vain < _MAX_JOBS_IN_VAIN:
            return None
        return ClusterError(
            f"{in_vain} jobs ended before a worker of them had joined.",
            "Read their logs, which lie in the folder jobs beside the intermediate results. wsi-parse must be "
            "installed at the same path on the nodes, and they must reach this machine.",
        )


slurm = partial(_jobs, "SLURMCluster")
pbs = partial(_jobs, "PBSCluster")
lsf = partial(_jobs, "LSFCluster")
