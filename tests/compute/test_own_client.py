"""A Dask client of the user's own: used, never closed; a model that needs no device asks its workers for none."""

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import CancelledError, Client, LocalCluster

from tests.compute import on_device
from tests.compute.test_tcp import SMALL
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.cohort import list_cohort, run_cohort
from wsi_parse.compute.cluster import Cluster, resources_for
from wsi_parse.errors import ClusterError
from wsi_parse.progress import Silent
from wsi_parse.run.segment import segment_slide
from wsi_parse.settings import ComputeSettings, ModelSettings, RunSettings

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slides") / "s.svs", tissue_with_nuclei(900, 700)[0])


def settings_of(model: str = "stain", **model_settings: Any) -> RunSettings:
    return RunSettings.load(
        overrides=SMALL, prompts="nuclei", model={"name": model, "field_um": 128.0, **model_settings}
    )


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Two worker processes of one thread that declare nothing, as ``Client()`` starts them."""
    with _cluster() as cluster, Client(cluster, set_as_default=False) as client:
        yield client


def _cluster(**more: Any) -> LocalCluster:
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    return LocalCluster(**{**options, "silence_logs": logging.CRITICAL, "preload": on_device.__file__, **more})


@pytest.fixture(scope="module")
def expected(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return segment_slide(slide, tmp_path_factory.mktemp("here"), settings_of()).manifest.outputs


def test_workers_of_ones_own_client_give_the_same_bytes(
    slide: Path, plain: Client, expected: dict[str, str], tmp_path: Path
) -> None:
    run = segment_slide(slide, tmp_path, settings_of(), client=plain)
    assert run.manifest.outputs == expected
    assert plain.status == "running"
    assert plain.submit(sum, [1, 2]).result() == 3
    # Nothing of ours stays with their scheduler.
    assert not [key for key in plain.run_on_scheduler(_tasks) if "predict" in key or "outline" in key]
    assert not any("wsi-parse" in name for name in plain.run_on_scheduler(_plugins))


def _tasks(dask_scheduler: Any) -> list[str]:
    return [str(key) for key in dask_scheduler.tasks]


def _plugins(dask_scheduler: Any) -> list[str]:
    return list(dask_scheduler.worker_plugins)


def test_relative_paths_are_those_of_this_process(
    slide: Path, plain: Client, expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers were started in another folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / slide.name).symlink_to(slide)
    assert segment_slide(slide.name, "out", settings_of(), client=plain).manifest.outputs == expected
    assert (tmp_path / "out" / "run.json").is_file()


def test_a_client_in_this_process(slide: Path, expected: dict[str, str], tmp_path: Path) -> None:
    with _cluster(processes=False, n_workers=1) as cluster, Client(cluster, set_as_default=False) as client:
        assert segment_slide(slide, tmp_path, settings_of(), client=client).manifest.outputs == expected
        assert client.status == "running"


def test_a_cohort_on_ones_own_client(slide: Path, plain: Client, expected: dict[str, str], tmp_path: Path) -> None:
    outcomes = run_cohort(list_cohort(slide, tmp_path), tmp_path, settings_of(), client=plain)
    assert [outcome.state for outcome in outcomes] == ["done"]
    assert plain.status == "running"
    assert (tmp_path / "s" / "annotations.geojson").is_file()


@pytest.mark.parametrize("name", ["on-device", "mini"])
def test_workers_that_lack_the_device_are_told_at_once(slide: Path, plain: Client, name: str, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"declares the resource GPU.*Client\(resources=\{\"GPU\": 1\}\)"):
        segment_slide(slide, tmp_path, settings_of(name), client=plain)
    assert plain.status == "running"


def test_a_network_on_processors_needs_no_device(
    slide: Path, plain: Client, expected: dict[str, str], tmp_path: Path
) -> None:
    run = segment_slide(slide, tmp_path, settings_of("on-device", device="cpu"), client=plain)
    assert run.manifest.counts["nuclei"] > 50


def test_workers_with_the_device_run_the_model(slide: Path, expected: dict[str, str], tmp_path: Path) -> None:
    with _cluster(resources={"GPU": 1}) as cluster, Client(cluster, set_as_default=False) as client:
        assert resources_for(client, ModelSettings(name="on-device")) == {"GPU": 1}
        assert resources_for(client, ModelSettings(name="on-device", device="cpu")) == {"GPU": 1}
        assert resources_for(client, ModelSettings(name="stain")) == {}
        run = segment_slide(slide, tmp_path, settings_of("on-device"), client=client)
    assert run.manifest.counts["nuclei"] > 50


def test_a_client_that_was_closed(slide: Path, tmp_path: Path) -> None:
    with _cluster(processes=False, n_workers=1) as cluster:
        client = Client(cluster, set_as_default=False)
        client.close()
        with pytest.raises(ClusterError, match="client that was given is closed"):
            segment_slide(slide, tmp_path, settings_of(), client=client)


def test_a_client_without_workers(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsi_parse.compute.cluster._GIVEN_WITHIN_SECONDS", 1.0)
    with _cluster(processes=False, n_workers=0) as cluster, Client(cluster, set_as_default=False) as client:
        with pytest.raises(ClusterError, match=r"has had no worker for 1 s.*Add workers"):
            segment_slide(slide, tmp_path, settings_of(), client=client)
        assert client.status == "running"


def test_what_waits_for_tasks_is_released_and_the_client_stays(tmp_path: Path, plain: Client) -> None:
    """As a cohort does on Ctrl-C: `abandon` ends the waiting of every thread."""
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            future.result()
        except (CancelledError, OSError) as error:
            ended.append(error)

    with Cluster(ComputeSettings(), tmp_path, model=ModelSettings(name="stain"), given=plain) as cluster:
        future = cluster.client().submit(time.sleep, 600, pure=False)
        waiting = threading.Thread(target=wait)
        waiting.start()
        cluster.abandon()
        waiting.join(timeout=60)
    assert ended
    assert plain.status == "running"
    plain.restart()


def test_notes_of_the_run_are_heard(slide: Path, plain: Client, tmp_path: Path) -> None:
    class Hearing(Silent):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    heard = Hearing()
    segment_slide(slide, tmp_path, settings_of(), prompts="cells", progress=heard, client=plain)
    assert [note for note in heard.notes if "'cells' is understood as 'nuclei'" in note]
