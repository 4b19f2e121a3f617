"""Missing packages and invalid options of clusters are reported in one line; GPUs are tested with a stand-in."""

import re
import signal
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pytest

from wsi_parse.compute.cluster import Cluster
from wsi_parse.errors import ClusterError, SettingsError, UnknownNameError
from wsi_parse.settings import ComputeSettings
from wsi_parse.testing.clusters import ClusterTests


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("slurm", "dask_jobqueue", "cluster"),
        ("pbs", "dask_jobqueue", "cluster"),
        ("lsf", "dask_jobqueue", "cluster"),
    ],
)
def test_a_missing_package_is_named_with_what_to_do(
    name: str, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ClusterError) as caught, Cluster(ComputeSettings(cluster=name), tmp_path) as cluster:
        cluster.client()
    assert f"pip install 'wsi-parse[{extra}]'" in str(caught.value)


def test_unknown_options_are_refused(tmp_path: Path) -> None:
    settings = ComputeSettings(cluster="slurm", options={"wall": "1:00:00"})
    with pytest.raises(SettingsError, match="wall"), Cluster(settings, tmp_path) as cluster:
        cluster.client()


def test_importing_dask_jobqueue_leaves_ctrl_c_alone(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with (
        pytest.raises(SettingsError),
        Cluster(ComputeSettings(cluster="slurm", options={"no": 1}), tmp_path) as cluster,
    ):
        cluster.client()
    assert signal.getsignal(signal.SIGINT) is before


def test_kubernetes_is_not_offered(tmp_path: Path) -> None:
    """Its package starts ``dask-scheduler`` and ``dask-worker`` in the pods, which the Dask that we need has not."""
    settings = ComputeSettings(cluster="kubernetes")
    with pytest.raises(UnknownNameError, match="slurm"), Cluster(settings, tmp_path) as cluster:
        cluster.client()


COMMAND = re.compile(r"\bdask[ -](worker|scheduler)\b")


def test_every_command_of_dask_that_we_name_is_shipped() -> None:
    root = Path(__file__).parents[2]
    files = [path for part in ("wsi_parse", "configs", "workflows", "docs") for path in (root / part).rglob("*")]
    named: dict[str, list[str]] = {}
    for path in [*files, root / "README.md"]:
        if path.suffix in {".py", ".md", ".yaml", ".yml", ".sh", ""} and path.is_file():
            for found in COMMAND.finditer(path.read_text(encoding="utf-8")):
                named.setdefault(found.group(), []).append(path.name)
    shipped = {f"dask {command.name}" for command in entry_points(group="dask_cli")}
    assert "dask worker" in named
    assert not named.keys() - shipped, named


def test_a_cluster_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="slurm"), Cluster(ComputeSettings(cluster="sge"), tmp_path) as cluster:
        cluster.client()


def test_each_gpu_gets_a_worker_if_dask_cuda_finds_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uses a stand-in, because there is no GPU."""
    asked = {}

    class LocalCUDACluster:
        def __init__(self, **options: object) -> None:
            asked.update(options)
            raise ClusterError("seen")

    package, utils = ModuleType("dask_cuda"), ModuleType("dask_cuda.utils")
    package.LocalCUDACluster = LocalCUDACluster  # type: ignore[attr-defined]
    utils.get_n_gpus = lambda: 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dask_cuda", package)
    monkeypatch.setitem(sys.modules, "dask_cuda.utils", utils)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: package)
    with (
        pytest.raises(ClusterError, match="seen"),
        Cluster(ComputeSettings(threads=6), tmp_path) as cluster,
    ):
        cluster.workers(2)
    assert asked["n_workers"] == 3
    assert asked["threads_per_worker"] == 2
    assert asked["resources"] == {"GPU": 2}
    assert asked["security"].require_encryption
    assert asked["protocol"] == "tls://"
    assert asked["dashboard_address"] is None
    assert asked["worker_class"].__name__ == "PrivateWorker"


class TestThreads(ClusterTests):
    @pytest.fixture
    def settings(self) -> ComputeSettings:
        return ComputeSettings(threads=2)


@pytest.mark.whole
class TestProcesses(ClusterTests):
    @pytest.fixture
    def settings(self) -> ComputeSettings:
        return ComputeSettings(workers=1, threads=1)
