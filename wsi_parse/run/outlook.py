"""Outlook: what a run would do and cost, for a dry run; nothing is written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsi_parse.cautions import Caution, once
from wsi_parse.files import shared_with_group
from wsi_parse.run.estimate import TIMED, TileTime, estimate_cost
from wsi_parse.run.folders import check_outside
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.nuclear_size import pixel_size_cautions, pixel_size_facts
from wsi_parse.run.prepared import PreparedRun, resolve_run
from wsi_parse.run.resolve import Request
from wsi_parse.run.reuse import Reuse
from wsi_parse.run.work import check_work


@dataclass(frozen=True)
class Outlook:
    """What a run would do with one slide.

    Parameters
    ----------
    prepared : PreparedRun
        Its slide is closed.
    tissue_mm2 : float
    reuse : Reuse
    figures : dict
        Of :func:`wsi_parse.run.estimate.estimate_cost`; no time where nothing would be predicted.
    cautions : tuple of Caution
        What is plausible but wrong, as far as it is known before the run.
    """

    prepared: PreparedRun
    tissue_mm2: float
    reuse: Reuse
    figures: dict[str, Any]
    cautions: tuple[Caution, ...] = ()

    @classmethod
    def of(cls, path: Path, folder: Path, request: Request) -> "Outlook":
        """Look at a slide, and at what an earlier run left in its folder."""
        check_outside(folder, path)
        prepared = resolve_run(path, request.for_folder(folder))
        with prepared.slide:
            reuse = Reuse.find(prepared, folder, RunManifest.load(folder))
            if not reuse.finished:
                with shared_with_group(prepared.settings.compute.share_group):
                    check_work(folder)
            tissue = prepared.tissue()
            sizes = pixel_size_cautions(prepared.slide, pixel_size_facts(prepared.slide, tissue))
            known = TileTime(0.0, TIMED) if reuse.predicts_nothing else None
            figures = estimate_cost(prepared, prepared.passes(tissue), tissue, as_timed=known)
        return cls(prepared, tissue.area_mm2, reuse, figures, once((*prepared.cautions, *tissue.cautions, *sizes)))
