"""What of an earlier run in the same folder fits a new one, and what must be computed again."""

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from wsi_parse.registry import EXPORTERS
from wsi_parse.run.manifest import RunManifest, sha256_of
from wsi_parse.run.prepared import PreparedRun
from wsi_parse.run.work import maps_of

PREDICTIONS = "predictions"
_OBJECTS = "objects.parquet"


@dataclass(frozen=True)
class Reuse:
    """What a run takes over from an earlier one.

    Parameters
    ----------
    finished : bool
        Nothing is left to do.
    objects : Path or None
        The file of the earlier run that holds the same objects; nothing is predicted or outlined then.
    needs_lost_maps : bool
        The maps of these settings were predicted before, are needed, and are gone.
    """

    finished: bool = False
    objects: Path | None = None
    needs_lost_maps: bool = False

    @classmethod
    def find(cls, prepared: PreparedRun, folder: Path, earlier: RunManifest | None) -> "Reuse":
        """Look at what an earlier run left in a folder."""
        if earlier is None:
            return cls()
        digests, export = prepared.digests, prepared.settings.export
        maps = bool(maps_of(folder, digests.predict))
        keeps = PREDICTIONS in export.keep and not maps
        if earlier.is_finished(folder, digests) and not keeps:
            return cls(finished=True)
        needs_maps = keeps or any(getattr(EXPORTERS.get(name), "needs_maps", False) for name in export.formats)
        objects = None if needs_maps or earlier.digests.objects != digests.objects else _objects(folder, earlier)
        lost = (
            objects is None and not maps and earlier.maps_mb is not None and earlier.digests.predict == digests.predict
        )
        return cls(objects=objects, needs_lost_maps=lost)


def _objects(folder: Path, earlier: RunManifest) -> Path | None:
    """Return the file with all objects, if it is as a run with these settings wrote it."""
    recorded = (earlier.earlier | earlier.outputs).get(_OBJECTS)
    path = folder / _OBJECTS
    if not earlier.passes or recorded is None or sha256_of(path) != recorded:
        return None
    # A run that failed may have left the file of the run before it.
    return path if _digest_in(path) == earlier.digests.objects else None


def _digest_in(path: Path) -> str | None:
    """Return the digest in the provenance of a file of objects."""
    try:
        provenance = json.loads((pq.read_schema(path).metadata or {})[b"wsi_parse"])
    except (OSError, ValueError, KeyError):
        return None
    return provenance.get("digest") if isinstance(provenance, dict) else None
