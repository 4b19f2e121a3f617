"""Which batch systems this machine can submit jobs to."""

import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec

from wsi_parse.doctor.finding import Finding

# Name of the cluster -> the commands that dask-jobqueue calls, and the one that answers only if the system is up.
_SYSTEMS = {
    "slurm": (("sbatch", "scancel"), ("sinfo", "--noheader", "--format=%P")),
    "pbs": (("qsub", "qdel"), ("qstat", "-B")),
    "lsf": (("bsub", "bkill"), ("lsid",)),
}
_ANSWER_SECONDS = 5.0


def check_batch_systems(check: str) -> Iterator[Finding]:
    """Look for the commands of each batch system."""
    present = [name for name, (commands, _) in _SYSTEMS.items() if any(map(shutil.which, commands))]
    for name in present:
        yield _system(check, name)
    if not present:
        text = "No batch system is here (SLURM, PBS or LSF); runs use this machine."
        yield Finding(check, "batch systems", "ok", text, facts={"dask_jobqueue": _has_jobqueue()})


def _system(check: str, name: str) -> Finding:
    commands, question = _SYSTEMS[name]
    absent = [command for command in (*commands, question[0]) if shutil.which(command) is None]
    facts = {"absent": absent, "dask_jobqueue": _has_jobqueue()}
    if absent:
        text = f"{', '.join(absent)} cannot be found: jobs can be submitted on another machine of the cluster only."
        return Finding(check, name, "warn", text, "start wsi-parse where jobs are submitted (a login node)", facts)
    if not facts["dask_jobqueue"]:
        text = "The commands are here, but dask-jobqueue is not installed, which submits the jobs."
        return Finding(check, name, "warn", text, 'pip install "wsi-parse[cluster]"', facts)
    try:
        done = subprocess.run(question, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        text = f"{question[0]} does not answer within {_ANSWER_SECONDS:g} s."
        return Finding(check, name, "warn", text, " ".join(question), facts)
    said = " ".join((done.stdout or done.stderr).split())[:120]
    if done.returncode:
        return Finding(
            check,
            name,
            "warn",
            f"{question[0]} fails: {said}",
            f"{' '.join(question)}   (until it works, jobs cannot be submitted)",
            facts,
        )
    return Finding(
        check, name, "ok", f"{question[0]} answers ({said}); to submit jobs, add --cluster {name}.", facts=facts
    )


def _has_jobqueue() -> bool:
    return find_spec("dask_jobqueue") is not None
