"""What of an earlier run in the same folder fits a new one, and what must be computed again."""

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from wsi_parse.registry import EXPORTERS
from wsi_parse.run.manifest import RunManifest, sha256_of
from wsi_parse.run.prepared import PreparedRun
from wsi_parse.run.result import OBJECTS
from wsi_parse.run.work import maps_of, size_text

PREDICTIONS = "predictions"
_LOST = (
    "It was predicted before, but its predicted maps were not kept: it would be predicted again. With --keep "
    "predictions, another threshold or size needs no new prediction."
)


@dataclass(frozen=True)
class Reuse:
    """What a run takes over from an earlier one.

    Parameters
    ----------
    finished : bool
        Nothing is left to do.
    objects : Path or None
        The file of the earlier run that holds the same objects; nothing is predicted or outlined then.
    has_maps : bool
        Maps of these settings are stored, of the whole slide or of a part of it.
    needs_lost_maps : bool
        The maps of these settings were predicted before, are needed, and are gone.
    """

    finished: bool = False
    objects: Path | None = None
    has_maps: bool = False
    needs_lost_maps: bool = False

    @property
    def predicts_nothing(self) -> bool:
        """Whether a run would only write outputs, or do nothing at all."""
        return self.finished or self.objects is not None

    @property
    def sentence(self) -> str:
        """Say in a sentence what a run would do; empty if there is nothing to say."""
        if self.finished:
            return "This slide is already done with these settings, and its outputs are unchanged."
        if self.objects is not None:
            return f"Its objects are there ({self.objects.name}): only the outputs would be written again."
        if self.has_maps:
            return "Predicted maps of these settings are there, and would be used again."
        return _LOST if self.needs_lost_maps else ""

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
        needs_maps = keeps or any(EXPORTERS.get(name).needs_maps for name in export.formats)
        objects = None if needs_maps or earlier.digests.objects != digests.objects else _objects(folder, earlier)
        lost = (
            objects is None and not maps and earlier.maps_mb is not None and earlier.digests.predict == digests.predict
        )
        return cls(objects=objects, has_maps=maps, needs_lost_maps=lost)


def _objects(folder: Path, earlier: RunManifest) -> Path | None:
    """Return the file with all objects, if it is as a run with these settings wrote it."""
    path = folder / OBJECTS
    if not earlier.passes or sha256_of(path) not in earlier.hashes().get(OBJECTS, ()):
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


def maps_line(manifest: RunManifest, folder: Path) -> str:
    """Say how large the predicted maps of a run were, and where they are; empty if nothing was predicted."""
    tiles = sum(item["tiles"] for item in manifest.passes)
    if manifest.maps_mb is None or not tiles or any(item.get("stage") == "objects" for item in manifest.reused):
        return ""
    size = size_text(round(manifest.maps_mb * 1e6))
    if not manifest.maps_kept:
        return f"The predicted maps took {size} and are removed; --keep predictions keeps them for another threshold."
    (kept, *_) = maps_of(folder, manifest.digests.predict) or [folder]
    return f"The predicted maps ({size}) are kept in {kept}. Remove that folder when you no longer need them."
