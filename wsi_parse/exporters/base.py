"""The contract of an exporter: batches of objects in, one file out, whole or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

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
    """

    geometry: NDArray[Any]
    prompt: NDArray[np.int16]
    ids: NDArray[Any]
    measurements: dict[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.geometry)


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
    gzip : bool
    """

    prompts: tuple[Prompt, ...]
    offset_level0: tuple[int, int]
    provenance: Mapping[str, Any]
    gzip: bool = False


class Exporter(Protocol):
    """Streams objects into one file. A context manager: left normally, the file appears; by an error, nothing does."""

    suffix: ClassVar[str]

    def __init__(self, path: Path, context: ExportContext) -> None: ...

    def __enter__(self) -> "Exporter": ...

    def write(self, batch: ObjectBatch) -> None:
        """Add a batch; memory does not grow with their number."""
        ...

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None: ...
