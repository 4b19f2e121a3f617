"""Every exporter keeps the contract of output formats."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from wsi_parse.errors import PluginError
from wsi_parse.exporters.base import ExportContext, Exporter
from wsi_parse.exporters.opened import OpenedExporter
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.registry import EXPORTERS
from wsi_parse.settings import ExportSettings
from wsi_parse.testing.exporters import ExporterTests


class TestGeoJson(ExporterTests):
    @pytest.fixture
    def kind(self) -> type[Exporter]:
        return EXPORTERS.get("geojson")

    def count(self, written: Sequence[Path]) -> int:
        return len(json.loads(written[0].read_bytes())["features"])


class TestParquet(ExporterTests):
    @pytest.fixture
    def kind(self) -> type[Exporter]:
        return EXPORTERS.get("parquet")

    def count(self, written: Sequence[Path]) -> int:
        return int(pq.read_metadata(written[0]).num_rows)


class TestCsv(ExporterTests):
    @pytest.fixture
    def kind(self) -> type[Exporter]:
        return EXPORTERS.get("csv")

    def count(self, written: Sequence[Path]) -> int:
        return int(pyarrow.csv.read_csv(written[0]).num_rows)


class TestDicom(ExporterTests):
    @pytest.fixture
    def kind(self) -> type[Exporter]:
        return EXPORTERS.get("dicom")


class TestOmeZarr(ExporterTests):
    @pytest.fixture
    def kind(self) -> type[Exporter]:
        return EXPORTERS.get("ome-zarr")


@pytest.mark.skipif(find_spec("spatialdata") is None, reason="spatialdata is not installed")
@pytest.mark.filterwarnings("ignore")
class TestSpatialData(ExporterTests):
    @pytest.fixture
    def kind(self) -> type[Exporter]:
        return EXPORTERS.get("spatialdata")


def test_formats_of_objects_need_neither_maps_nor_the_slide() -> None:
    kinds, _ = EXPORTERS.usable()
    of_objects = {name for name, kind in kinds.items() if not kind.needs_maps and not kind.needs_slide}
    assert of_objects == {"csv", "geojson", "parquet"}


class Failing(Exporter):
    """Fails where it is told to."""

    file_name = "failing.txt"

    def __init__(self, path: Path, context: ExportContext) -> None:
        self.path, self.where = path, str(context.provenance["where"])
        self._fail("made")

    def _fail(self, where: str) -> None:
        if self.where == where:
            raise ZeroDivisionError("division by zero")

    def __enter__(self) -> "Failing":
        self._fail("opened")
        return self

    def write(self, batch: ObjectBatch) -> None:
        self._fail("write")

    @property
    def written(self) -> Sequence[Path]:
        return (self.path,)

    def __exit__(self, *_: object) -> None:
        self._fail("ended")

    def facts(self) -> dict[str, object]:
        return {"mean": np.float32(1)} if self.where == "facts" else {"how_to_open": "open it"}


@pytest.mark.parametrize("where", ["made", "opened", "write", "ended", "facts", ""])
def test_an_exporter_that_fails_is_named(tmp_path: Path, where: str) -> None:
    def run() -> dict[str, object]:
        context = ExportContext(ClassTable(()), (0, 0), {"where": where})
        with OpenedExporter("failing", tmp_path, context, ExportSettings()) as exporter:
            exporter.write(ObjectBatch(np.array([]), np.array([]), np.array([]), {}))
        return exporter.facts()

    EXPORTERS.add("failing", Failing)
    try:
        if not where:
            assert run() == {"files": ["failing.txt"], "how_to_open": "open it"}
            return
        with pytest.raises(PluginError, match="The exporter failing ") as caught:
            run()
        assert isinstance(caught.value.__cause__, TypeError if where == "facts" else ZeroDivisionError)
    finally:
        EXPORTERS.remove("failing")
