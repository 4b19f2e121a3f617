"""Viewing: the viewer of a run inside a notebook, served by a thread of the process that asked for it."""

import atexit
import os
import shutil
import socket
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock, Thread

from wsi_parse.errors import UsageError
from wsi_parse.files import MANIFEST_NAME, file_stamp
from wsi_parse.gates import check_input
from wsi_parse.run.result import OBJECTS
from wsi_parse.text import RESEARCH_ONLY, RESEARCH_ONLY_SENTENCE, for_html
from wsi_parse.viewer.gate import HOST
from wsi_parse.viewer.serve import listening_at, server_of
from wsi_parse.viewer.subject import Request, opened_of

# Longer than the server itself waits for answers under way.
_END_SECONDS = 15
_LEAST_HEIGHT_PX = 100


class Viewing:
    """A viewer that is served until it is closed, or until the process ends.

    In a notebook it shows itself as a frame; elsewhere open its link in a browser on the same machine.

    Parameters
    ----------
    folder : Path
        Of a run.
    slide : Path or None
        The slide, or the folder it is in.
    others : sequence of Path
        GeoJSON files to lie over the slide.
    port : int
        0: a free one.
    height : int
        Of the frame, in pixels of the screen.
    """

    def __init__(self, folder: Path, slide: Path | None, others: Sequence[Path], *, port: int, height: int) -> None:
        #: Height of the frame, in pixels of the screen.
        self.height = height
        #: What the user should know, such as that the result was changed since the run.
        self.notes: list[str] = []
        self._owner, self._stack = os.getpid(), ExitStack()
        with ExitStack() as stack:
            # A process that was forked from this one must not remove it when it ends.
            temporary = Path(tempfile.mkdtemp(prefix="wsi-parse-view-"))
            stack.callback(shutil.rmtree, temporary, ignore_errors=True)
            opened = opened_of(Request(folder, slide, others, temporary, self.notes.append))
            stack.callback(opened.close)
            self._server, token = server_of(opened, embedded=True)
            listening = stack.enter_context(listening_at(port))
            # The server closes its own.
            stack.callback(_stop_listening, stack.enter_context(listening.dup()))
            #: The port on this machine.
            self.port = int(listening.getsockname()[1])
            #: Opens the viewer, in any browser on this machine.
            self.link = f"http://{HOST}:{self.port}/s/0/?token={token}"
            self._thread = Thread(
                target=self._server.run, kwargs={"sockets": [listening]}, name="wsi-parse-view", daemon=True
            )
            self._thread.start()
            self._stack = stack.pop_all()
        atexit.register(self.close)

    @property
    def is_open(self) -> bool:
        """Whether it is still served, by this process."""
        return self._thread.is_alive() and self._owner == os.getpid()

    def close(self) -> None:
        """Stop serving it; what its frame shows stays, and nothing more comes."""
        atexit.unregister(self.close)
        if self._owner != os.getpid():
            return
        self._server.should_exit = True
        self._thread.join(_END_SECONDS)
        self._stack.close()

    def __repr__(self) -> str:
        return f"<Viewer at {self.link} ({RESEARCH_ONLY})>" if self.is_open else "<Viewer, closed>"

    def _repr_html_(self) -> str:
        """Show it as a frame, with the link for those whose notebook runs on another machine."""
        if not self.is_open:
            return "<p>The viewer is closed.</p>"
        link, port = for_html(self.link), self.port
        notes = "".join(f"<p>{for_html(note)}</p>" for note in self.notes)
        style = f"width: 100%; height: {self.height}px; border: 1px solid #8888"
        return (
            f'<iframe src="{link}" title="Viewer of wsi-parse" allow="clipboard-write" style="{style}"></iframe>{notes}'
            f'<p><a href="{link}" target="_blank" rel="noopener">In a window of its own</a>. If the frame stays empty, '
            f"run this cell again: the kernel has ended since; or the notebook runs on another machine: "
            f"<code>ssh -N -L {port}:{HOST}:{port} USER@THAT-MACHINE</code>, then run this cell again. "
            f"{for_html(RESEARCH_ONLY_SENTENCE)}</p>"
        )


_Key = tuple[Path, Path | None, tuple[Path, ...]]
# What is served, and by what its files are told from those that they are now.
_running: dict[_Key, tuple[Viewing, object]] = {}
_lock = Lock()


def view_run(folder: Path, slide: Path | None, others: Sequence[Path], *, port: int, height: int) -> Viewing:
    """Serve the viewer of a run from this process.

    Asked for again, the one that is open is given, as long as its files are the same; else it is closed, and replaced.

    Raises
    ------
    UsageError
        The slide was not found, the run has no objects.parquet, the port is taken, or the viewer is not installed.
    """
    check_input(folder, "the folder of a run", folder=True)
    if not isinstance(height, int) or height < _LEAST_HEIGHT_PX:
        raise UsageError(f"The frame cannot be {height} pixels high.", f"Give a number from {_LEAST_HEIGHT_PX} on.")
    key = (folder.absolute(), slide, tuple(path.absolute() for path in others))
    files = tuple(map(file_stamp, (folder / MANIFEST_NAME, folder / OBJECTS, *others)))
    with _lock:
        found, known = _running.get(key, (None, None))
        if found is not None and (not found.is_open or known != files or port not in (0, found.port)):
            found.close()
            found = None
        if found is None:
            found = Viewing(folder, slide, tuple(others), port=port, height=height)
            _running[key] = (found, files)
        found.height = height
        return found


def _stop_listening(listening: socket.socket) -> None:
    """End it also where a process that was forked meanwhile holds the same socket."""
    with suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)
