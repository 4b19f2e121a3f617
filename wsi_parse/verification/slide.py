"""One slide for a verification: a square of tissue of a given slide, or a painted slide with known nuclei."""

import math
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import shapely
from scipy.ndimage import distance_transform_edt

from wsi_parse.errors import UsageError
from wsi_parse.evaluate import f1_score, match_centres
from wsi_parse.evaluate.class_centres import class_centres_um
from wsi_parse.evaluate.painted_tiles import PAINTED
from wsi_parse.files import write_text
from wsi_parse.prompts import Prompt
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import ModelSettings, RunSettings, TissueSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.synthetic import SyntheticSlide, write_svs_like
from wsi_parse.tissue.detection import detect_tissue

_OVERVIEW_UM = 8.0
_MPP_UM, _SEED, _TISSUE = 0.25, 17, 0.9
# Wide enough for some nuclei, and no wider than a person looks at.
_MIN_UM, _MAX_UM = 64.0, 1500.0
_MATCH_UM = 6.0
_OVERLAP = 0.25
# Under this name it is in all outputs.
_NAME = "verification"
_OVERLAY = "overlay.png"


@dataclass(frozen=True)
class SlideTrial:
    """How a slide is to be processed.

    Parameters
    ----------
    settings : ModelSettings
    prompt : Prompt
    field_um : float
        Side of a tile.
    tiles : int
        For about so many there is time.
    """

    settings: ModelSettings
    prompt: Prompt
    field_um: float
    tiles: int

    @property
    def side_um(self) -> float:
        """Side of a square with so many tiles."""
        across = max(1, math.isqrt(self.tiles))
        return min(_MAX_UM, max(_MIN_UM, across * self.field_um * (1 - _OVERLAP)))


def try_slide(trial: SlideTrial, path: Path | None, out: Path) -> tuple[dict[str, Any], Path | None]:
    """Process a slide into `out`/slide.

    Parameters
    ----------
    trial : SlideTrial
    path : Path or None
        The slide; None: a painted one.
    out : Path

    Returns
    -------
    facts : dict
        Counts, seconds, memory and cautions; for a painted slide also how many nuclei were found again.
    overlay : Path or None
        The picture.

    Raises
    ------
    WsiParseError
        If the run fails.
    """
    with TemporaryDirectory(prefix="wsi-parse-verify-", ignore_cleanup_errors=True) as name:
        if path is not None:
            roi = _square_of_tissue(path, trial.side_um, Path(name) / "roi.geojson")
            manifest = _run(trial, path, out / "slide", TissueSettings(), roi)
            facts = {"slide": "given", **_facts(manifest)}
        else:
            side = round(trial.side_um / _MPP_UM)
            painted = SyntheticSlide(side, side, mpp=_MPP_UM, seed=_SEED, tissue=_TISSUE)
            source = Path(name) / "painted.svs"
            write_svs_like(source, painted)
            # A painted slide may be too small for its tissue to be told from its glass.
            manifest = _run(trial, source, out / "slide", TissueSettings(detect=False), None)
            facts = {"slide": "painted, which is not tissue", **_facts(manifest)}
            facts |= _found_again(out / "slide" / "annotations.geojson", painted, trial.prompt)
    overlay = out / "slide" / _OVERLAY
    return {"side_um": round(trial.side_um, 1), **facts}, overlay if overlay.exists() else None


def _run(trial: SlideTrial, path: Path, folder: Path, tissue: TissueSettings, roi: Path | None) -> RunManifest:
    settings = RunSettings.load(
        prompts=(trial.prompt.text,),
        model=trial.settings.model_dump(),
        slide={"roi": roi, "name": _NAME},
        tissue=tissue.model_dump(),
        export={"report": False},
    )
    return run_slide(path, folder, settings)


def _square_of_tissue(path: Path, side_um: float, file: Path) -> Path:
    """Write a region of interest: a square around the place that is deepest in tissue."""
    with open_slide(path, SlideOptions()) as slide:
        tissue = detect_tissue(slide, TissueSettings(mpp=_OVERVIEW_UM))
        if not tissue.tissue.any():
            raise UsageError("There is no tissue on the slide.", "Give another one with --slide.")
        depth = distance_transform_edt(np.pad(tissue.tissue, 1))[1:-1, 1:-1]
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        ((x_level0, y_level0),) = tissue.frame.to_level0([(column + 0.5, row + 0.5)])
        half_x, half_y = side_um / 2 / slide.pixel_size.x_um, side_um / 2 / slide.pixel_size.y_um
        width, height = slide.dimensions
    square = shapely.box(
        max(0.0, x_level0 - half_x),
        max(0.0, y_level0 - half_y),
        min(float(width), x_level0 + half_x),
        min(float(height), y_level0 + half_y),
    )
    write_text(file, shapely.to_geojson(square))
    return file


def _facts(manifest: RunManifest) -> dict[str, Any]:
    return {
        "tissue_mm2": manifest.tissue_mm2,
        "tiles": sum(item["tiles"] for item in manifest.passes),
        "objects": manifest.counts,
        "per_mm2": manifest.per_mm2,
        "unsure": manifest.unsure,
        "nuclear_area_um2": manifest.nuclear_area_um2,
        "seconds": manifest.seconds,
        "peak_memory_mb": manifest.peak_memory_mb,
        "reader": manifest.slide["reader"],
        "existence": manifest.existence,
        "cautions": [caution["code"] for caution in manifest.cautions],
    }


def _found_again(annotations: Path, painted: SyntheticSlide, prompt: Prompt) -> dict[str, Any]:
    """Match the centres of the objects and of the painted nuclei that the prompt means."""
    if prompt.name not in PAINTED:
        return {}
    nuclei = painted.nuclei(painted.box)
    kinds = [int(kind) for kind in PAINTED[prompt.name]]
    nuclei = nuclei[np.isin(nuclei["kind"], kinds)]
    known = np.stack([nuclei["x"], nuclei["y"]], axis=1).astype(np.float64) * _MPP_UM
    found = np.concatenate([np.empty((0, 2)), *class_centres_um(annotations, _MPP_UM).values()])
    matched = len(match_centres(found, known, _MATCH_UM))
    return {
        "painted_nuclei": len(known),
        "matched": matched,
        "f1": round(f1_score(matched, len(found), len(known)), 4),
    }
