"""The contract of an exporter: batches of objects in, one file out, written atomically."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from wsi_parse.files import atomic
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.objects.probability_map import ProbabilityMap
from wsi_parse.settings import ExportSettings
from wsi_parse.text import RESEARCH_ONLY


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
    """Streams objects into one file or folder. A context manager: it appears when that exits without an error.

    Inherit from :class:`StreamingExporter`, which does most of this, or from this class for the defaults.

    Attributes
    ----------
    file_name : str
        Name of the file (or folder) in the folder of a run; no two formats have the same.
    needs_maps : bool
        Whether it reads `ExportContext.maps`. Such a format cannot be written from the objects of a finished run.
    needs_slide : bool
        Whether it reads the slide at `ExportContext.source`.
    packages : tuple of str
        Optional packages that must be importable; checked before a run begins.
    extra : str
        The extra that installs them: ``pip install "wsi-parse[extra]"``; empty if no extra of this package does.
    """

    file_name: ClassVar[str]
    needs_maps: ClassVar[bool] = False
    needs_slide: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""

    def __init__(self, path: Path, context: ExportContext) -> None: ...

    @classmethod
    def path_in(cls, folder: Path, settings: ExportSettings) -> Path:
        """Return the path to write in the folder of a run."""
        del settings
        return folder / cls.file_name

    def __enter__(self) -> "Exporter": ...

    @property
    def written(self) -> Sequence[Path]:
        """The files that exist after an exit without an error; the first is the one to open."""
        ...

    def write(self, batch: ObjectBatch) -> None:
        """Add a batch; memory does not grow with the number of batches."""
        ...

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None: ...

    def notes(self) -> Sequence[str]:
        """Return what the user should know of the file, in whole sentences; after an exit without an error."""
        return ()

    def facts(self) -> Mapping[str, Any]:
        """Return facts about the file for JSON, for the manifest; after an exit without an error.

        The member "how_to_open" says in a few words what to do with the first of `written`: the command line prints it
        behind the path.
        """
        return {}


class StreamingExporter(Exporter, ABC):
    """An exporter that opens, streams and finishes; the file gets its name only when all of that succeeded.

    Parameters
    ----------
    path : Path
    context : ExportContext
    """

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
