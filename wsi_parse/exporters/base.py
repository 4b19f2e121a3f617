"""The contract of an exporter: batches of objects in, one file out, written atomically."""

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
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.objects.probability_map import ProbabilityMap


@dataclass(frozen=True)
class ExportContext:
    """What an exporter needs to know of the run.

    Parameters
    ----------
    classes : ClassTable
        What the `class_index` of the batches means.
    offset_level0 : (int, int)
        Subtracted from every x and y: the origin of the bounds in the `qupath` frame, else (0, 0).
    provenance : mapping
        Can be written as JSON; without times, patient data and paths. Written into the file if the format allows it.
    max_part_bytes, max_part_objects : int
        A larger file (uncompressed) is written in parts, by formats that support it.
    maps : tuple of ProbabilityMap
        One per pass of the run.
    source : Path or None
        The slide, for formats that refer to it; its path is never written.
    """

    classes: ClassTable
    offset_level0: tuple[int, int]
    provenance: Mapping[str, Any]
    max_part_bytes: int = 200_000_000
    max_part_objects: int = 500_000
    maps: tuple[ProbabilityMap, ...] = ()
    source: Path | None = None


class Exporter(Protocol):
    """Streams objects into one file. A context manager: the file appears when it exits without an error.

    :class:`StreamingExporter` implements this.

    Attributes
    ----------
    file_name : str
        Name of the file (or folder) in a run folder.
    packages : tuple of str, optional
        Optional packages that must be importable; checked before a run begins.
    extra : str, optional
        The extra that installs them: ``pip install "wsi-parse[extra]"``.
    """

    file_name: ClassVar[str]

    def __init__(self, path: Path, context: ExportContext) -> None: ...

    def __enter__(self) -> "Exporter": ...

    @property
    def written(self) -> Sequence[Path]:
        """The files that exist after an exit without an error."""
        ...

    def write(self, batch: ObjectBatch) -> None:
        """Add a batch; memory does not grow with the number of batches."""
        ...

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None: ...


class StreamingExporter(ABC):
    """An exporter that opens, streams and finishes; the file gets its name only when all of that succeeded.

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
        """The files that exist after an exit without an error."""
        return (self.path,)

    @property
    def provenance(self) -> dict[str, Any]:
        """The provenance of the file, always with the research-use notice."""
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
        """Begin the file; push what must be closed on the stack."""

    @abstractmethod
    def write(self, batch: ObjectBatch) -> None:
        """Add a batch; memory does not grow with the number of batches."""

    @abstractmethod
    def _finish(self) -> None:
        """Write what comes last."""
