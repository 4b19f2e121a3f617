"""The contract of an exporter: batches of objects in, one file out, whole or not at all."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from wsi_parse.files import atomic
from wsi_parse.notice import RESEARCH_ONLY
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.probability_map import ProbabilityMap
from wsi_parse.prompts import Prompt


@dataclass(frozen=True)
class ExportContext:
    """What an exporter needs to know of the run.

    Parameters
    ----------
    prompts : tuple of Prompt
    offset_level0 : (int, int)
        Subtracted from every x and y: the bounds' origin in the `qupath` frame, else (0, 0).
    provenance : mapping
        JSON-able, no clock, no patient data, no paths: written into the file where the format has a place.
    max_part_bytes, max_part_objects : int
        A file of more (uncompressed) is written in parts, by formats that can.
    maps : tuple of ProbabilityMap
        One a pass of the run.
    source : Path or None
        The slide, for formats that refer to it; never told.
    """

    prompts: tuple[Prompt, ...]
    offset_level0: tuple[int, int]
    provenance: Mapping[str, Any]
    max_part_bytes: int = 200_000_000
    max_part_objects: int = 500_000
    maps: tuple[ProbabilityMap, ...] = ()
    source: Path | None = None


class Exporter(Protocol):
    """Streams objects into one file. A context manager: left normally, the file appears; by an error, nothing does.

    :class:`StreamingExporter` does the second half of that.

    Attributes
    ----------
    file_name : str
        What the file (or folder) is called in a run folder.
    packages : tuple of str, optional
        What must be importable beyond what is always installed; asked before a run begins.
    extra : str, optional
        What installs them: ``pip install "wsi-parse[extra]"``.
    """

    file_name: ClassVar[str]

    def __init__(self, path: Path, context: ExportContext) -> None: ...

    def __enter__(self) -> "Exporter": ...

    @property
    def written(self) -> Sequence[Path]:
        """What there is when it was left normally."""
        ...

    def write(self, batch: ObjectBatch) -> None:
        """Add a batch; memory does not grow with their number."""
        ...

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None: ...


class StreamingExporter(ABC):
    """An exporter that opens, streams and finishes; the file appears under its name only when all of that went well.

    Parameters
    ----------
    path : Path
    context : ExportContext
    """

    packages: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""

    def __init__(self, path: Path, context: ExportContext) -> None:
        self.path = path
        self.context = context
        self._stack = ExitStack()

    @property
    def written(self) -> Sequence[Path]:
        """What there is when it was left normally."""
        return (self.path,)

    @property
    def provenance(self) -> dict[str, Any]:
        """What the file says of its making; never without the words on its purpose."""
        return {"notice": RESEARCH_ONLY, **self.context.provenance}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._open(stack.enter_context(atomic(self.path)), stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        if error_type is not None:
            self._stack.__exit__(error_type, error, traceback)
            return
        with self._stack:
            self._finish()

    @abstractmethod
    def _open(self, temporary: Path, stack: ExitStack) -> None:
        """Begin the file; what must be closed goes on the stack."""

    @abstractmethod
    def write(self, batch: ObjectBatch) -> None:
        """Add a batch; memory does not grow with their number."""

    @abstractmethod
    def _finish(self) -> None:
        """Write what comes last."""
