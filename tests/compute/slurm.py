"""A real SLURM of one node, started for the tests: munged, slurmctld, slurmd."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.compute.processes import wait_until

#: The default path of the configuration; Snakemake removes the variable SLURM_CONF from its jobs.
USUAL = Path("/etc/slurm/slurm.conf")
_CONFIGURATION = """\
ClusterName=t
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={first}
SlurmdPort={second}
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=16000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def slurm_of_one_node(folder: Path) -> Iterator[Path]:
    """Start SLURM; yield the log of the controller, which names every job."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    first, second = _free_ports(2)
    configuration = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    configuration.write_text(_CONFIGURATION.format(host=host, folder=folder, first=first, second=second))
    USUAL.unlink(missing_ok=True)
    USUAL.symlink_to(configuration)
    started: list[subprocess.Popen[bytes]] = []
    try:
        if not Path("/run/munge/munge.socket.2").exists() or not _munge_answers():
            subprocess.run(["install", "-d", "-o", "munge", "-g", "munge", "/run/munge"], check=True)
            command = ["runuser", "-u", "munge", "--", "munged", "--foreground", "--force"]
            started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            wait_until(_munge_answers, "munge answers", 20)
        started.append(subprocess.Popen(["slurmctld", "-D"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        time.sleep(2)
        started.append(subprocess.Popen(["slurmd", "-D"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_until(_is_idle, "the node is idle", 60)
        yield folder / "slurmctld.log"
    finally:
        subprocess.run(["scancel", "--user=root"], check=False, capture_output=True)
        time.sleep(1)
        for process in reversed(started):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        USUAL.unlink()


def _munge_answers() -> bool:
    return subprocess.run(["munge", "-n"], check=False, capture_output=True).returncode == 0


def _is_idle() -> bool:
    return "idle" in subprocess.run(["sinfo", "-h", "-o", "%t"], check=False, capture_output=True, text=True).stdout


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports
