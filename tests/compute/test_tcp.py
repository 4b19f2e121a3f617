"""A scheduler over TCP with real worker processes: placement, checks, lost workers; always the same bytes."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compute import deadly, sleepy
from tests.compute import processes as processes_module
from tests.compute.processes import DaskProcesses, children_of, dask_processes, wait_until
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.compute import worker_check as check_module
from wsi_parse.compute.cluster import Cluster, workers_of
from wsi_parse.compute.memory import RemoteMemory
from wsi_parse.compute.worker import Done
from wsi_parse.errors import ClusterError, StageError
from wsi_parse.progress import Silent
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import ComputeSettings, RunSettings
from wsi_parse.testing.clusters import ClusterTests

pytestmark = pytest.mark.whole

SMALL = ("tissue.detect=false", "tiles.block=1", "objects.chunk_px=256", "export.overlay_px=0", "export.report=false")
GPU = ("--resources", "GPU=1")
OPENSSL = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost")


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slides") / "s.svs", tissue_with_nuclei(1500, 1300)[0])


def settings_of(*more: str, model: str = "on-device", **compute: object) -> RunSettings:
    return RunSettings.load(
        overrides=(*SMALL, "model.field_um=128", *more), prompts=("nuclei",), model={"name": model}, compute=compute
    )


@pytest.fixture(scope="module")
def expected(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return run_slide(slide, tmp_path_factory.mktemp("here"), settings_of()).outputs


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    """Two workers that declare a GPU, and one that does not."""
    with dask_processes(tmp_path_factory.mktemp("dask")) as processes:
        for more in (GPU, GPU, ()):
            processes.start_worker(*more)
        processes.wait_for_workers()
        yield processes


@pytest.fixture(scope="module")
def dask_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    with dask_processes(tmp_path_factory.mktemp("alone")) as processes:
        processes.start_worker(*GPU)
        yield processes


def pids(worker: subprocess.Popen[bytes]) -> set[int]:
    return {child.pid for child in children_of(worker)}


def test_models_run_where_a_gpu_is_declared_and_outlining_also_where_none_is(
    slide: Path, dask: DaskProcesses, expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Done] = []
    note = RemoteMemory.note

    def noting(self: RemoteMemory, done: Done) -> None:
        seen.append(done)
        note(self, done)

    monkeypatch.setattr(RemoteMemory, "note", noting)
    manifest = run_slide(slide, tmp_path, settings_of(cluster=dask.address))
    assert manifest.outputs == expected
    with_gpu = pids(dask.workers[0]) | pids(dask.workers[1])
    without = pids(dask.workers[2])
    by_stage: dict[str, set[int]] = {"predict": set(), "outline": set()}
    for done in seen:
        by_stage[done.stage].add(int(done.process.rpartition(":")[2]))
    assert by_stage["predict"] <= with_gpu
    assert by_stage["outline"] & without
    # Memory of workers that are not children of this process counts too.
    assert manifest.peak_memory_mb is not None
    assert manifest.peak_memory_mb > 2 * 80
    assert "127.0.0.1" not in (tmp_path / "run.json").read_text()


def test_several_slides_share_the_workers(slide: Path, dask: DaskProcesses, tmp_path: Path) -> None:
    from tests.cohort.test_run import RecordingListener
    from wsi_parse.cohort import CohortSlide, Listing, run_cohort

    rows = [CohortSlide(id=name, path=slide) for name in ("one", "two", "three")]
    listener = RecordingListener()
    outcomes = run_cohort(Listing(rows), tmp_path, settings_of(cluster=dask.address), listener)
    assert [outcome.state for outcome in outcomes] == ["done"] * 3
    hashes = {(tmp_path / row.id / "annotations.geojson").read_bytes() for row in rows}
    assert len(hashes) == 1


def test_a_worker_without_a_gpu_may_come_first(tmp_path: Path) -> None:
    heard: list[str] = []
    with dask_processes(tmp_path / "dask") as processes:
        processes.start_worker()
        processes.wait_for_workers()

        def say(text: str) -> None:
            heard.append(text)
            if "No worker declares the resource GPU yet" in text:
                processes.start_worker(*GPU)

        with Cluster(ComputeSettings(cluster=processes.address), tmp_path, say) as cluster:
            resources = [worker["resources"] for worker in workers_of(cluster.client()).values()]
    assert sorted(map(len, resources)) == [0, 1]
    assert len([text for text in heard if "waiting up to 120 s" in text]) == 1


def test_no_worker_that_runs_models_is_an_error(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsi_parse.compute.cluster._DEVICE_WITHIN_SECONDS", 3.0)
    with dask_processes(tmp_path / "dask") as processes:
        processes.start_worker()
        with pytest.raises(ClusterError, match='--resources "GPU=1"'):
            run_slide(slide, tmp_path / "out", settings_of(cluster=processes.address))


def test_no_scheduler_answers(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsi_parse.compute.running_scheduler._ANSWERS_WITHIN_SECONDS", 2.0)
    with pytest.raises(ClusterError, match="No scheduler answers"):
        run_slide(slide, tmp_path / "out", settings_of(cluster="tcp://127.0.0.1:9"))
    manifest = RunManifest.load(tmp_path / "out")
    assert manifest is not None
    assert manifest.state == "failed"


class TestWorkersAreChecked:
    def test_another_version_is_refused(
        self, slide: Path, dask: DaskProcesses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(check_module, "__version__", "9.9")
        with pytest.raises(ClusterError, match=r"has wsi-parse .*, not 9\.9"):
            run_slide(slide, tmp_path, settings_of(cluster=dask.address))

    def test_everything_that_is_missing_is_named(self, slide: Path, tmp_path: Path) -> None:
        from types import SimpleNamespace

        from wsi_parse.models.weights import Weights
        from wsi_parse.settings import ModelSettings

        elsewhere = Weights(tmp_path / "none.safetensors", "0" * 64)
        check = check_module.WorkerCheck(
            "mini", ModelSettings(), elsewhere, tmp_path / "none.svs", tmp_path / "nowhere", "GPU"
        )
        with_gpu = SimpleNamespace(address="tcp://w", state=SimpleNamespace(total_resources={"GPU": 1}))
        with pytest.raises(ClusterError) as caught:
            check.setup(with_gpu)
        for words in ("cannot write", "There is no file", "none.safetensors"):
            assert words in str(caught.value)
        assert "comes from" not in str(caught.value)
        check.package = "their-package 2.0"
        with pytest.raises(ClusterError, match=r"its model comes from no package, not from their-package 2\.0"):
            check.setup(with_gpu)
        without = SimpleNamespace(address="tcp://w", state=SimpleNamespace(total_resources={}))
        with pytest.raises(ClusterError) as caught:
            check.setup(without)
        assert "none.safetensors" not in str(caught.value)
        check.out = tmp_path
        with pytest.raises(StageError, match=r"none\.svs: a worker on .* cannot read it") as one:
            check.setup(without)
        assert one.value.stage == "opening on a worker"

    def test_a_slide_that_workers_cannot_read_stops_no_other(
        self, slide: Path, dask: DaskProcesses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tests.cohort.test_run import RecordingListener
        from wsi_parse.cohort import CohortSlide, Listing, run_cohort

        (tmp_path / "here").mkdir()
        here = tmp_path / "here" / "s.svs"
        here.write_bytes(slide.read_bytes())
        made = check_module.WorkerCheck.__init__

        def of_another_machine(self: check_module.WorkerCheck, *given: object) -> None:
            made(self, *given)  # type: ignore[arg-type]
            if self.slide == here:
                self.slide = tmp_path / "not there" / "s.svs"

        monkeypatch.setattr(check_module.WorkerCheck, "__init__", of_another_machine)
        rows = [CohortSlide(id="local", path=here), CohortSlide(id="shared", path=slide)]
        outcomes = run_cohort(Listing(rows), tmp_path / "out", settings_of(cluster=dask.address), RecordingListener())
        assert [outcome.state for outcome in outcomes] == ["failed", "done"]
        assert outcomes[0].error_stage == "opening on a worker"
        assert "not there" not in str(outcomes[0].error)

    def test_the_embedded_weights_may_lie_elsewhere(self, slide: Path, tmp_path: Path) -> None:
        from dataclasses import replace

        from wsi_parse.compute.worker import weights_here
        from wsi_parse.models.mini.segmenter import MiniModel
        from wsi_parse.settings import ModelSettings

        ours = MiniModel.find_weights(ModelSettings())
        assert ours is not None
        there = replace(ours, path=tmp_path / "site-packages" / "mini.safetensors")
        assert weights_here("mini", ModelSettings(), there) == ours


@pytest.mark.kill
class TestLosses:
    def test_a_killed_worker_is_replaced(self, slide: Path, expected: dict[str, str], tmp_path: Path) -> None:
        with dask_processes(tmp_path / "dask") as processes:
            worker = processes.start_worker(*GPU)
            killed = []

            class Killer(Silent):
                def advance(self, stage: str, steps: int = 1) -> None:
                    if stage == "predict" and not killed:
                        killed.append([child.kill() for child in children_of(worker)])

            manifest = run_slide(slide, tmp_path / "out", settings_of(cluster=processes.address), Killer())
            assert killed
            assert manifest.outputs == expected

    @pytest.mark.parametrize("allowed", [0, 3, 100])
    def test_a_block_that_kills_three_workers_fails_its_slide_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int
    ) -> None:
        """For any setting of the scheduler; blocks beside it in the same process are not blamed."""
        monkeypatch.setitem(processes_module.ENVIRONMENT, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", str(allowed))
        pixels = tissue_with_nuclei(1500, 1300)[0]
        pixels[512:1024, 512:1024] = deadly.COLOUR
        bad = write_slide(tmp_path / "bad.svs", pixels)
        with dask_processes(tmp_path / "dask") as processes:
            preload = ("--preload", str(Path(deadly.__file__)))
            processes.start_worker("--resources", "GPU=2", *preload, threads=2)
            with pytest.raises(StageError, match="3 workers died one after the other") as caught:
                run_slide(bad, tmp_path / "out", settings_of(model="deadly", cluster=processes.address))
        assert caught.value.stage == "prediction"
        # Only blocks around the square of 512 px show its colour to the model.
        left, right = (int(number) for number in caught.value.place_description.split()[1].rstrip(",").split("-"))
        assert left < 1024
        assert right > 512
        assert (tmp_path / "out" / ".work").exists()

    def test_the_run_waits_for_files_that_become_visible_late(
        self,
        slide: Path,
        expected: dict[str, str],
        dask_alone: DaskProcesses,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """As on NFS: a file that did not exist when it was checked stays invisible for a while."""
        late: set[Path] = set()
        exists = Path.exists

        def visible_late(path: Path, **how: bool) -> bool:
            if path.suffix == ".npz" and path not in late:
                late.add(path)
                return False
            return exists(path, **how)

        monkeypatch.setattr(Path, "exists", visible_late)
        manifest = run_slide(slide, tmp_path / "out", settings_of(cluster=dask_alone.address))
        assert late
        assert manifest.outputs == expected
        monkeypatch.setattr(Path, "exists", lambda path, **how: path.suffix != ".npz" and exists(path, **how))
        monkeypatch.setattr("wsi_parse.compute.scheduled._VISIBLE_WITHIN_SECONDS", 0.0)
        with pytest.raises(ClusterError, match="not visible on this machine"):
            run_slide(slide, tmp_path / "other", settings_of(cluster=dask_alone.address))

    def test_ctrl_c_waits_for_no_block(self, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        begun = tmp_path / "begun"
        monkeypatch.setitem(processes_module.ENVIRONMENT, "SLEEPY_BEGUN", str(begun))
        with dask_processes(tmp_path / "dask") as processes:
            processes.start_worker(*GPU, "--preload", str(Path(sleepy.__file__)))
            command = "from tests.compute import sleepy; from wsi_parse.cli.main import main; main()"
            options = ["-o", str(tmp_path / "out"), "-p", "nuclei", "--model", "sleepy", "--cluster", processes.address]
            client = subprocess.Popen(
                [sys.executable, "-c", command, "cohort", str(slide), *options],
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
            wait_until(begun.exists, "a block is running")
            client.send_signal(signal.SIGINT)
            stderr = client.communicate(timeout=30)[1]
        assert client.returncode == 130
        assert "Interrupted." in stderr
        assert "Traceback" not in stderr

    def test_a_dead_scheduler_is_an_error_and_a_new_one_resumes(
        self, slide: Path, expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules["wsi_parse.compute.cluster"]._CONFIG, "distributed.comm.timeouts.connect", "3s")
        with dask_processes(tmp_path / "dask") as processes:
            processes.start_worker(*GPU)

            class Killer(Silent):
                def advance(self, stage: str, steps: int = 1) -> None:
                    if stage == "predict" and processes.scheduler is not None:
                        processes.scheduler.kill()

            with pytest.raises(ClusterError, match="scheduler"):
                run_slide(slide, tmp_path / "out", settings_of(cluster=processes.address), Killer())
        with dask_processes(tmp_path / "again") as processes:
            processes.start_worker(*GPU)
            manifest = run_slide(slide, tmp_path / "out", settings_of(cluster=processes.address))
        assert manifest.outputs == expected


def test_tls(slide: Path, expected: dict[str, str], tmp_path: Path) -> None:
    subprocess.run(
        [*OPENSSL, "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")],
        check=True,
        capture_output=True,
    )
    files = {"tls_ca": tmp_path / "cert.pem", "tls_cert": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    options = [
        "--tls-ca-file",
        str(files["tls_ca"]),
        "--tls-cert",
        str(files["tls_cert"]),
        "--tls-key",
        str(files["tls_key"]),
    ]
    with dask_processes(tmp_path / "dask", *options, "--protocol", "tls") as processes:
        processes.start_worker(*GPU)
        assert processes.address.startswith("tls://")
        manifest = run_slide(slide, tmp_path / "out", settings_of(cluster=processes.address, **files))
        assert manifest.outputs == expected
        with pytest.raises(ClusterError, match="tls_ca"):
            run_slide(slide, tmp_path / "not", settings_of(cluster=processes.address))


class TestRunningScheduler(ClusterTests):
    @pytest.fixture
    def settings(self, dask: DaskProcesses) -> ComputeSettings:
        return ComputeSettings(cluster=dask.address)
