"""A Dask scheduler that is already running, reached by its address or through a client of the user's own."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from distributed import Client
from distributed.security import Security

from wsi_parse.errors import ClusterError, UsageError
from wsi_parse.settings import ComputeSettings

_ANSWERS_WITHIN = "20s"


@contextmanager
def connect(settings: ComputeSettings, at_once: int | None, folder: Path) -> Iterator[Client]:
    """Connect; scheduler and workers keep running afterwards.

    Raises
    ------
    ClusterError
        If no scheduler answers.
    """
    del at_once, folder
    security = None
    if settings.tls_ca or settings.tls_cert or settings.tls_key:
        ca, cert, key = (str(path) if path else None for path in (settings.tls_ca, settings.tls_cert, settings.tls_key))
        security = Security(tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key, require_encryption=True)
    try:
        client = Client(settings.cluster, security=security, timeout=_ANSWERS_WITHIN, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(
            f"No scheduler answers at {settings.cluster}: {str(error) or type(error).__name__}.",
            "Start one with: dask scheduler; for tls:// set compute.tls_ca, tls_cert and tls_key.",
        ) from error
    with closing(client):
        yield client


@contextmanager
def beside(given: Client) -> Iterator[Client]:
    """Connect to the scheduler of a client of the user's own, which stays as it is.

    A connection of our own can be closed to stop waiting, and it releases our tasks when it ends, whatever the user
    does with theirs.

    Raises
    ------
    UsageError
        If it is no client.
    ClusterError
        If the client is closed, or its scheduler does not answer.
    """
    if not isinstance(given, Client):
        raise UsageError(
            f"A client is a distributed.Client, not {given!r}.",
            'Give a client, or the address of a scheduler: RunSettings(compute={"cluster": "tcp://..."}).',
        )
    address = given.scheduler.address if given.scheduler is not None else None
    if given.status != "running" or not address:
        raise ClusterError("The client that was given is closed.", "Give a client that is connected to its scheduler.")
    try:
        client = Client(address, security=given.security, timeout=_ANSWERS_WITHIN, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(
            f"The scheduler of the client that was given does not answer: {str(error) or type(error).__name__}.",
            "Give a client that is connected to its scheduler.",
        ) from error
    with closing(client):
        yield client
