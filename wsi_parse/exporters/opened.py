"""OpenedExporter: an exporter by its name, whose unexpected errors name it."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from wsi_parse.errors import PluginError
from wsi_parse.exporters.base import ExportContext, Exporter
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.registry import EXPORTERS, plugin_named
from wsi_parse.settings import ExportSettings


class OpenedExporter:
    """Writes one format into the folder of a run; a context manager, as exporters are.

    Parameters
    ----------
    name : str
        Of the format.
    folder : Path
    context : ExportContext
    settings : ExportSettings

    Raises
    ------
    UnknownNameError
        No exporter has that name.
    PluginError
        The exporter failed in an unexpected way, here or later; names it.
    """

    def __init__(self, name: str, folder: Path, context: ExportContext, settings: ExportSettings) -> None:
        self.name = name
        kind: type[Exporter] = EXPORTERS.get(name)
        with plugin_named("exporter", name):
            self._exporter = kind(kind.path_in(folder, settings), context)

    def __enter__(self) -> Self:
        with plugin_named("exporter", self.name):
            self._exporter.__enter__()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        with plugin_named("exporter", self.name):
            self._exporter.__exit__(error_type, error, traceback)

    def write(self, batch: ObjectBatch) -> None:
        """Add a batch of objects."""
        with plugin_named("exporter", self.name):
            self._exporter.write(batch)

    @property
    def written(self) -> tuple[Path, ...]:
        """The files that exist after an exit without an error; the first is the one to open."""
        with plugin_named("exporter", self.name):
            return tuple(self._exporter.written)

    def notes(self) -> tuple[str, ...]:
        """Return what the user should know of the file; after an exit without an error."""
        with plugin_named("exporter", self.name):
            return tuple(self._exporter.notes())

    def facts(self) -> dict[str, Any]:
        """Return names of the files, and what the exporter says of them; for JSON."""
        with plugin_named("exporter", self.name):
            facts = {"files": [path.name for path in self.written], **self._exporter.facts()}
        try:
            json.dumps(facts, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise PluginError(
                f"The exporter {self.name} returned facts that cannot be written as JSON ({error}).",
                "Report this error to the author of the exporter.",
            ) from error
        return facts
