"""ClusterTests: the contract of everything that gives a Dask client."""

import operator
import re
from pathlib import Path

import pytest

from wsi_parse.compute.cluster import DEVICE, Cluster, workers_of
from wsi_parse.registry import CLUSTERS
from wsi_parse.settings import ComputeSettings


class _StoppedError(Exception):
    """An error in the work that a cluster is used for."""


class ClusterTests:
    """The contract of every cluster. Provide a fixture `settings` (ComputeSettings with the name of the cluster)."""

    def test_its_name_can_be_typed(self, settings: ComputeSettings) -> None:
        """On a command line; an address of a running scheduler has no name."""
        assert "://" in settings.cluster or re.fullmatch(r"[a-z0-9][a-z0-9_-]*", settings.cluster)

    def test_it_gives_a_client_that_does_work(self, settings: ComputeSettings, tmp_path: Path) -> None:
        """Through :class:`Cluster`, as a run uses it; once started, it stays."""
        with Cluster(settings, tmp_path) as cluster:
            client = cluster.client()
            assert client.gather(client.map(operator.neg, range(20))) == [-number for number in range(20)]
            assert cluster.client(2) is client

    def test_a_worker_may_run_the_model(self, settings: ComputeSettings, tmp_path: Path) -> None:
        """It declares the resource that blocks are predicted with, or no block would ever be predicted."""
        with Cluster(settings, tmp_path) as cluster:
            client = cluster.client(1)
            assert any(worker["resources"].get(DEVICE, 0) >= 1 for worker in workers_of(client).values())
            assert client.submit(operator.neg, 3, resources={DEVICE: 1}).result(60) == -3

    def test_it_is_closed_with_its_context(self, settings: ComputeSettings, tmp_path: Path) -> None:
        """Afterwards the client is closed, and so are workers that were started for it."""
        with Cluster(settings, tmp_path) as cluster:
            client = cluster.client()
            assert client.status == "running"
        assert client.status == "closed"

    def test_it_is_closed_after_an_error(self, settings: ComputeSettings, tmp_path: Path) -> None:
        """The error is that of the work, not one of closing."""
        clients = []

        def work() -> None:
            with Cluster(settings, tmp_path) as cluster:
                clients.append(cluster.client())
                raise _StoppedError

        with pytest.raises(_StoppedError):
            work()
        assert clients[0].status == "closed"

    def test_it_starts_again(self, settings: ComputeSettings, tmp_path: Path) -> None:
        """Two after each other do not get in each other's way, and share no client."""
        clients = []
        for _ in range(2):
            with Cluster(settings, tmp_path) as cluster:
                clients.append(cluster.client())
                assert clients[-1].submit(operator.neg, 1).result(60) == -1
        assert clients[0] is not clients[1]

    def test_it_leaves_logs_at_most(self, settings: ComputeSettings, tmp_path: Path) -> None:
        """In the folder that it is given; nothing in the current one."""
        here = set(Path.cwd().iterdir())
        with Cluster(settings, tmp_path) as cluster:
            cluster.client()
        assert set(Path.cwd().iterdir()) == here

    def test_only_its_owner_gets_in(self, settings: ComputeSettings, tmp_path: Path) -> None:
        """Through TLS, or from this process only: whoever reaches a scheduler runs code as the owner of its workers."""
        if "://" in settings.cluster:
            # Somebody else has started it.
            return
        with Cluster(settings, tmp_path) as cluster:
            client = cluster.client()
            addresses = [client.scheduler.address, *workers_of(client)]
            assert {address.partition("://")[0] for address in addresses} <= {"tls", "inproc"}

    def test_its_starter_is_registered(self, settings: ComputeSettings) -> None:
        """Under the name in the settings."""
        assert "://" in settings.cluster or callable(CLUSTERS.get(settings.cluster))
