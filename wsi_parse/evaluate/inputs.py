"""Which file is compared with which: files, folders of files, run folders, matched by their stems."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsi_parse.annotations import Annotations, read_annotations
from wsi_parse.errors import UsageError

_ENDINGS = (".geojson", ".json", ".zip")
_OBJECTS = "annotations"
# Of a run folder, beside the objects.
_MANIFEST = "run.json"


@dataclass(frozen=True)
class FilePair:
    """Files of one slide; several of a side are parts of one result.

    Parameters
    ----------
    name : str
    truth, pred : tuple of Path
    """

    name: str
    truth: tuple[Path, ...]
    pred: tuple[Path, ...]

    def read(self) -> tuple[Annotations, Annotations]:
        """Read both sides."""
        return read_parts(self.truth), read_parts(self.pred)


def file_pairs(truth: Path, pred: Path) -> tuple[list[FilePair], list[str]]:
    """Pair files with files.

    Parameters
    ----------
    truth, pred : Path
        A GeoJSON file, a run folder, or a folder of such.

    Returns
    -------
    list of FilePair
        One of two single files, whatever they are called; of folders those of the same stem.
    list of str
        A sentence of each file that has no partner.

    Raises
    ------
    UsageError
        Where there is nothing to compare.
    """
    (truths, one_truth), (preds, one_pred) = _listed(truth), _listed(pred)
    if one_truth and one_pred:
        (name, pred_files), truth_files = next(iter(preds.items())), next(iter(truths.values()))
        return [FilePair(name, truth_files, pred_files)], []
    common = [name for name in truths if name in preds]
    if not common:
        raise UsageError(
            f"No file of {pred.name} is called like one of {truth.name}.",
            f"There: {_some(preds)}. Here: {_some(truths)}. Give them the same stems.",
        )
    alone = [
        f"{files[0].name} of the {side} has no partner called {name!r}."
        for side, these, those in (("truth", truths, preds), ("prediction", preds, truths))
        for name, files in these.items()
        if name not in those
    ]
    return [FilePair(name, truths[name], preds[name]) for name in common], alone


def read_parts(paths: tuple[Path, ...]) -> Annotations:
    """Read files of one result as one."""
    parts = [read_annotations(path) for path in paths]
    if len(parts) == 1:
        return parts[0]
    nuclei = [np.full(len(part), None, object) if part.nucleus is None else part.nucleus for part in parts]
    skipped: dict[str, int] = {}
    for part in parts:
        for kind, count in part.skipped.items():
            skipped[kind] = skipped.get(kind, 0) + count
    return Annotations(
        np.concatenate([part.geometry for part in parts]),
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.class_name for part in parts]),
        np.concatenate([part.object_type for part in parts]),
        None if all(part.nucleus is None for part in parts) else np.concatenate(nuclei),
        skipped,
        parts[0].told,
    )


def _listed(path: Path) -> tuple[dict[str, tuple[Path, ...]], bool]:
    """Files by stem, and whether it is one result only."""
    if path.is_file():
        return {_stem(path): (path,)}, True
    if not path.is_dir():
        raise UsageError(f"{path} is not there.", "Give a GeoJSON file, a folder of them, or a run folder.")
    if own := _of_run(path):
        return {path.resolve().name: own}, True
    found: dict[str, tuple[Path, ...]] = {}
    for inner in sorted(path.iterdir()):
        files = _of_run(inner) if inner.is_dir() else (inner,) if _stem(inner) else ()
        name = inner.name if inner.is_dir() else _stem(inner)
        if not files or inner.name.startswith("."):
            continue
        if name in found:
            raise UsageError(f"{path.name} holds {name!r} twice: {found[name][0].name} and {inner.name}.", "Keep one.")
        found[name] = files
    if not found:
        raise UsageError(f"{path.name} holds no GeoJSON file and no run folder.", "Give files or a folder of them.")
    return found, False


def _stem(path: Path) -> str:
    """Return the name without its endings; "" of what is no GeoJSON.

    >>> _stem(Path("a.b.geojson.gz")), _stem(Path("a.svs"))
    ('a.b', '')
    """
    name = path.name.removesuffix(".gz")
    return next((name.removesuffix(ending) for ending in _ENDINGS if name.lower().endswith(ending)), "")


def _of_run(folder: Path) -> tuple[Path, ...]:
    """Return the files of objects of a run folder: those of its manifest, which also knows parts."""
    try:
        names = list(json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))["outputs"])
    except (OSError, ValueError, KeyError, TypeError):
        names = [path.name for path in sorted(folder.glob(f"{_OBJECTS}*"))]
    wanted = [name for name in names if name.startswith(_OBJECTS) and name.removesuffix(".gz").endswith(".geojson")]
    return tuple(folder / name for name in wanted)


def _some(names: dict[str, tuple[Path, ...]]) -> str:
    return ", ".join(list(names)[:3]) + (", …" if len(names) > 3 else "")
