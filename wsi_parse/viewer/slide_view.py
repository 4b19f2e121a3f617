"""SlideView: a slide with its layers, ready to be served; it is opened when somebody looks at it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.run.export import classes_of
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.outputs import REGION_NAME, TISSUE_NAME
from wsi_parse.slides.slide import Slide
from wsi_parse.text import RESEARCH_ONLY_SENTENCE
from wsi_parse.viewer.areas import flat_rings, read_areas
from wsi_parse.viewer.counts import TILE_PX
from wsi_parse.viewer.layers import Layer
from wsi_parse.viewer.maps import MapTiles
from wsi_parse.viewer.once import once
from wsi_parse.viewer.places import places_of
from wsi_parse.viewer.tiles import SlideTiles


@dataclass(frozen=True)
class SlideView:
    """A slide that is open, and the objects over it.

    Parameters
    ----------
    slide : Slide
    layers : dict of int to Layer
        0 is that of the run; those of other files follow.
    manifest : RunManifest or None
        None: a slide without a run.
    folder : Path or None
        Of the run.
    maps : sequence of MapTiles
        The probability maps that the run kept.
    """

    slide: Slide
    layers: dict[int, Layer]
    manifest: RunManifest | None
    folder: Path | None
    maps: Sequence[MapTiles] = field(default=())

    @once
    def tiles(self) -> SlideTiles:
        """The tiles of the slide."""
        return SlideTiles(self.slide)

    @property
    def name(self) -> str:
        """Name of the slide, as the run shows it."""
        return self.slide.name if self.manifest is None else str(self.manifest.slide["name"])

    def to_dict(self, *, cohort: bool) -> dict[str, Any]:
        """Return what the browser needs to begin: view.json."""
        info, manifest = self.slide.info, self.manifest
        size = info.pixel_size
        cautions = [one.to_dict() for one in (info.cautions if manifest is None else manifest.caution_list())]
        return {
            "name": self.name,
            "width": info.width,
            "height": info.height,
            "mpp": None if size is None else [size.x_um, size.y_um],
            "max_z": self.tiles.max_zoom,
            "tile_px": TILE_PX,
            "offset_level0_px": list(info.offset_in_qupath),
            "research_use": RESEARCH_ONLY_SENTENCE,
            "model": "" if manifest is None else str(manifest.model.get("name", "")),
            "prompts": [] if manifest is None else [str(one["text"]) for one in manifest.prompts],
            "cohort": cohort,
            "cautions": [{"code": one["code"], "sentence": one["text"], "remedy": one["remedy"]} for one in cautions],
            "layers": [layer.to_dict(index) for index, layer in self.layers.items()],
            "maps": [one.to_dict() for one in self.maps],
        }

    def areas(self) -> dict[str, list[list[float]]]:
        """Return the areas that the run wrote: areas.json."""
        if self.folder is None or self.manifest is None:
            return {"tissue": [], "roi": [], "unreadable": []}
        tiles = self.manifest.unreadable.get("tiles_level0_px", ())
        unreadable = [shapely.box(x, y, x + width, y + height) for x, y, width, height in tiles]
        return {
            "tissue": flat_rings(self._outlines(TISSUE_NAME)),
            "roi": flat_rings(self._outlines(REGION_NAME)),
            "unreadable": flat_rings(shapely.get_parts(shapely.union_all(unreadable))),
        }

    def _outlines(self, name: str) -> NDArray[np.object_]:
        """Return the polygons of an output of the run, unless somebody changed it."""
        assert self.folder is not None
        assert self.manifest is not None
        if name not in self.manifest.outputs or any(self.manifest.changed_outputs(self.folder, [name])):
            return np.empty(0, object)
        return read_areas(self.folder / name)

    def places(self) -> dict[str, list[dict[str, Any]]]:
        """Return places to look at: places.json."""
        return self._places

    @once
    def _places(self) -> dict[str, list[dict[str, Any]]]:
        if self.manifest is None:
            return {"objects": [], "fields": []}
        region = self._outlines(REGION_NAME)
        return places_of(self.slide, self.layers[0].store, classes_of(self.manifest), self.manifest, region)


#: Opens a slide and its layers, telling what takes time.
OpenView = Callable[[], SlideView]


@dataclass(frozen=True)
class Entry:
    """A slide in the list of what is served.

    Parameters
    ----------
    name : str
    state : str
        "done", "failed" or "open".
    objects : int or None
    cautions : sequence of str
        Their codes.
    open : callable
        Opens it, or raises why there is nothing to be seen.
    overlay : Path or None
        A picture of the run that stands for the slide in a list, so that the slide need not be opened.
    """

    name: str
    state: str
    objects: int | None
    cautions: Sequence[str]
    open: OpenView
    overlay: Path | None = None
