"""The ways that `benchmarks.peer_outlines` compares, one a process: `python -m benchmarks.outline_ways -h`.

Prints a JSON object: the processor seconds of a way without start and loading, and the memory before it and at its
peak. A peer may need an environment of its own, so that nothing of wsi-parse is imported here before a way of ours
runs. Of a peer the functions are called that it calls itself after its network.
"""

import argparse
import importlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

INFO = "maps.json"
_CLASS = "Nuclei"


@dataclass(frozen=True)
class LabelMap:
    """Touching nuclei, split and numbered from 1; (x, y) is the corner on the object lattice."""

    x: int
    y: int
    labels: NDArray[np.int32]
    path: Path


class LabelMaps:
    """The label maps of a slide, from a folder, one after another.

    Parameters
    ----------
    folder : Path
        Where `benchmarks.outline_maps` saved them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.info: dict[str, Any] = json.loads((folder / INFO).read_text())
        #: Processor seconds of loading, so far.
        self.loading_s = 0.0

    def __iter__(self) -> Iterator[LabelMap]:
        for path in sorted(self.folder.glob("*.npz")):
            x, y = self.load(path, "corner").tolist()
            yield LabelMap(x, y, self.load(path, "labels"), path)

    def load(self, path: Path, name: str) -> NDArray[Any]:
        """Load an array of a map."""
        started = time.process_time()
        with np.load(path) as arrays:
            array: NDArray[Any] = arrays[name]
        self.loading_s += time.process_time() - started
        return array

    @property
    def scale(self) -> tuple[float, float]:
        """Level-0 pixels per pixel of the lattice."""
        return self.info["scale_x"], self.info["scale_y"]


def _instances_of_tiatoolbox(maps: LabelMaps) -> Any:  # noqa: ANN401 - a class of the peer
    """Outline as HoVerNet does, and hand the instances to the class by which tiatoolbox's engine writes files."""
    from tiatoolbox.models.architecture.hovernet import HoVerNet
    from tiatoolbox.models.engine.multi_task_segmentor import DaskDelayedJSONStore

    found: list[dict[str, Any]] = []
    for one in maps:
        found += HoVerNet.get_instance_info(one.labels, offset=(one.x, one.y), verbose=False).values()
    contours = np.empty(len(found), object)
    contours[:] = [instance["contours"] for instance in found]
    others = {key: np.array([instance[key] for instance in found]) for key in ("box", "centroid", "prob", "type")}
    return DaskDelayedJSONStore(contours, others)


def _settings_of_tiatoolbox(maps: LabelMaps) -> dict[str, Any]:
    return {"class_dict": {0: _CLASS}, "scale_factor": maps.scale, "num_workers": 1, "verbose": False}


def tiatoolbox_qupath(maps: LabelMaps, path: Path) -> None:
    """Write as tiatoolbox's engine does where QuPath's JSON is asked for."""
    settings = _settings_of_tiatoolbox(maps)
    written: Path = _instances_of_tiatoolbox(maps).compute_qupath_json(save_path=path, **settings)
    written.replace(path)


def tiatoolbox_store(maps: LabelMaps, path: Path) -> None:
    """Put the instances into a store, as tiatoolbox's engine does by default, and write the store as GeoJSON.

    Its store in memory takes the place of its store in SQLite, which needs a Python that loads SQLite's extensions.
    """
    from tiatoolbox.annotation.storage import DictionaryStore

    settings = _settings_of_tiatoolbox(maps)
    _instances_of_tiatoolbox(maps).compute_annotations(store=DictionaryStore(), **settings).to_geojson(path)


def sopa_vectorize(maps: LabelMaps, path: Path) -> None:
    """Outline and smooth as sopa does after any segmentation; GeoPandas writes its table of polygons."""
    import pandas as pd
    from sopa.shapes import vectorize

    found = []
    for one in maps:
        cells = vectorize(one.labels)
        cells.geometry = cells.translate(one.x, one.y)
        found.append(cells)
    table = pd.concat(found, ignore_index=True)
    table.geometry = table.affine_transform([maps.scale[0], 0, 0, maps.scale[1], 0, 0])
    table.to_file(path, driver="GeoJSON")


def _opened_by_us(folder: Path) -> LabelMaps:
    from benchmarks.outline_maps import PlannedMaps

    return PlannedMaps(folder)


def ours_from_labels(maps: LabelMaps, path: Path) -> None:
    """Outline as a run does, and write with ids, but without measurements."""
    from benchmarks.outline_maps import PlannedMaps, write_outlines

    assert isinstance(maps, PlannedMaps)
    write_outlines(maps, path)


def ours_as_a_run(maps: LabelMaps, path: Path) -> None:
    """Blend, split, outline, measure and write, as a run does after its model."""
    from benchmarks.outline_maps import PlannedMaps, write_objects

    assert isinstance(maps, PlannedMaps)
    write_objects(maps, path)


@dataclass(frozen=True)
class Way:
    """A way from label maps to GeoJSON, the package that goes it, and how it opens the folder before it is timed."""

    package: str
    work: Callable[[LabelMaps, Path], None]
    opened: Callable[[Path], LabelMaps] = LabelMaps


OURS = "wsi-parse, same label maps"
WAYS: dict[str, Way] = {
    "tiatoolbox, QuPath JSON": Way("tiatoolbox", tiatoolbox_qupath),
    "tiatoolbox, AnnotationStore": Way("tiatoolbox", tiatoolbox_store),
    "sopa, vectorize": Way("sopa", sopa_vectorize),
    OURS: Way("wsi_parse", ours_from_labels, _opened_by_us),
    "wsi-parse, as a run": Way("wsi_parse", ours_as_a_run, _opened_by_us),
}


def measured(way: Way, first: Path, folder: Path, path: Path) -> dict[str, Any]:
    """Go a way with the maps of a folder, after it was gone with few maps, so that nothing is imported meanwhile."""
    way.work(way.opened(first), path)
    path.unlink()
    maps = way.opened(folder)
    before_mb = _memory_mb("VmRSS")
    # The system forgets the peak of the imports.
    Path("/proc/self/clear_refs").write_text("5")
    started = time.process_time()
    way.work(maps, path)
    cpu_s = time.process_time() - started - maps.loading_s
    version = str(importlib.import_module(way.package).__version__)
    return {"version": version, "cpu_s": cpu_s, "before_mb": before_mb, "peak_mb": _memory_mb("VmHWM")}


def _memory_mb(name: str) -> int:
    """Return a figure that the system keeps of the memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return round(int(kilobytes) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outline_ways", description=__doc__)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("first", type=Path, help="a folder with few label maps, to warm up")
    parser.add_argument("folder", type=Path, help="a folder with the label maps")
    parser.add_argument("file", type=Path, help="the GeoJSON to write")
    given = parser.parse_args()
    print(json.dumps(measured(WAYS[given.way], given.first, given.folder, given.file)))


if __name__ == "__main__":
    main()
