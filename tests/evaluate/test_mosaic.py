"""The mosaic: its true nuclei, exported, against the result of `stain`: the figures of the truth's own pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array

from tests.shared import shared_data_root
from wsi_parse.annotations import read_annotations
from wsi_parse.evaluate import Evaluation, evaluate, match_centres
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.geojson import GeoJsonExporter
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Prompt
from wsi_parse.qupath.check import check_file
from wsi_parse.qupath.geometry import fit_for_qupath
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings

pytestmark = pytest.mark.whole

WIDTH, HEIGHT, SIDE, MPP = 8192, 6144, 512, 0.25
# Pixels are cut in so many a side to draw outlines that lie on quarter pixels.
FINER = 4


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mosaic")
    slide = shared_data_root() / "slides" / "mosaic" / "tnbc_mosaic_40x.svs"
    settings = RunSettings.load(
        None, ["export.overlay_px=0", "export.report=false"], prompts=("nuclei",), model={"name": "stain"}
    )
    run_slide(slide, folder, settings)
    return folder


@pytest.fixture(scope="module")
def labels() -> NDArray[np.int32]:
    """The truth as pixels: the masks at the places of their tiles."""
    data = shared_data_root()
    pixels = np.zeros((HEIGHT, WIDTH), np.int32)
    for name, y, x in json.loads((data / "slides" / "mosaic" / "tnbc_mosaic_sources.json").read_text()):
        with Image.open(data / "nuclei" / "tnbc" / "masks" / name) as picture:
            mask = np.asarray(picture.convert("RGB")).max(axis=2) > 0
        part = ndimage.label(mask)[0]
        pixels[y : y + SIDE, x : x + SIDE] = np.where(part > 0, part + pixels.max(), 0)
    return pixels


def outlined(pixels: NDArray[np.int32]) -> NDArray[np.object_]:
    """Outline labels along pixel edges: each run of a row is a box, and the boxes of a label are joined."""
    rows, columns = np.nonzero(pixels)
    numbers = pixels[rows, columns]
    first = np.ones(len(rows), bool)
    first[1:] = (np.diff(rows) != 0) | (np.diff(columns) != 1) | (np.diff(numbers) != 0)
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], len(rows)) - 1
    boxes = shapely.box(columns[starts], rows[starts], columns[ends] + 1, rows[starts] + 1)
    order = np.argsort(numbers[starts], kind="stable")
    parts = np.split(boxes[order], np.flatnonzero(np.diff(numbers[starts][order])) + 1)
    return np.array([shapely.union_all(part) for part in parts], object)


def drawn(shapes: NDArray[np.object_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Draw shapes on fine pixels by their centres: number of the shape, row and column of each fine pixel inside."""
    inside = []
    for number, shape in enumerate(shapes):
        left, top, right, bottom = (np.array(shape.bounds) * FINER).round().astype(int).tolist()
        rows, columns = np.mgrid[top:bottom, left:right]
        shapely.prepare(shape)
        hit = shapely.contains_xy(shape, (columns.ravel() + 0.5) / FINER, (rows.ravel() + 0.5) / FINER)
        inside.append(np.stack([np.full(hit.sum(), number), rows.ravel()[hit], columns.ravel()[hit]]))
    number, row, column = np.concatenate(inside, axis=1)
    return number, row, column


def export(shapes: NDArray[np.object_], path: Path) -> Path:
    prompt = Prompt.parse("nuclei")
    ids = np.array([f"00000000-0000-4000-8000-{number:012d}" for number in range(len(shapes))], object)
    with GeoJsonExporter(
        path, ExportContext(ClassTable.of([prompt]), (0, 0), {"frame": "qupath", "offset_level0_px": [0, 0]})
    ) as file:
        file.write(ObjectBatch(fit_for_qupath(shapes), np.zeros(len(shapes), np.int16), ids, {}))
    return path


def test_outlines_give_the_figures_of_pixels(found: Path, labels: NDArray[np.int32], tmp_path: Path) -> None:
    truth = export(outlined(labels), tmp_path / "truth.geojson")
    assert not check_file(truth).counts
    result = evaluate(truth, found / "annotations.geojson").everything.to_dict()
    pred = read_annotations(found / "annotations.geojson").geometry
    number, row, column = drawn(pred)
    under = labels[row // FINER, column // FINER]
    known, size = int(labels.max()), np.bincount(labels.ravel())[1:] * FINER**2
    size_pred = np.bincount(number, minlength=len(pred))
    hit = under > 0
    both = coo_array((np.ones(hit.sum()), (under[hit] - 1, number[hit])), shape=(known, len(pred))).tocsr().tocoo()
    iou = both.data / (size[both.row] + size_pred[both.col] - both.data)
    gain = coo_array((np.where(iou > 0.5, 1 + iou, 0), (both.row, both.col)), shape=both.shape).toarray()
    gain = gain[gain.any(axis=1)][:, gain.any(axis=0)]
    best = gain[linear_sum_assignment(gain, maximize=True)]
    matched, total = int((best > 0).sum()), float((best[best > 0] - 1).sum())
    cover = np.zeros((HEIGHT * FINER, WIDTH * FINER), bool)
    cover[row, column] = True
    common = np.count_nonzero(cover & (labels > 0).repeat(FINER, axis=0).repeat(FINER, axis=1))
    centres = [
        np.array(ndimage.center_of_mass(labels > 0, labels, np.arange(1, known + 1)))[:, ::-1] + 0.5,
        np.stack([np.bincount(number, axis) / size_pred for axis in (column + 0.5, row + 0.5)], axis=1) / FINER,
    ]
    near = len(match_centres(centres[1] * MPP, centres[0] * MPP, 6.0))
    expected = {
        "truth": known,
        "pred": len(pred),
        "truth_area_um2": size.sum() / FINER**2 * MPP**2,
        "pred_area_um2": cover.sum() / FINER**2 * MPP**2,
        "dice": 2 * common / (size.sum() + cover.sum()),
        "f1": 2 * matched / (known + len(pred)),
        "pq": 2 * total / (known + len(pred)),
        "sq": total / matched,
        "centre_f1": 2 * near / (known + len(pred)),
    }
    assert {key: result[key] for key in expected} == pytest.approx(expected, rel=0.01)
    assert expected["dice"] > 0.6
    assert expected["centre_f1"] > 0.75


def test_the_outlines_that_came_with_the_mosaic(found: Path) -> None:
    """Traced through pixel centres, and so 9 % too small; some cross themselves. They are taken as they are."""
    path = shared_data_root() / "slides" / "mosaic" / "tnbc_mosaic_nuclei.geojson"
    evaluation: Evaluation = evaluate(path, found / "annotations.geojson")
    truth, pred = (
        shapely.union_all(shapely.make_valid(read_annotations(one).geometry, method="structure", keep_collapsed=False))
        for one in (path, found / "annotations.geojson")
    )
    dice = 2 * shapely.intersection(truth, pred).area / (truth.area + pred.area)
    assert evaluation.everything.dice == pytest.approx(dice, rel=1e-9)
    assert any("repaired" in note for note in evaluation.notes)
    assert 0.78 < evaluation.everything.to_dict()["centre_f1"] < 0.9
