"""Viewing: the viewer of a run inside a notebook, served by a thread of the process that asked for it."""

import atexit
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Lock, Thread

from wsi_parse.files import MANIFEST_NAME, file_sha256
from wsi_parse.text import RESEARCH_ONLY, for_html
from wsi_parse.viewer.gate import HOST
from wsi_parse.viewer.serve import listening_at, server_of
from wsi_parse.viewer.subject import Request, opened_of

_END_SECONDS = 10
_Key = tuple[Path, Path | None, tuple[Path, ...], str]
_running: dict[_Key, "Viewing"] = {}
_lock = Lock()


class Viewing:
    """A viewer that is served until it is closed, or until the process ends.

    In a notebook it shows itself as a frame; elsewhere open its link in a browser on the same machine.

    Parameters
    ----------
    request : Request
        What is shown; it has a temporary folder of its own.
    port : int
        0: a free one.
    height : int
        Of the frame, in pixels of the screen.
    """

    def __init__(self, request: Request, port: int, height: int) -> None:
        self._height, self._stack = height, ExitStack()
        #: What the user should know, such as that the result was changed since the run.
        self.notes: list[str] = []
        with ExitStack() as stack:
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="wsi-parse-view-"))
            opened = opened_of(replace(request, temporary=Path(temporary), say=self.notes.append))
            stack.callback(opened.close)
            self._server, token = server_of(opened, embedded=True)
            listening = stack.enter_context(listening_at(port))
            #: Opens the viewer, in any browser on this machine.
            self.link = f"http://{HOST}:{listening.getsockname()[1]}/s/0/?token={token}"
            self._thread = Thread(
                target=self._server.run, kwargs={"sockets": [listening]}, name="wsi-parse-view", daemon=True
            )
            self._thread.start()
            self._stack = stack.pop_all()
        atexit.register(self.close)

    @property
    def is_open(self) -> bool:
        """Whether it is still served."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop serving it; what its frame shows stays, and nothing more comes."""
        self._server.should_exit = True
        self._thread.join(_END_SECONDS)
        self._stack.close()
        atexit.unregister(self.close)

    def __repr__(self) -> str:
        return f"<Viewer at {self.link} ({RESEARCH_ONLY})>" if self.is_open else "<Viewer, closed>"

    def _repr_html_(self) -> str:
        """Show it as a frame, with the link for those whose notebook runs on another machine."""
        if not self.is_open:
            return "<p>The viewer is closed.</p>"
        link = for_html(self.link)
        port = self.link.split(":")[2].split("/")[0]
        notes = "".join(f"<p>{for_html(note)}</p>" for note in self.notes)
        style = f"width: 100%; height: {self._height}px; border: 1px solid #8888"
        return (
            f'<iframe src="{link}" title="Viewer of wsi-parse" allow="clipboard-write" style="{style}"></iframe>{notes}'
            f'<p><a href="{link}" target="_blank" rel="noopener">In a window of its own</a>. If the frame stays empty, '
            f"the notebook runs on another machine: <code>ssh -L {port}:{HOST}:{port} USER@THAT-MACHINE</code>, then "
            f"run this cell again. {for_html(RESEARCH_ONLY[:1].upper() + RESEARCH_ONLY[1:])}.</p>"
        )


def view_run(
    folder: Path, slide: Path | None = None, others: Sequence[Path] = (), *, port: int = 0, height: int = 640
) -> Viewing:
    """Serve the viewer of a run from this process; asked for again, the one that is open is given.

    Raises
    ------
    UsageError
        The slide was not found, the run has no objects.parquet, the port is taken, or the viewer is not installed.
    """
    key = (folder.absolute(), slide, tuple(others), file_sha256(folder / MANIFEST_NAME))
    with _lock:
        found = _running.get(key)
        if found is None or not found.is_open:
            request = Request(folder, slide, tuple(others), folder, lambda _: None)
            found = _running[key] = Viewing(request, port, height)
        return found
