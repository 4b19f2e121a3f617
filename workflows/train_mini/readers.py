"""Readers of the data sets: one function for each."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from workflows.train_mini.corrected import read_corrected
from workflows.train_mini.settings import SetSettings
from workflows.train_mini.tiles import EITHER, NOT_NEOPLASTIC, NOTHING, UNKNOWN, Tile, scaled
from wsi_parse.models.mini.facts import CLASSES

_CONSEP = {
    1: "other",
    2: "inflammatory",
    3: "epithelial",
    4: "neoplastic",
    5: "connective",
    6: "connective",
    7: "other",
}
# Type 2 is "tumour or epithelial".
_BRCA_M2C = {1: CLASSES.index("inflammatory"), 2: EITHER, 3: CLASSES.index("connective")}
# Tumour, not tumour, apoptosis (of either), mitosis.
_BRECAHAD = {1: CLASSES.index("neoplastic"), 2: NOT_NEOPLASTIC, 3: UNKNOWN, 4: CLASSES.index("neoplastic")}
# The tiles of melanoma, and one more on either side because the border is unsure: any nucleus may be neoplastic.
_NUINSSEG_MELANOMA = range(131, 145)
_NUCLS = {"tumor_any": "neoplastic", "nonTIL_stromal": "connective", "sTIL": "inflammatory", "other_nucleus": "other"}


def read_set(name: str, settings: SetSettings, data: Path) -> list[Tile]:
    """Read all tiles of a set, sorted by name, at :data:`TILE_MPP`."""
    folder = data / settings.folder
    if not folder.is_dir():
        raise SystemExit(f"{name}: there is no folder {settings.folder!r} in the data folder. Check the settings.")
    tiles = [scaled(tile, settings.mpp) for tile in _READERS[settings.reader](name, folder)]
    if not tiles:
        raise SystemExit(f"{name}: there are no tiles in {settings.folder!r}.")
    return tiles


def _image(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _labels(path: Path) -> NDArray[np.int32]:
    with Image.open(path) as image:
        return np.asarray(image).astype(np.int32)


def _numbered(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number nuclei 1, 2, … without gaps."""
    _, numbers = np.unique(np.append(labels.ravel(), 0), return_inverse=True)
    return numbers[:-1].reshape(labels.shape).astype(np.int32)


def _consep(name: str, folder: Path) -> Iterator[Tile]:
    table = np.full(256, UNKNOWN, np.uint8)
    for kind, class_name in _CONSEP.items():
        table[kind] = CLASSES.index(class_name)
    for path in sorted((folder / "images").glob("*.jpg")):
        nuclei = _numbered(_labels(folder / "inst" / f"{path.stem}.png"))
        kinds = _labels(folder / "type" / f"{path.stem}.png")
        first = np.unique(nuclei, return_index=True)[1]
        classes = table[kinds.ravel()[first]]
        if nuclei.ravel()[first[0]] == 0:
            classes[0] = UNKNOWN
        yield Tile(name, path.stem.removeprefix("train_"), path.stem, 0, _image(path), nuclei, classes)


def _tnbc(name: str, folder: Path) -> Iterator[Tile]:
    for path in sorted((folder / "images").glob("*.png")):
        nuclei = ndimage.label(_labels(folder / "masks" / path.name) > 0)[0].astype(np.int32)
        yield Tile(name, path.stem.partition("_")[0], path.stem, 0, _image(path), nuclei, None)


def _nuinsseg(name: str, folder: Path) -> Iterator[Tile]:
    """Groups are organs, because the patients are not published."""
    with (folder.parent / "nuinsseg_organs" / "index_organ.csv").open(encoding="utf-8", newline="") as file:
        organs = {int(row["index"]): (row["species"], row["organ"]) for row in csv.DictReader(file)}
    for path in sorted((folder / "images").glob("*.jpg"), key=lambda path: int(path.stem)):
        if int(path.stem) in _NUINSSEG_MELANOMA:
            continue
        nuclei = ndimage.label(_labels(folder / "masks" / f"{path.stem}.png") > 0)[0].astype(np.int32)
        species, organ = organs[int(path.stem)]
        group = f"{species} {organ}"
        yield Tile(name, group, path.stem, 0, _image(path), nuclei, None, apart=False, organ=organ)


