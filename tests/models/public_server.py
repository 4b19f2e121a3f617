"""A stand-in for the server of a public file, on this machine."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from wsi_parse.models.public_file import PublicFile


class Server(ThreadingHTTPServer):
    """Serves one file, with ranges; each way in which it can fail is a switch."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.name, self.known = name, data
        self.data, self.status, self.knows_ranges = data, 200, True
        # How many answers end in the middle.
        self.breaks = 0
        self.ranges: list[str | None] = []

    @property
    def file(self) -> PublicFile:
        """What is known of the file, whatever is served."""
        address = f"http://127.0.0.1:{self.server_address[1]}/slides/{self.name}"
        return PublicFile(address, len(self.known), hashlib.sha256(self.known).hexdigest())


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted and server.knows_ranges else 0
        self.send_response(206 if start and server.status == 200 else server.status)
        sent = server.data[start:]
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.data) - 1}/{len(server.data)}")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        if server.breaks:
            server.breaks -= 1
            sent = sent[: len(sent) // 2]
            self.close_connection = True
        self.wfile.write(sent)


@contextmanager
def serving(name: str, data: bytes) -> Iterator[Server]:
    """Serve one file until the block ends."""
    with Server(name, data) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
