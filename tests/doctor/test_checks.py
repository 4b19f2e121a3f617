"""Each check says what is wrong, and how to mend it: with folders, packages, devices and weights that are wrong."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.slides.opencv import without_opencv
from wsi_parse.doctor import Finding, batch_systems, device, models, packages, readers, storage, workers
from wsi_parse.errors import ClusterError, SlideOpenError, WeightsError
from wsi_parse.models.device_speed import DeviceSpeed, measure
from wsi_parse.models.mini.facts import EMBEDDED
from wsi_parse.models.mini.segmenter import MiniModel
from wsi_parse.models.weights import Weights


def by_name(findings: Iterator[Finding]) -> dict[str, Finding]:
    found = {one.name: one for one in findings}
    assert all(one.remedy for one in found.values() if one.status != "ok")
    return found


class TestPackages:
    @pytest.fixture
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """Pretend that only these packages are installed: name -> (version, what it needs)."""

        def install(known: Mapping[str, tuple[str, list[str]]]) -> None:
            def find(name: str) -> Any:
                if name not in known:
                    raise packages.PackageNotFoundError(name)
                metadata = Message()
                metadata["Provides-Extra"] = "cluster"
                number, requires = known[name]
                return SimpleNamespace(version=number, requires=requires, metadata=metadata)

            monkeypatch.setattr(packages, "distribution", find)
            monkeypatch.setattr(packages, "version", lambda name: find(name).version)

        return install

    def test_what_fits_together_is_one_line(self, installed: Callable[..., None]) -> None:
        installed({"wsi-parse": ("1", ["torch>=2.11"]), "torch": ("2.14.1+cu130", ["wsi-parse"])})
        found = by_name(packages.check_packages("packages"))
        assert found["requirements"].facts == {"torch": "2.14.1+cu130"}
        assert found.keys() == {"python", "requirements", "extras"}

    def test_clashes_are_found_however_deep(self, installed: Callable[..., None]) -> None:
        needs = [
            "Shapely>=2.1.1",
            "timm",
            "gone>=1",
            "elsewhere; sys_platform == 'none'",
            "dask-jobqueue; extra=='cluster'",
        ]
        known = {
            "wsi-parse": ("1", needs),
            "Shapely": ("2.1.0", []),
            "timm": ("1", ["torchvision", "not a requirement!"]),
            "torchvision": ("0.29", ["torch==2.14.1"]),
            "torch": ("2.13.0", []),
        }
        installed(known)
        found = by_name(packages.check_packages("packages"))
        assert found["torch"].text == "torch is 2.13.0, and torchvision needs ==2.14.1."
        assert found["torch"].remedy == 'pip install "torch==2.14.1"'
        assert found["Shapely"].text == "Shapely is 2.1.0, and wsi-parse needs >=2.1.1."
        assert found["gone"].text == "gone is not installed, and wsi-parse needs it."
        assert {one.status for name, one in found.items() if name not in {"python", "extras"}} == {"fail"}
        assert found["extras"].facts["absent"] == ["cluster"]
        assert found["extras"].remedy == 'for one of them: pip install "wsi-parse[cluster]"'

    def test_without_its_metadata_it_is_not_installed(self, installed: Callable[..., None]) -> None:
        installed({})
        assert by_name(packages.check_packages("packages"))["requirements"].status == "fail"


class TestReaders:
    def test_a_library_that_reads_wrong_pixels_or_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        right = readers.open_slide

        def wrong(path: Path, options: Any) -> Any:
            if path.suffix == ".png":
                raise SlideOpenError("It is broken.")
            slide = right(path, options)
            if path.suffix == ".svs":
                read = slide.read
                monkeypatch.setattr(slide, "read", lambda *given: 255 - read(*given))
            return slide

        monkeypatch.setattr(readers, "open_slide", wrong)
        found = by_name(readers.check_readers("readers"))
        assert found["Aperio SVS"].text == "openslide reads a small Aperio SVS with wrong pixels."
        assert found["PNG"].text == "A small PNG cannot be read: It is broken."
        assert [found[kind].status for kind in ("Aperio SVS", "PNG", "OME-TIFF")] == ["fail", "fail", "ok"]
        assert {"openslide", "tiffslide", "image", "libraries"} <= found.keys()
        assert found["OpenCV"].status == "ok"

    def test_opencv_that_cannot_be_imported_is_told_and_nothing_else_suffers(self) -> None:
        with without_opencv():
            found = by_name(readers.check_readers("readers"))
        assert {name for name, one in found.items() if one.status != "ok"} == {"OpenCV"}
        assert "take longer" in found["OpenCV"].text


class TestDevice:
    @pytest.fixture
    def speeds(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Finding]]:
        def check(float32: float, bfloat16: float, chosen: str, **known: Any) -> dict[str, Finding]:
            speed = DeviceSpeed("cpu", "A processor", None, None, {"float32": float32, "bfloat16": bfloat16})
            monkeypatch.setattr(device, "measure", lambda _: speed)
            monkeypatch.setattr(device, "choose_precision", lambda *_: chosen)
            monkeypatch.setattr(device, "devices", lambda: [torch.device("cpu")])
            monkeypatch.setattr(device, "torch_build", lambda: ("2.14", known.get("cuda")))
            monkeypatch.setattr(device, "_DRIVER", known.get("driver", Path("/none")))
            monkeypatch.setattr(device, "has_mps", lambda: known.get("mps", False))
            return by_name(device.check_device("device"))

        return check

    def test_the_faster_precision_is_said_and_how_to_have_it(self, speeds: Callable[..., Any]) -> None:
        slow = speeds(100.0, 20.0, "bfloat16")["cpu"]
        assert (slow.status, slow.remedy) == ("warn", "for more speed, add --set model.precision=float32")
        assert "float32 is 5.0 times faster, and runs use bfloat16" in slow.text
        assert speeds(100.0, 20.0, "float32")["cpu"].status == "ok"
        assert "--set model.precision=bfloat16 " in speeds(100.0, 200.0, "float32")["cpu"].remedy
        assert speeds(100.0, 110.0, "float32")["cpu"].status == "ok"

    def test_why_there_is_no_gpu(self, speeds: Callable[..., Any], tmp_path: Path) -> None:
        assert speeds(1.0, 1.0, "float32")["gpu"].status == "ok"
        built_without = speeds(1.0, 1.0, "float32", driver=tmp_path)["gpu"]
        assert (built_without.status, "was built without CUDA" in built_without.text) == ("warn", True)
        hidden = speeds(1.0, 1.0, "float32", driver=tmp_path, cuda="13.0")["gpu"]
        assert (hidden.status, "for CUDA 13.0 sees no GPU" in hidden.text) == ("warn", True)
        assert "networks run on the processor" in speeds(1.0, 1.0, "float32", mps=True)["mps"].text

    def test_a_device_that_does_not_compute(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(_: Any) -> DeviceSpeed:
            raise RuntimeError("CUDA error: unspecified\nlaunch failure")

        monkeypatch.setattr(device, "devices", lambda: [torch.device("cuda", 0), torch.device("cpu")])
        monkeypatch.setattr(device, "measure", broken)
        found = by_name(device.check_device("device"))
        assert found["cuda:0"].text == "cuda:0 does not compute: CUDA error: unspecified launch failure."
        assert found["cuda:0"].status == "fail"

    @pytest.mark.parametrize(
        ("limit", "used", "status"), [(9e9, 1e9, "ok"), (9e9, 6e9, "warn"), (9e9, 8e9, "fail"), (None, 0, "ok")]
    )
    def test_the_limit_of_a_container_counts(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: float | None, used: float, status: str
    ) -> None:
        memory = SimpleNamespace(total=64_000_000_000, available=60_000_000_000)
        monkeypatch.setattr(device.psutil, "virtual_memory", lambda: memory)
        (tmp_path / "max").write_text("max\n" if limit is None else f"{limit:.0f}\n")
        (tmp_path / "current").write_text(f"{used:.0f}\n")
        monkeypatch.setattr(device, "_LIMITS", (tmp_path / "max",))
        monkeypatch.setattr(device, "_USED", (tmp_path / "current",))
        found = device._memory("device")
        assert found.status == status
        assert found.facts["memory_bytes"] == (limit or memory.total)

    def test_a_speed_is_measured(self) -> None:
        speed = measure(torch.device("cpu"), seconds=0.01)
        assert min(speed.gflops.values()) > 0
        assert speed.gflops[speed.fastest] == max(speed.gflops.values())


class TestModels:
    def test_embedded_weights_that_are_not_those_of_this_version(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(MiniModel, "recorded_sha256", classmethod(lambda _: "0" * 64))
        found = by_name(models.check_models("models"))
        assert found["mini"].status == "fail"
        assert "those of this version 000000000000" in found["mini"].text
        assert found["stain"].status == "ok"

    def test_large_weights_are_not_hashed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_: Weights) -> None:
            raise WeightsError("They were read.", "-")

        monkeypatch.setattr(Weights, "check", refuse)
        assert by_name(models.check_models("models"))["mini"].status == "fail"
        monkeypatch.setattr(models, "_HASHED_BYTES", 1000)
        found = by_name(models.check_models("models"))["mini"]
        assert (found.status, found.remedy) == ("ok", "to hash it and predict: wsi-parse models verify mini")

    def test_weights_that_are_not_there_or_torn(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("WSI_PARSE_CACHE", str(tmp_path))
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        absent = by_name(models.check_models("models"))["biomedparse"]
        assert absent.status == "warn"
        assert "CC-BY-NC-SA-4.0" in absent.text
        assert absent.remedy.startswith("Get them: wsi-parse models get biomedparse (1.8 GB)")
        assert "hf_secret" not in absent.remedy
        torn = tmp_path / "mini.safetensors"
        torn.write_bytes(EMBEDDED.read_bytes()[:1000])
        monkeypatch.setattr("wsi_parse.models.mini.segmenter.EMBEDDED", torn)
        assert by_name(models.check_models("models"))["mini"].status == "fail"


class TestStorage:
    @pytest.fixture
    def look(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Finding]:
        def check(system: str = "ext4", free: float = 1e12, name: str = "scratch") -> Finding:
            monkeypatch.setattr(storage, "file_system", lambda _: system)
            monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
            return storage._folder("storage", name, tmp_path / "not" / "there", "~/x", "set TMPDIR")

        return check

    def test_a_folder_is_judged_and_left_as_it_was(self, look: Callable[..., Finding], tmp_path: Path) -> None:
        found = look()
        assert (found.status, found.text) == ("ok", "~/x: writable, 1000.0 GB free, file system ext4.")
        assert found.facts == {"free_bytes": 1e12, "file_system": "ext4", "network": False, "locks": True}
        assert not list(tmp_path.iterdir())

    def test_what_is_wrong_with_a_folder(self, look: Callable[..., Finding], monkeypatch: pytest.MonkeyPatch) -> None:
        assert (look(free=1e8).status, look(free=1e9).status) == ("fail", "warn")
        network = look("nfs4")
        assert (network.status, network.facts["network"]) == ("warn", True)
        assert "on the network" in network.text
        assert look("nfs4", name="cache of models").status == "ok"
        assert "it takes memory" in look("tmpfs").text
        monkeypatch.setattr(storage, "_locks_work", lambda _: False)
        assert "files cannot be locked there" in look("nfs4").text

        def refuse(_: Path) -> None:
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr(storage, "try_writing", refuse)
        found = look()
        assert (found.status, found.text) == ("fail", "~/x is not writable: Read-only file system.")

    def test_a_file_system_is_that_of_the_nearest_mount(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        mounts = [
            SimpleNamespace(mountpoint=str(path), fstype=kind) for path, kind in ((tmp_path, "NFS"), ("/", "xfs"))
        ]
        monkeypatch.setattr(storage.psutil, "disk_partitions", lambda **_: mounts)
        (tmp_path / "in").mkdir()
        assert (storage.file_system(tmp_path / "in"), storage.file_system(tmp_path.parent)) == ("nfs", "xfs")
        monkeypatch.setattr(storage.psutil, "disk_partitions", lambda **_: [])
        assert storage.file_system(tmp_path) == "unknown"


class TestWorkers:
    def test_workers_that_do_not_start_or_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(count: int) -> None:
            raise ClusterError("No more processes.", "ulimit -u") if count else TimeoutError("15 s are over.")

        monkeypatch.setattr(workers, "try_workers", fail)
        found = by_name(workers.check_workers("dask"))
        assert found["threads"].text == "No worker answers: 15 s are over."
        assert (found["processes"].text, found["processes"].remedy) == ("No more processes.", "ulimit -u")
        assert {one.status for one in found.values()} == {"fail"}


class TestBatchSystems:
    @pytest.fixture
    def commands(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, Finding]]:
        """Look for batch systems where only these commands are: name -> script."""

        def check(**scripts: str) -> dict[str, Finding]:
            for name, script in scripts.items():
                (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
                (tmp_path / name).chmod(0o755)
            monkeypatch.setenv("PATH", str(tmp_path))
            return by_name(batch_systems.check_batch_systems("clusters"))

        return check

    def test_none_some_or_all_commands(self, commands: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
        assert commands()["batch systems"].status == "ok"
        some = commands(sbatch="")["slurm"]
        assert (some.status, some.facts["absent"]) == ("warn", ["scancel", "sinfo"])
        found = commands(scancel="", sinfo="echo main gpu")["slurm"]
        assert (found.status, found.text) == ("ok", "sinfo answers (main gpu); to submit jobs, add --cluster slurm.")
        down = commands(sinfo="echo no controller >&2; exit 1")["slurm"]
        assert (down.status, down.text) == ("warn", "sinfo fails: no controller")
        monkeypatch.setattr(batch_systems, "_ANSWER_SECONDS", 0.2)
        assert commands(sinfo="exec /bin/sleep 30")["slurm"].text == "sinfo does not answer within 0.2 s."
        monkeypatch.setattr(batch_systems, "find_spec", lambda _: None)
        assert commands()["slurm"].remedy == 'pip install "wsi-parse[cluster]"'
