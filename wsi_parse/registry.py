"""Registries of plug-ins by name, imported on demand: built-in ones are listed here, others use entry points.

Readers have their registry in :mod:`wsi_parse.slides.opening`, because their order counts.
"""

import importlib
from importlib.metadata import entry_points
from typing import Any

from wsi_parse.errors import UnknownNameError


class Registry:
    """The plug-ins of one kind, by name.

    Parameters
    ----------
    kind : str
        The kind, as messages name it: "model", "exporter".
    builtin : dict of str to str
        Name -> "module:attribute". Nothing is imported before :meth:`get`.

    Notes
    -----
    Other packages add their plug-ins in the entry point group ``wsi_parse.<kind>s``.
    """

    def __init__(self, kind: str, builtin: dict[str, str]) -> None:
        self.kind = kind
        self._builtin = builtin
        self._added: dict[str, Any] = {}

    def names(self) -> list[str]:
        """Return all known names, sorted."""
        return sorted({*self._builtin, *self._added, *(point.name for point in self._entry_points())})

    def add(self, name: str, plugin: Any) -> None:  # noqa: ANN401 - any plug-in type
        """Register an object of this process, such as a model that a script or a test defines."""
        self._added[name] = plugin

    def remove(self, name: str) -> None:
        """Remove an object that was added."""
        del self._added[name]

    def get(self, name: str) -> Any:  # noqa: ANN401 - any plug-in type
        """Import and return the plug-in called `name`.

        Raises
        ------
        UnknownNameError
            No plug-in has that name; the remedy lists the known names.
        """
        if name in self._added:
            return self._added[name]
        if name in self._builtin:
            module, _, attribute = self._builtin[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        for point in self._entry_points():
            if point.name == name:
                return point.load()
        raise UnknownNameError.of(self.kind, name, self.names())

    def _entry_points(self) -> Any:  # noqa: ANN401 - importlib's own collection
        return entry_points(group=f"wsi_parse.{self.kind}s")


MODELS = Registry(
    "model",
    {
        "biomedparse": "wsi_parse.models.biomedparse.segmenter:BiomedParseModel",
        "mini": "wsi_parse.models.mini.segmenter:MiniModel",
        "stain": "wsi_parse.models.stain:StainModel",
    },
)
CLUSTERS = Registry(
    "cluster",
    {
        "local": "wsi_parse.compute.local:local",
        "slurm": "wsi_parse.compute.batch_systems:slurm",
        "pbs": "wsi_parse.compute.batch_systems:pbs",
        "lsf": "wsi_parse.compute.batch_systems:lsf",
    },
)
EXPORTERS = Registry(
    "exporter",
    {
        "csv": "wsi_parse.exporters.csv:CsvExporter",
        "dicom": "wsi_parse.exporters.dicom:DicomExporter",
        "geojson": "wsi_parse.exporters.geojson_parts:GeoJsonParts",
        "ome-zarr": "wsi_parse.exporters.ome_zarr:OmeZarrExporter",
        "parquet": "wsi_parse.exporters.parquet:ParquetExporter",
        "spatialdata": "wsi_parse.exporters.spatialdata:SpatialDataExporter",
    },
)
