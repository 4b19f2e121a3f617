"""SpatialData of a run: outlines, measurements and probability maps in one Zarr store, by spatialdata."""

import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import shapely
import zarr
from numpy.typing import NDArray

from wsi_parse.exporters.base import ExportContext, StreamingExporter
from wsi_parse.exporters.ome_zarr import COVERAGE, level_shapes, write_pyramid
from wsi_parse.files import remove
from wsi_parse.objects.batch import ObjectBatch, concatenate_columns
from wsi_parse.objects.probability_map import ProbabilityMap

SHAPES, NUCLEI, TABLE, MICRONS = "objects", "nuclei", "measurements", "um"
_XY = ("x", "y")


class SpatialDataExporter(StreamingExporter):
    """Shapes ``objects``, table ``measurements``, images ``probability_PASS`` and labels ``looked_at_PASS``.

    Notes
    -----
    If nuclei were expanded to cells, objects are the cells, and ``nuclei`` are separate shapes.

    The coordinate system ``global`` is level-0 pixels minus the offset, as in the GeoJSON; ``um`` is the same in
    microns. Objects are named by their UUIDs, which are the instances of the table; its X holds the measurements,
    NaN if an object has none. A run that found nothing has neither shapes nor table. Provenance: ``attrs``.

    Memory: maps are written shard by shard, but spatialdata takes all shapes at once: 3.4 GB for a million cells of 24
    points. For several million objects, use ``objects.parquet``.
    """

    file_name: ClassVar[str] = "spatialdata.zarr"
    needs_maps: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("spatialdata",)
    extra: ClassVar[str] = "spatialdata"

    def __init__(self, path: Path, context: ExportContext) -> None:
        super().__init__(path, context)
        slide = context.provenance["slide"]
        self._mpp = float(slide["mpp_x_um"]), float(slide["mpp_y_um"])
        self._batches: list[ObjectBatch] = []

    def _open(self, temporary: Path, stack: ExitStack) -> None:
        self._temporary = temporary
        # With a name that the next run finds and removes if the process is killed.
        self._maps = temporary.with_name(f".maps{temporary.name}")
        stack.callback(remove, self._maps)

    def write(self, batch: ObjectBatch) -> None:
        """Add a batch of objects."""
        if len(batch):
            self._batches.append(batch)

    def _finish(self) -> None:
        import dask
        from pandas import option_context

        with warnings.catch_warnings():
            # Warnings of libraries about one another do not concern us.
            warnings.simplefilter("ignore")
            # The cluster of the run may be on other machines; anndata up to 0.12 cannot write the strings of pandas 3.
            with dask.config.set(scheduler="threads"), option_context("future.infer_string", False):
                self._write()

    def _write(self) -> None:
        from spatialdata import SpatialData

        images, labels = {}, {}
        for one in self.context.maps:
            folder = self._maps / one.name
            write_pyramid(folder, one, self.context, {})
            images[f"probability_{one.name}"] = self._raster(folder, one, [prompt.name for prompt in one.prompts])
            labels[f"{COVERAGE}_{one.name}"] = self._raster(folder / "labels" / COVERAGE, one, None)
        objects = _joined(self._batches)
        self._batches = []
        shapes = {SHAPES: self._shapes(objects, objects.geometry)} if objects else {}
        if objects and objects.nuclei is not None:
            shapes[NUCLEI] = self._shapes(objects, objects.nuclei)
        tables = {TABLE: self._table(objects)} if objects else {}
        attributes = {"wsi_parse": self.provenance}
        SpatialData(images=images, labels=labels, shapes=shapes, tables=tables, attrs=attributes).write(self._temporary)

    def _raster(self, folder: Path, one: ProbabilityMap, channels: list[str] | None) -> Any:  # noqa: ANN401 - a DataTree
        """Refer to the pyramid on disk, without reading it."""
        from dask.array import from_array
        from spatialdata.models import Image2DModel, Labels2DModel
        from spatialdata.transformations import set_transformation
        from xarray import DataArray, Dataset, DataTree

        dimensions = ("y", "x") if channels is None else ("c", "y", "x")
        levels = {}
        for level in range(len(level_shapes(one))):
            stored = zarr.open_array(str(folder / str(level)), mode="r")
            values = DataArray(from_array(stored, stored.shards), dims=dimensions)
            levels[f"scale{level}"] = Dataset(
                {"image": values if channels is None else values.assign_coords(c=channels)}
            )
        tree = DataTree.from_dict(levels)
        scale = one.frame.scale_x, one.frame.scale_y
        set_transformation(tree, self._systems(scale, self.context.offset_level0), set_all=True)
        (Labels2DModel if channels is None else Image2DModel)().validate(tree)
        return tree

    def _systems(self, scale: tuple[float, float], offset: tuple[int, int] = (0, 0)) -> dict[str, Any]:
        """Return transformations from an element's pixels to level-0 pixels minus an offset, and to microns."""
        from spatialdata.transformations import Scale, Sequence, Translation

        pixels = Sequence([Scale(list(scale), _XY), Translation([float(-by) for by in offset], _XY)])
        return {"global": pixels, MICRONS: Sequence([pixels, Scale(list(self._mpp), _XY)])}

    def _shapes(self, objects: ObjectBatch, outlines: NDArray[Any]) -> Any:  # noqa: ANN401 - a GeoDataFrame
        from geopandas import GeoDataFrame
        from spatialdata.models import ShapesModel

        # Regions have no nucleus.
        known = ~shapely.is_missing(outlines)
        points = shapely.get_coordinates(outlines[known]) - self.context.offset_level0
        shapes = shapely.set_coordinates(outlines[known], points)
        names = {"class_name": self._names(objects, "class_name")[known]}
        frame = GeoDataFrame(names, geometry=shapes, index=objects.ids[known])
        return ShapesModel.parse(frame, transformations=self._systems((1.0, 1.0)))

    def _table(self, objects: ObjectBatch) -> Any:  # noqa: ANN401 - an AnnData
        from anndata import AnnData
        from pandas import Categorical, DataFrame
        from spatialdata.models import TableModel

        rows = DataFrame(
            {
                "region": Categorical([SHAPES] * len(objects)),
                "object_id": objects.ids,
                **{name: Categorical(self._names(objects, name)) for name in ("prompt", "class_name", "kind")},
            },
            index=objects.ids,
        )
        columns = DataFrame(index=np.array(list(objects.measurements), object))
        values = np.stack(list(objects.measurements.values()), axis=1)
        table = AnnData(values, rows, columns)
        return TableModel.parse(table, region=SHAPES, region_key="region", instance_key="object_id")

    def _names(self, objects: ObjectBatch, name: str) -> NDArray[np.object_]:
        rows = self.context.classes.rows
        names = {
            "prompt": [row.prompt.name for row in rows],
            "class_name": [row.name for row in rows],
            "kind": [row.kind for row in rows],
        }
        return np.array(names[name], object)[objects.class_index]


def _joined(batches: list[ObjectBatch]) -> ObjectBatch | None:
    """Join all batches; a measurement that is missing in some is NaN there."""
    if not batches:
        return None
    return ObjectBatch(
        np.concatenate([batch.geometry for batch in batches]),
        np.concatenate([batch.class_index for batch in batches]),
        np.concatenate([batch.ids for batch in batches]),
        concatenate_columns([(len(batch), batch.measurements) for batch in batches]),
        nuclei=np.concatenate([np.full(len(b), None) if b.nuclei is None else b.nuclei for b in batches])
        if any(b.nuclei is not None for b in batches)
        else None,
    )
