"""Registries of plug-ins by name, imported on demand: built-in ones are listed here, others use entry points."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from wsi_parse.errors import PluginError, UnknownNameError, WsiParseError


class Registry:
    """The plug-ins of one kind, by name.

    Parameters
    ----------
    kind : str
        The kind, as messages name it: "reader", "model", "exporter", "cluster".
    builtin : dict of str to str
        Name -> "module:attribute". Nothing is imported before :meth:`get`. The order is kept.
    required : sequence of str
        Attributes that a plug-in of this kind has; one that lacks some cannot be loaded.

    Notes
    -----
    Other packages add their plug-ins in the entry point group ``wsi_parse.<kind>s``. A name of ours cannot be taken by
    another package. A plug-in of another package that cannot be loaded does not affect those that can: only
    :meth:`get` with its name raises.
    """

    def __init__(self, kind: str, builtin: dict[str, str], required: Sequence[str] = ()) -> None:
        self.kind = kind
        self._builtin = builtin
        self._required = required
        self._added: dict[str, Any] = {}

    def names(self) -> list[str]:
        """Return all known names: built-in ones in their order, then those of other packages by name."""
        return list(dict.fromkeys([*self._builtin, *sorted([*self._added, *self._entry_points()])]))

    def __contains__(self, name: str) -> bool:
        """Return whether a name is known; other packages are asked only for a name that is not ours."""
        return name in self._builtin or name in self._added or name in self._entry_points()

    def is_builtin(self, name: str) -> bool:
        """Return whether a plug-in is part of this package."""
        return name in self._builtin

    def package_of(self, name: str) -> str:
        """Return name and version of the package that a plug-in comes from; empty if that is this one or none."""
        point = None if name in self._builtin or name in self._added else self._entry_points().get(name)
        return f"{point.dist.name} {point.dist.version}" if point is not None and point.dist is not None else ""

    def add(self, name: str, plugin: Any) -> None:  # noqa: ANN401 - any plug-in type
        """Register an object of this process, such as a model that a script or a test defines."""
        self._added[name] = plugin

    def remove(self, name: str) -> None:
        """Remove an object that was added.

        Raises
        ------
        UnknownNameError
            None was added with that name.
        """
        if name not in self._added:
            raise UnknownNameError.of(self.kind, name, self._added)
        del self._added[name]

    def get(self, name: str) -> Any:  # noqa: ANN401 - any plug-in type
        """Import and return the plug-in called `name`.

        Raises
        ------
        UnknownNameError
            No plug-in has that name; the remedy lists the known names.
        PluginError
            It cannot be imported, or lacks what its contract asks for.
        """
        if name in self._added:
            return self._checked(name, self._added[name], "")
        if name in self._builtin:
            module, _, attribute = self._builtin[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        point = self._entry_points().get(name)
        if point is None:
            raise UnknownNameError.of(self.kind, name, self.names())
        package = point.dist.name if point.dist is not None else ""
        try:
            found = point.load()
        except Exception as error:
            raise self._unusable(name, _described(error), package) from error
        return self._checked(name, found, package)

    def usable(self) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Import all plug-ins, whatever is wrong with some of them.

        Returns
        -------
        plugins : dict of str to plug-in
            In the order of :meth:`names`, without those that cannot be loaded.
        warnings : tuple of str
            A sentence about each plug-in that cannot be loaded, with its cause.
        """
        found, warnings = {}, []
        for name in self.names():
            try:
                found[name] = self.get(name)
            except PluginError as error:
                warnings.append(f"{error} It is skipped.")
        return found, tuple(warnings)

    def _checked(self, name: str, plugin: Any, package: str) -> Any:  # noqa: ANN401 - any plug-in type
        missing = [attribute for attribute in self._required if not hasattr(plugin, attribute)]
        if missing:
            raise self._unusable(name, f"it has no {', '.join(missing)}", package)
        return plugin

    def _unusable(self, name: str, reason: str, package: str) -> PluginError:
        origin = f" of the package {package}" if package else ""
        remedy = f"Update or uninstall {package}." if package else "Correct it."
        return PluginError(f"The {self.kind} {name}{origin} cannot be loaded ({reason}).", remedy)

    def _entry_points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=f"wsi_parse.{self.kind}s")}


@contextmanager
def plugin_named(kind: str, name: str) -> Iterator[None]:
    """Turn an unexpected error of a plug-in into one that names the plug-in; the original is its cause.

    Errors of this package, of the system (a full disk, a lost folder) and of memory pass unchanged: they have an
    explanation of their own.
    """
    try:
        yield
    except (WsiParseError, OSError, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":
            # So torch calls it, which is not imported here.
            raise
        raise PluginError(
            f"The {kind} {name} failed: {_described(error)}.",
            f"Report this error to the author of the {kind}; --traceback shows where it happened.",
        ) from error


def _described(error: Exception) -> str:
    """Return the kind of an error and its message in one line, without a full stop."""
    text = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


# Readers are tried in this order. OpenSlide comes first: it is the reference for pixels, and it reads the vendor's
# metadata. TiffSlide opens OME-TIFF, whose levels and pixel size OpenSlide does not know. Plain images come last,
# because they are held in memory as a whole.
READERS = Registry(
    "reader",
    {
        "openslide": "wsi_parse.slides.openslide_reader:OpenSlideReader",
        "tiffslide": "wsi_parse.slides.tiffslide_reader:TiffSlideReader",
        "image": "wsi_parse.slides.image_reader:ImageReader",
    },
    ("suffixes", "detect", "read_level", "close"),
)
MODELS = Registry(
    "model",
    {
        "biomedparse": "wsi_parse.models.biomedparse.segmenter:BiomedParseModel",
        "mini": "wsi_parse.models.mini.segmenter:MiniModel",
        "stain": "wsi_parse.models.stain:StainModel",
    },
    ("spec", "plan", "predict", "find_weights"),
)
CLUSTERS = Registry(
    "cluster",
    {
        "local": "wsi_parse.compute.local:local",
        "slurm": "wsi_parse.compute.batch_systems:slurm",
        "pbs": "wsi_parse.compute.batch_systems:pbs",
        "lsf": "wsi_parse.compute.batch_systems:lsf",
    },
    ("__call__",),
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
    ("file_name", "path_in", "needs_maps", "needs_slide", "write", "notes", "facts"),
)
