"""Which files are compared: files, folders of files and run folders, matched by their names and slides."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wsi_parse.annotations import Annotations, read_annotations
from wsi_parse.annotations.pieces import pieces
from wsi_parse.errors import ManifestError, UsageError
from wsi_parse.evaluate.corrections import corrections_in, is_correction, no_corrections
from wsi_parse.evaluate.pairing import ResultName, pair_results, slide_of
from wsi_parse.files import CHECK_RIGHTS, MANIFEST_NAME, file_sha256, read_manifest
from wsi_parse.gates import check_input, shown

_ENDINGS = (".geojson", ".json", ".zip")
_OBJECTS = "annotations"
# Other files of a run folder than the objects.
_NOT_OBJECTS = re.compile(
    r"run\.json|annotations_index\.json|(heat_map|least_certain|region|tissue(_\d+)?)\.geojson(\.gz)?"
)
_NO_GEOJSON = "was written without geojson, or is not finished"
_REMEDY = "Run it again with --format geojson."
_GEOJSON = re.compile(rb'"(FeatureCollection|Feature|(Multi)?Polygon|GeometryCollection)"')


@dataclass(frozen=True)
class FilePair:
    """Files of one slide; several files of the truth or of the prediction are parts of one result.

    Parameters
    ----------
    name : str
    truth, pred : tuple of Path
    folders : tuple of Path
        The folders of runs that hold any of them.
    notes : tuple of str
        What was assumed, such as which file holds the corrections.
    """

    name: str
    truth: tuple[Path, ...]
    pred: tuple[Path, ...]
    folders: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    def read(self) -> tuple[Annotations, Annotations]:
        """Read truth and prediction."""
        return read_parts(self.truth), read_parts(self.pred)


def file_pairs(truth: Path | None, pred: Path) -> tuple[list[FilePair], list[str]]:
    """Pair files with files.

    Parameters
    ----------
    truth, pred : Path
        A GeoJSON file, a run folder, or a folder of these. In a run folder that is the truth, the newest corrections
        that were kept aside count; where the truth is None, they are those in the folders of the prediction.

    Returns
    -------
    list of FilePair
        Two single files are one pair, whatever their names. Files in folders are paired by the same stem, then by
        their slides (:func:`pair_results`).
    list of str
        One sentence for each result that has no partner, or no GeoJSON.

    Raises
    ------
    UsageError
        If there is nothing to compare, or a file could belong to several others.
    """
    preds, one_pred, problems = _listed(pred)
    if truth is None:
        return _with_corrections(preds), problems
    truths, one_truth, more = _listed(truth)
    problems += more
    truths = {key: one.corrected() for key, one in truths.items()}
    if one_truth and one_pred:
        (one,), (other,) = truths.values(), preds.values()
        return [_pair(other.name, one, other)], problems
    # Only files whose names have no equal are opened.
    rest, those = (
        [one.result_name() for name, one in results.items() if name not in other]
        for results, other in ((truths, preds), (preds, truths))
    )
    common = [(name, name) for name in truths if name in preds] + pair_results(rest, those)
    if not common:
        raise UsageError(
            f"No file in {pred.name} has the same name as a file in {truth.name}.",
            f"The prediction has: {_some(preds)}. The truth has: {_some(truths)}. "
            "Give files that belong together the same name.",
        )
    order = {name: number for number, name in enumerate(truths)}
    common.sort(key=lambda names: order[names[0]])
    paired = [{names[turn] for names in common} for turn in (0, 1)]
    problems += [
        f"{one.files[0].name} of the {which} has no partner named {name!r}."
        for turn, which, these in ((0, "truth", truths), (1, "prediction", preds))
        for name, one in these.items()
        if name not in paired[turn] and not one.is_stray()
    ]
    return [_pair(name, truths[key], preds[name]) for key, name in common], problems


def _pair(name: str, truth: "_Result", pred: "_Result") -> FilePair:
    folders = dict.fromkeys(one.folder for one in (truth, pred) if one.folder is not None)
    return FilePair(name, truth.files, pred.files, tuple(folders), truth.notes)


def _with_corrections(preds: "dict[str, _Result]") -> list[FilePair]:
    """Pair each run that has corrections with them."""
    pairs = []
    for name, one in preds.items():
        truth = one.corrected()
        if truth.files != one.files:
            pairs.append(_pair(name, truth, one))
    if not pairs:
        name, first = next(iter(preds.items()))
        raise no_corrections(name, changed=first.is_changed())
    return pairs


def read_parts(paths: tuple[Path, ...]) -> Annotations:
    """Read the files of one result as one set of annotations."""
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
        parts[0].provenance,
    )


@dataclass(frozen=True)
class _Result:
    name: str
    files: tuple[Path, ...]
    # Of a run; None for single files.
    folder: Path | None = None
    notes: tuple[str, ...] = ()

    def corrected(self) -> "_Result":
        """Return the result with the corrections that lie in its folder in the place of what the run wrote."""
        found = corrections_in(self.folder, self.files) if self.folder is not None else ()
        if not found:
            return self
        names = ", ".join(path.name for path in found if path not in self.files)
        return replace(self, files=found, notes=(f"The corrections in {names} are the truth.",))

    def is_changed(self) -> bool:
        """Return whether a file is not as the run wrote it."""
        manifest = read_manifest(self.folder) if self.folder is not None else None
        outputs = (manifest or {}).get("outputs")
        known = outputs if isinstance(outputs, dict) else {}
        return any(path.name in known and file_sha256(path) != known[path.name] for path in self.files)

    def result_name(self) -> ResultName:
        """Return its names, read from its files."""
        return ResultName(self.name, slide_of(self.files, self.folder))

    def is_stray(self) -> bool:
        """Return whether it is a JSON file of something else."""
        if self.folder is not None or self.files[0].suffix.lower() != ".json":
            return False
        try:
            return not _GEOJSON.search(next(pieces(self.files[0]), b""))
        except UsageError:
            return False


def _listed(path: Path) -> tuple[dict[str, _Result], bool, list[str]]:
    """Return results by name, whether there is one only, and a sentence for each run without GeoJSON."""
    try:
        return _results_at(path)
    except OSError as error:
        raise UsageError(f"{shown(path)} cannot be read: {error.strerror or error}.", CHECK_RIGHTS) from error


def _results_at(path: Path) -> tuple[dict[str, _Result], bool, list[str]]:
    check_input(path, "a GeoJSON file or a folder of results", folder=True)
    if path.is_file():
        return {_stem(path): _Result(_stem(path), (path,))}, True, []
    name = path.resolve().name
    if own := _of_run(path):
        return {name: _Result(name, own, path)}, True, []
    if (path / MANIFEST_NAME).is_file():
        raise UsageError(f"{name} {_NO_GEOJSON}.", _REMEDY)
    return _of_folder(path)


def _of_folder(path: Path) -> tuple[dict[str, _Result], bool, list[str]]:
    found: dict[str, _Result] = {}
    without = []
    for inner in sorted(path.iterdir()):
        if inner.name.startswith(".") or _NOT_OBJECTS.fullmatch(inner.name) or is_correction(inner):
            continue
        try:
            files = _of_run(inner) if inner.is_dir() else (inner,) if _stem(inner) else ()
        except UsageError as error:
            # The others are compared.
            without.append(error.message)
            continue
        if not files:
            without += [f"{inner.name} {_NO_GEOJSON}."] if (inner / MANIFEST_NAME).is_file() else []
            continue
        name = inner.name if inner.is_dir() else _stem(inner)
        if name in found:
            twice = f"{found[name].files[0].name} and {inner.name}"
            raise UsageError(f"{path.name} contains {name!r} twice: {twice}.", "Keep one of them.")
        found[name] = _Result(name, files, inner if inner.is_dir() else None)
    if not found and without:
        raise UsageError(" ".join(without), _REMEDY)
    if not found:
        raise UsageError(
            f"{path.name} contains no GeoJSON file and no folder of results.",
            "Give a GeoJSON file or a folder of them.",
        )
    return found, False, without


def _stem(path: Path) -> str:
    """Return the name without its endings; "" if it is not a GeoJSON name.

    >>> _stem(Path("a.b.geojson.gz")), _stem(Path("a.svs"))
    ('a.b', '')
    """
    name = path.name.removesuffix(".gz")
    return next((name.removesuffix(ending) for ending in _ENDINGS if name.lower().endswith(ending)), "")


def _of_run(folder: Path) -> tuple[Path, ...]:
    """Return the files of objects of a run folder, from its manifest, which also names parts.

    Raises
    ------
    UsageError
        The manifest exists and cannot be read: the files may be of several runs.
    """
    try:
        manifest = read_manifest(folder)
    except ManifestError as error:
        raise UsageError(error.message, f"Give the GeoJSON files themselves, or remove {MANIFEST_NAME}.") from error
    outputs = None if manifest is None else manifest.get("outputs")
    names = list(outputs) if isinstance(outputs, dict) else sorted(path.name for path in folder.glob(f"{_OBJECTS}*"))
    wanted = [name for name in names if name.startswith(_OBJECTS) and name.removesuffix(".gz").endswith(".geojson")]
    return tuple(folder / name for name in wanted if not is_correction(Path(name)))


def _some(names: dict[str, _Result]) -> str:
    return ", ".join(list(names)[:3]) + (", …" if len(names) > 3 else "")
