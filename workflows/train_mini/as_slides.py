"""Tiles run as slides by the product: what a user gets is what is measured."""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
import tifffile
from numpy.typing import NDArray
from skimage.draw import polygon

from workflows.train_mini.measure import MIN_NUCLEUS_UM2, Found
from workflows.train_mini.tiles import Tile
from wsi_parse.compute.cluster import Cluster
from wsi_parse.models.mini.facts import CLASS_OF, CLASSES, READ_MPP
from wsi_parse.run.pipeline import run_slide
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import RunSettings, SlideSettings

_COLUMNS = ["prompt", "unsure", "class_probability", "area_um2", "centroid_x_level0", "centroid_y_level0", "geometry"]
_OVERRIDES = (
    "export.overlay_px=0",
    "export.formats=[parquet]",
    # The truth of CoNSeP holds smaller nuclei than a run reports by default.
    f"objects.min_cell_area_um2={MIN_NUCLEUS_UM2}",
)


class AsSlides:
    """Runs tiles as slides: one process, one loaded network, all classes at once. A :data:`Finder`, and a context.

    Parameters
    ----------
    weights : Path
    model : str
        Another model finds nuclei, but no classes.
    """

    def __init__(self, weights: Path | None, model: str = "mini") -> None:
        of_weights = {"weights": weights} if weights is not None else {}
        settings = RunSettings.load(None, list(_OVERRIDES), prompts=("all",), model={"name": model, **of_weights})
        self._request = resolve(settings)
        self._stack = ExitStack()
        #: Codes of the cautions of each tile that has any.
        self.cautions: dict[str, list[str]] = {}

    def __enter__(self) -> "AsSlides":
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        settings = self._request.settings
        self._cluster = self._stack.enter_context(
            Cluster(settings.compute, self._folder / "work", model=settings.model)
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __call__(self, tile: Tile) -> Found:
        """Write a tile as a slide, run it, and read its nuclei.

        Raises
        ------
        WsiParseError
            What the run refused.
        """
        path = self._folder / "tile.tif"
        write_slide(tile, path)
        table, codes = self.run(path, SlideSettings(mpp=tile.mpp, override_mpp=True))
        if codes:
            self.cautions[f"{tile.set_name} {tile.name}"] = codes
        height, width = tile.nuclei.shape
        shape = (max(1, round(height * tile.mpp / READ_MPP)), max(1, round(width * tile.mpp / READ_MPP)))
        return found_in(table, tile.mpp, shape)

    def run(self, path: Path, slide: SlideSettings) -> tuple[pa.Table, list[str]]:
        """Run a slide; returns its objects, and the codes of its cautions."""
        out = self._folder / "run"
        try:
            manifest = run_slide(path, out, self._request.for_slide(slide), cluster=self._cluster)
            return pq.read_table(out / "objects.parquet"), [caution["code"] for caution in manifest.cautions]
        finally:
            shutil.rmtree(out, ignore_errors=True)


def write_slide(tile: Tile, path: Path) -> None:
    """Write a tile as a pyramidal, tiled TIFF of two levels."""
    half = tile.at(2 * tile.mpp).image
    with tifffile.TiffWriter(path) as file:
        for image, kind in ((tile.image, 0), (half, 1)):
            file.write(image, photometric="rgb", tile=(256, 256), compression="zlib", subfiletype=kind, metadata=None)


def found_in(table: pa.Table, mpp: float, shape: tuple[int, int]) -> Found:
    """Return the objects of a run as the nuclei of a tile.

    Parameters
    ----------
    table : pyarrow.Table
        Of `objects.parquet`.
    mpp : float
        Microns per level-0 pixel.
    shape : two ints
        Of the tile at the read scale.
    """
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in _COLUMNS if name in table.column_names}
    outlines = shapely.from_wkb(columns["geometry"])
    large = columns["area_um2"] >= MIN_NUCLEUS_UM2
    labels = _painted(outlines[large], mpp / READ_MPP, shape)
    classes = np.array([CLASSES.index(CLASS_OF.get(name, "other")) for name in columns["prompt"][large]], np.int64)
    confidence = columns.get("class_probability", np.full(len(large), np.nan))[large].astype(np.float64)
    centres = np.column_stack([columns["centroid_x_level0"], columns["centroid_y_level0"]])[large] * mpp
    sure = ~columns["unsure"][large].astype(bool)
    return Found(labels, _painted(outlines, mpp / READ_MPP, shape) > 0, centres, classes, confidence, sure)


def _painted(outlines: NDArray[np.object_], scale: float, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Rasterise outlines as numbers; a pixel belongs to the outline that its middle lies in."""
    labels = np.zeros(shape, np.int32)
    for number, outline in enumerate(outlines, 1):
        for part in shapely.get_parts(outline):
            x, y = shapely.get_coordinates(part.exterior).T * scale
            rows, columns = polygon(y - 0.5, x - 0.5, shape)
            labels[rows, columns] = number
    return labels
