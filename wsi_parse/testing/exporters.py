"""ExporterTests: the contract of every output format."""

import gzip
import itertools
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from wsi_parse.exporters.base import ExportContext, Exporter
from wsi_parse.files import tree_sha256
from wsi_parse.geometry import Box, Frame
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.objects.probability_map import ProbabilityMap
from wsi_parse.prompts import Prompt
from wsi_parse.settings import ExportSettings
from wsi_parse.text import RESEARCH_ONLY

# What a run writes besides its formats.
_TAKEN = (
    *("run.json", "tissue.geojson", "overlay.png", "report.html"),
    *("heat_map.png", "heat_map.geojson", "least_certain.geojson"),
)
_WIDTH_PX, _HEIGHT_PX = 2400, 1800
_OFFSET = (300, 20)
_PROMPTS = (Prompt.parse("neoplastic cells"), Prompt.parse("glands"), Prompt.parse('blue "dots", é; <b>'))
_CLASSES = ClassTable.of(_PROMPTS)


class ExporterTests:
    """The contract of every output format. Provide a fixture `kind`: the class of the exporter.

    Override :meth:`text_of` for files that are compressed otherwise than by gzip, and :meth:`count` to have it checked
    that every object is written.
    """

    def text_of(self, file: Path) -> bytes:
        """Return the content of a file in which a plain text can be found."""
        data = file.read_bytes()
        return gzip.decompress(data) if file.suffix == ".gz" else data

    def count(self, written: Sequence[Path]) -> int | None:
        """Count the objects in what was written; None if the format holds none."""
        del written
        return None

    def test_its_file_has_a_name_of_its_own(self, kind: type[Exporter], tmp_path: Path) -> None:
        """Directly in the folder of a run, with any settings; not hidden, and not that of another output."""
        for settings in (ExportSettings(), ExportSettings(gzip=True)):
            path = kind.path_in(tmp_path, settings)
            assert path.parent == tmp_path
            assert path.name not in _TAKEN
            assert not path.name.startswith(".")
            assert path.name.startswith(kind.file_name)

    def test_what_it_says_was_written_is_all_there_is(self, kind: type[Exporter], tmp_path: Path) -> None:
        """Nothing else is left in the folder."""
        exporter = _write(kind, tmp_path, _objects())
        assert exporter.written
        assert set(tmp_path.iterdir()) == set(exporter.written)

    def test_nothing_has_its_name_before_all_is_written(self, kind: type[Exporter], tmp_path: Path) -> None:
        """Files that are not whole yet are hidden."""
        with kind(kind.path_in(tmp_path, ExportSettings()), _context(kind)) as exporter:
            exporter.write(_objects())
            assert all(path.name.startswith(".") for path in tmp_path.iterdir())

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_an_error_leaves_nothing(self, kind: type[Exporter], tmp_path: Path, error: type[BaseException]) -> None:
        """An error between two batches."""
        with pytest.raises(error):
            _fail(kind, tmp_path, error)
        assert not list(tmp_path.iterdir())

    def test_an_error_keeps_what_was_there(self, kind: type[Exporter], tmp_path: Path) -> None:
        """The files of an earlier run stay as they were."""
        written = _write(kind, tmp_path, _objects()).written
        before = {path: tree_sha256(path) for path in written}
        with pytest.raises(RuntimeError):
            _fail(kind, tmp_path, RuntimeError)
        assert {path: tree_sha256(path) for path in tmp_path.iterdir()} == before

    def test_an_earlier_result_is_replaced(self, kind: type[Exporter], tmp_path: Path) -> None:
        """By the same bytes as in an empty folder."""
        for name in ("new", "old"):
            (tmp_path / name).mkdir()
        _write(kind, tmp_path / "old", _objects().part(0, 5))
        contents = [_contents(_write(kind, tmp_path / name, _objects())) for name in ("new", "old")]
        assert contents[0] == contents[1]

    def test_bytes_do_not_depend_on_batches_and_repeat(self, kind: type[Exporter], tmp_path: Path) -> None:
        """However the objects are cut into batches, some of which are empty; there is no time in a file."""
        objects, contents = _objects(), []
        for number, cuts in enumerate(((0, 60), (0, 60), (0, 1, 1, 30, 59, 60))):
            folder = tmp_path / str(number)
            folder.mkdir()
            parts = [objects.part(start, stop) for start, stop in itertools.pairwise(cuts)]
            contents.append(_contents(_write(kind, folder, *parts)))
        assert contents[0] == contents[1] == contents[2]

    def test_objects_of_every_kind_are_written(self, kind: type[Exporter], tmp_path: Path) -> None:
        """Holes, several parts, unsure classes, missing and late measurements, nuclei inside cells."""
        ring = shapely.box(500, 500, 900, 900).difference(shapely.box(600, 600, 700, 700))
        parts = shapely.MultiPolygon([shapely.box(1000, 500, 1050, 540), shapely.box(1100, 500, 1150, 540.25)])
        late = _batch(np.array([ring, parts], object), np.array([2, 3]), {"class_probability": [0.5, np.nan]})
        plain = _objects()
        for number, batches in enumerate(((plain, late), (_with_nuclei(plain), late))):
            folder = tmp_path / str(number)
            folder.mkdir()
            count = self.count(_write(kind, folder, *batches).written)
            assert count in (None, sum(map(len, batches)))

    def test_nothing_found_is_a_result(self, kind: type[Exporter], tmp_path: Path) -> None:
        """A slide without objects has a file that says so."""
        written = _write(kind, tmp_path).written
        assert written
        assert self.count(written) in (None, 0)
        self._check_text(written, tmp_path)

    def test_it_says_what_it_is_for_and_nothing_of_patients_and_folders(
        self, kind: type[Exporter], tmp_path: Path
    ) -> None:
        """The notice is in every result; the place of the slide, which may name a patient, in none."""
        self._check_text(_write(kind, tmp_path, _objects()).written, tmp_path)

    def test_notes_are_sentences_and_facts_are_json(self, kind: type[Exporter], tmp_path: Path) -> None:
        """Notes are shown to the user, facts go to the manifest."""
        exporter = _write(kind, tmp_path, _objects())
        assert all(note.endswith(".") for note in exporter.notes())
        facts = dict(exporter.facts())
        json.dumps(facts, allow_nan=False)
        assert isinstance(facts.get("how_to_open", ""), str)

    def _check_text(self, written: Sequence[Path], folder: Path) -> None:
        texts = [self.text_of(file) for path in written for file in _files(path)]
        assert any(RESEARCH_ONLY.encode() in text for text in texts)
        for secret in ("PAT-4711", str(folder)):
            assert not any(secret.encode() in text for text in texts)


