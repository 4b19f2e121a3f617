"""The contract of an exporter: batches of objects in, one file out, whole or not at all."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from wsi_parse.exporters.probability import ProbabilityMap
from wsi_parse.files import atomic
from wsi_parse.prompts import Prompt

RESEARCH_ONLY = "research use only, not for clinical decisions"


@dataclass(frozen=True)
class ObjectBatch:
    """Finished objects, in their final order.

    Parameters
    ----------
    geometry : object array (N,)
        shapely Polygons or MultiPolygons in level-0 pixels, fit for QuPath (see `facts` in DESIGN: made valid,
        then snapped to 0.25 px, nothing rounded afterwards).
    prompt : int array (N,)
        Index into :attr:`ExportContext.prompts`.
    ids : object array (N,)
        UUID strings, from content.
    measurements : dict of str to float array (N,)
        Column name (with unit) -> values; NaN where an object has no such value.
    unsure : bool array (N,), optional
        Objects whose class the model is not sure of; without it none is.
    nuclei : object array (N,), optional
        Where objects are whole cells, their nuclei; fit for QuPath too.
    """

    geometry: NDArray[Any]
    prompt: NDArray[np.int16]
    ids: NDArray[Any]
    measurements: dict[str, NDArray[np.float64]]
    unsure: NDArray[np.bool_] | None = None
    nuclei: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.geometry)

    def part(self, start: int, stop: int) -> "ObjectBatch":
        """Return the objects from `start` to before `stop`, as views."""
        return ObjectBatch(
            self.geometry[start:stop],
            self.prompt[start:stop],
            self.ids[start:stop],
            {name: values[start:stop] for name, values in self.measurements.items()},
            None if self.unsure is None else self.unsure[start:stop],
            None if self.nuclei is None else self.nuclei[start:stop],
        )

    def parts(self, size: int) -> Iterator["ObjectBatch"]:
        """Cut into batches of at most `size` objects."""
        for start in range(0, len(self), size):
            yield self.part(start, start + size)

    @property
    def variant(self) -> NDArray[np.int16]:
        """Index into what :func:`variants` gives of each prompt: twice the prompt's, and one more where unsure."""
        index = self.prompt * np.int16(2)
        return index if self.unsure is None else index + self.unsure


def variants(prompts: Sequence[Prompt]) -> list[Prompt]:
    """Each prompt as its objects are called, and then as those are of which the model is not sure."""
    return [variant for prompt in prompts for variant in (prompt, prompt.unsure)]


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
    part_bytes, part_objects : int
        A file of more (uncompressed) is written in parts, by formats that can.
    maps : tuple of ProbabilityMap
        One a pass of the run.
    source : Path or None
        The slide, for formats that refer to it; never told.
    """

    prompts: tuple[Prompt, ...]
    offset_level0: tuple[int, int]
    provenance: Mapping[str, Any]
    part_bytes: int = 200_000_000
    part_objects: int = 500_000
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
