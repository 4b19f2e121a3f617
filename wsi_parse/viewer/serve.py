"""The server: on this machine's own address, until it is interrupted."""

import os
import secrets
import socket
from collections.abc import Callable
from contextlib import closing

import uvicorn

from wsi_parse.errors import UsageError
from wsi_parse.viewer.app import application
from wsi_parse.viewer.gate import HOST
from wsi_parse.viewer.opened import Opened
from wsi_parse.viewer.page_files import page_files

# Decoding takes a processor for itself; the others answer what is small.
_MOST_READERS = 8
_LAST_PORT = 65_535
# What is under way when the server ends may take so long.
_END_SECONDS = 10


class _Server(uvicorn.Server):
    """Tells what takes long that nobody waits for it any more, before it waits for the answers under way."""

    def __init__(self, config: uvicorn.Config, opened: Opened) -> None:
        super().__init__(config)
        self._opened = opened

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End in order."""
        self._opened.stop()
        await super().shutdown(sockets)


def serve(opened: Opened, port: int, ready: Callable[[str, int], None]) -> None:
    """Serve slides until the process is interrupted.

    Parameters
    ----------
    opened : Opened
    port : int
        0: a free one.
    ready : callable
        Is told the link and the port when the server listens.

    Raises
    ------
    UsageError
        The port is taken, or this installation has no page.
    KeyboardInterrupt
        It was interrupted.
    """
    server, token = server_of(opened)
    with closing(listening_at(port)) as listening:
        ready(f"http://{HOST}:{listening.getsockname()[1]}/?token={token}", listening.getsockname()[1])
        server.run(sockets=[listening])


def server_of(opened: Opened, *, embedded: bool = False) -> tuple[uvicorn.Server, str]:
    """Make the server, and the token of its link; see :func:`wsi_parse.viewer.app.application`.

    Raises
    ------
    UsageError
        This installation has no page.
    """
    files, token = page_files(), secrets.token_urlsafe(24)
    threads = max(1, min(_MOST_READERS, os.cpu_count() or 1))
    config = uvicorn.Config(
        application(opened, files, token, threads, embedded=embedded),
        log_level="warning",
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_END_SECONDS,
    )
    return _Server(config, opened), token


def listening_at(port: int) -> socket.socket:
    """Open a port on this machine's own address; 0: a free one.

    Raises
    ------
    UsageError
        The port is taken.
    """
    # Only where the protocol is named, asyncio sends small answers at once: else the second part of each waits for the
    # browser to confirm the first, 40 ms.
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if not 0 <= port <= _LAST_PORT:
            raise OSError("ports are numbers from 1 to 65535")
        if os.name == "posix":
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((HOST, port))
        found.listen(128)
    except OSError as error:
        found.close()
        raise UsageError(
            f"The port {port} cannot be used: {error.strerror or error}.",
            "Choose another port, or none: then a free one is taken.",
        ) from error
    return found