def _brca_m2c(name: str, folder: Path) -> Iterator[Tile]:
    with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
        patients = {row["name"]: row["patient"] for row in csv.DictReader(file)}
    for path in sorted((folder / "images").glob("*.jpg")):
        rows = np.loadtxt(folder / "points" / f"{path.stem}.csv", np.int64, delimiter=",", skiprows=1, ndmin=2)
        image = _image(path)
        yield Tile(
            name,
            patients[path.stem],
            path.stem,
            0,
            image,
            np.zeros(image.shape[:2], np.int32),
            None,
            # A point stands in the middle of its pixel.
            centres=rows[:, :2].astype(np.float64) + 0.5,
            centre_classes=np.array([_BRCA_M2C[kind] for kind in rows[:, 2]], np.uint8),
            organ="breast",
        )


def _brecahad(name: str, folder: Path) -> Iterator[Tile]:
    """About half of the nuclei are labelled, by boxes: the ellipses in these teach classes, but not outlines."""
    table = np.full(256, UNKNOWN, np.uint8)
    for kind, class_ in _BRECAHAD.items():
        table[kind] = class_
    for path in sorted((folder / "images").glob("*.jpg")):
        kinds = _labels(folder / "type" / f"{path.stem}.png")
        nuclei = _numbered(np.where(np.isin(kinds, list(_BRECAHAD)), _labels(folder / "inst" / f"{path.stem}.png"), 0))
        first = np.unique(nuclei, return_index=True)[1]
        classes = table[kinds.ravel()[first]]
        classes[0] = UNKNOWN
        known = np.full(nuclei.shape, NOTHING, np.uint8)
        patient = path.stem.partition("-")[0]
        yield Tile(name, patient, path.stem, 0, _image(path), nuclei, classes, known=known, organ="breast")


def _bcss(name: str, folder: Path) -> Iterator[Tile]:
    for path in sorted((folder / "images").glob("*.jpg")):
        tumour = _labels(folder / "tumour_mask" / path.with_suffix(".png").name) > 0
        image = _image(path)
        nuclei, known = np.zeros(image.shape[:2], np.int32), np.full(image.shape[:2], NOTHING, np.uint8)
        yield Tile(name, path.stem, path.stem, 0, image, nuclei, None, known=known, organ="breast", tumour=tumour)


def _dsb2018(name: str, folder: Path) -> Iterator[Tile]:
    for path in sorted((folder / "images").glob("*.png")):
        nuclei = _numbered(_labels(folder / "labels" / path.name))
        yield Tile(name, path.stem, path.stem, 0, _image(path), nuclei, None)


def _nucls(name: str, folder: Path) -> Iterator[Tile]:
    for path in sorted((folder / "images").glob("*.png")):
        labels = _labels(folder / "inst_class" / f"{path.stem}_inst.png")
        class_of_number = json.loads((folder / "inst_class" / f"{path.stem}_class.json").read_text(encoding="utf-8"))
        classes = np.full(labels.max() + 1, UNKNOWN, np.uint8)
        for number, kind in class_of_number.items():
            classes[int(number)] = CLASSES.index(_NUCLS[kind])
        yield Tile(name, path.stem, path.stem, 0, _image(path), labels, classes)


_READERS: dict[str, Callable[[str, Path], Iterator[Tile]]] = {
    "consep": _consep,
    "tnbc": _tnbc,
    "nuinsseg": _nuinsseg,
    "brca_m2c": _brca_m2c,
    "brecahad": _brecahad,
    "bcss": _bcss,
    "dsb2018": _dsb2018,
    "nucls": _nucls,
    "corrected": read_corrected,
}