def _write(kind: type[Exporter], folder: Path, *batches: ObjectBatch) -> Exporter:
    with kind(kind.path_in(folder, ExportSettings()), _context(kind)) as exporter:
        for batch in batches:
            exporter.write(batch)
    return exporter


def _fail(kind: type[Exporter], folder: Path, error: type[BaseException]) -> None:
    with kind(kind.path_in(folder, ExportSettings()), _context(kind)) as exporter:
        exporter.write(_objects().part(0, 40))
        raise error


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _contents(exporter: Exporter) -> dict[str, str]:
    return {path.name: tree_sha256(path) for path in exporter.written}


def _context(kind: type[Exporter]) -> ExportContext:
    """Describe a run on a made slide, whose folder holds an identifier."""
    slide = {
        "name": "slide.svs",
        "fingerprint": "f" * 64,
        "width_px": _WIDTH_PX,
        "height_px": _HEIGHT_PX,
        "mpp_x_um": 0.25,
        "mpp_y_um": 0.25,
    }
    provenance = {
        "notice": RESEARCH_ONLY,
        "wsi_parse": "0",
        "slide": slide,
        "frame": "qupath",
        "offset_level0_px": list(_OFFSET),
        "model": {"name": "made", "weights_sha256": None},
        "digest": "0123456789abcdef",
    }
    source = Path("/somewhere/PAT-4711/slide.svs") if kind.needs_slide else None
    return ExportContext(_CLASSES, _OFFSET, provenance, maps=(_map(),) if kind.needs_maps else (), source=source)


def _map() -> ProbabilityMap:
    """Make a map that was predicted on its left half."""
    frame = Frame.of(_WIDTH_PX, _HEIGHT_PX, (0.25, 0.25), 1.0)
    rows, columns = np.mgrid[: frame.height, : frame.width]
    covered = columns < frame.width // 2
    values = np.stack([(rows * 3 + columns * number) % 256 for number in range(1, 4)]).astype(np.uint8) * covered

    def read(box: Box) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        return values[:, *box.slices], covered[box.slices]

    return ProbabilityMap("made", frame, _PROMPTS, ("target",) * 3, read, lambda box: bool(covered[box.slices].any()))


def _objects() -> ObjectBatch:
    """Make hexagons of all classes, sure and unsure."""
    turn = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    random = np.random.default_rng(0)
    middle = random.uniform((320, 40), (_WIDTH_PX - 40, _HEIGHT_PX - 40), (60, 2))[:, None]
    ring = np.rint((middle + 12 * np.stack([np.cos(turn), np.sin(turn)], axis=-1)) * 4) / 4
    mean = random.uniform(0, 1, 60)
    mean[::3] = np.nan
    shapes = shapely.polygons(ring)
    measurements = {"area_um2": shapely.area(shapes) / 16, "probability_mean": mean}
    return _batch(shapes, random.integers(0, len(_CLASSES.rows), 60), measurements)


def _batch(
    shapes: NDArray[np.object_],
    class_index: NDArray[np.integer],
    measurements: Mapping[str, Sequence[float] | NDArray[np.float64]],
) -> ObjectBatch:
    ids = [str(uuid.uuid5(uuid.NAMESPACE_OID, shape.hex())) for shape in shapely.to_wkb(shapes)]
    columns = {name: np.asarray(values, np.float32) for name, values in measurements.items()}
    return ObjectBatch(shapes, class_index.astype(np.int16), np.array(ids, object), columns)


def _with_nuclei(batch: ObjectBatch) -> ObjectBatch:
    """Return the cells of a batch, with a nucleus each."""
    batch = batch.take(_CLASSES.is_cell[batch.class_index])
    middle = np.rint(shapely.get_coordinates(shapely.centroid(batch.geometry)))
    nuclei = shapely.box(middle[:, 0] - 2, middle[:, 1] - 2, middle[:, 0] + 2, middle[:, 1] + 2)
    return replace(batch, nuclei=nuclei)
