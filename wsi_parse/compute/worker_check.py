"""WorkerCheck: refuses a worker that cannot do the work before it starts."""

import socket
import uuid
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin

from wsi_parse._version import __version__
from wsi_parse.compute.worker import weights_here
from wsi_parse.errors import ClusterError, StageError, WsiParseError
from wsi_parse.files import try_writing
from wsi_parse.models.weights import Weights
from wsi_parse.registry import MODELS
from wsi_parse.settings import ModelSettings


class WorkerCheck(WorkerPlugin):
    """Checks, when a worker starts, the versions, the weights, the slide and the output folder.

    Parameters
    ----------
    model_name : str
    settings : ModelSettings
    weights : Weights or None
        Needed only by workers that run the model.
    slide : Path
    out : Path
        The folder of intermediate results of the run; a test file is written there and removed.
    device : str
        The resource of workers that run the model; "": all do.
    """

    def __init__(
        self,
        model_name: str,
        settings: ModelSettings,
        weights: Weights | None,
        slide: Path,
        out: Path,
        device: str,
    ) -> None:
        # Unique, because others may use the same scheduler.
        self.name = f"wsi-parse-check-{uuid.uuid4()}"
        self.version = __version__
        self.model_name, self.settings, self.weights = model_name, settings, weights
        self.package = MODELS.package_of(model_name)
        self.slide, self.out, self.device = slide, out, device

    @property
    def subject(self) -> object:
        """What is checked; one slide of each folder is enough."""
        return self.model_name, self.weights, self.slide.parent, self.out.parent.parent

    def setup(self, worker: Any) -> None:  # noqa: ANN401 - distributed.Worker
        """Check this worker.

        Raises
        ------
        ClusterError
            Names the worker and everything that it lacks.
        StageError
            If only this slide cannot be read.
        """
        problems = [self._version(), _unwritable(self.out)]
        if not self.device or self.device in worker.state.total_resources:
            problems += [self._model(), self._weights()]
        found = [problem for problem in problems if problem]
        if found:
            raise ClusterError(
                f"The worker {worker.address} on {socket.gethostname()} cannot do the work: {'; '.join(found)}.",
                "Give all workers the same wsi-parse and weights, and the slides and the output at the same paths.",
            )
        reason = _unreadable(self.slide)
        if reason:
            raise StageError(
                f"{self.slide.name}: a worker on {socket.gethostname()} cannot read it: {reason}.",
                "Make the slides available at the same path on all workers.",
                "opening on a worker",
            )

    def _version(self) -> str:
        return "" if self.version == __version__ else f"it has wsi-parse {__version__}, not {self.version}"

    def _model(self) -> str:
        """Look for the package of a model that is a plug-in."""
        here = MODELS.package_of(self.model_name)
        if here == self.package:
            return ""
        return f"its model comes from {here or 'no package'}, not from {self.package or 'none'}"

    def _weights(self) -> str:
        try:
            weights_here(self.model_name, self.settings, self.weights)
        except WsiParseError as error:
            return error.message.removesuffix(".")
        return ""


def _unreadable(slide: Path) -> str:
    try:
        if slide.is_file():
            with slide.open("rb") as file:
                file.read(1)
        else:
            next(slide.iterdir(), None)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _unwritable(folder: Path) -> str:
    try:
        try_writing(folder)
    except OSError as error:
        return f"it cannot write to {folder}: {error.strerror}"
    return ""
