"""A Dask scheduler that is already running, reached by its address or through a client of the user's own."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from distributed import Client
from distributed.comm import connect as connect_comm
from distributed.security import Security

from wsi_parse.compute import cluster
from wsi_parse.errors import ClusterError, UsageError
from wsi_parse.settings import ComputeSettings

_ANSWERS_WITHIN_SECONDS = 20.0


@contextmanager
def connect(settings: ComputeSettings, at_once: int | None, folder: Path) -> Iterator[Client]:
    """Connect; scheduler and workers keep running afterwards.

    Raises
    ------
    ClusterError
        If no scheduler answers.
    """
    del at_once, folder
    address = settings.cluster
    security = None
    if settings.tls_ca or settings.tls_cert or settings.tls_key:
        ca, cert, key = (str(path) if path else None for path in (settings.tls_ca, settings.tls_cert, settings.tls_key))
        security = Security(tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key, require_encryption=True)
    try:
        client = _client(address, security)
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(
            f"No scheduler answers at {address}: {_reason(error)}.",
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
        client = _client(address, given.security)
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(
            f"The scheduler of the client that was given does not answer: {_reason(error)}.",
            "Give a client that is connected to its scheduler.",
        ) from error
    with closing(client):
        yield client


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(".")


def _client(address: str, security: Security | None) -> Client:
    """Connect to a scheduler.

    Raises
    ------
    OSError, ValueError, TypeError
        It is not there, does not answer as a scheduler, or the credentials do not fit.
    """
    if not address.startswith("inproc://"):
        _greet(address, security or Security())
    client = Client(address, security=security, timeout=f"{_ANSWERS_WITHIN_SECONDS:.0f}s", set_as_default=False)
    try:
        cluster.workers_of(client)
    except OSError:
        client.close(timeout=1)
        raise
    return client


def _greet(address: str, security: Security) -> None:
    """Exchange greetings with a scheduler: the client of Dask waits for ever where something accepts and is silent.

    Raises
    ------
    OSError, ValueError, TypeError
        As :func:`_client` does.
    """
    found: list[Exception] = []

    async def greet() -> None:
        arguments = security.get_connection_args("client")
        comm = await connect_comm(address, timeout=_ANSWERS_WITHIN_SECONDS, **arguments)
        await comm.close()

    def run() -> None:
        try:
            asyncio.run(asyncio.wait_for(greet(), _ANSWERS_WITHIN_SECONDS))
        except TimeoutError:
            found.append(OSError(f"it accepts the connection and has been silent for {_ANSWERS_WITHIN_SECONDS:.0f} s"))
        except (OSError, ValueError, TypeError) as error:
            found.append(error)
        except Exception as error:  # noqa: BLE001 - whatever Dask makes of bytes that no scheduler sends
            found.append(OSError(f"it does not answer as a scheduler ({type(error).__name__})"))

    # A notebook has a loop of events in this thread.
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if found:
        raise found[0]
