"""Outcome: how one slide of a cohort ended, from its manifest or its error."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from wsi_parse._version import __version__
from wsi_parse.cohort.listing import CohortSlide, Problem
from wsi_parse.errors import WsiParseError
from wsi_parse.files import write_text
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.privacy import with_given_name, without_folders
from wsi_parse.settings import RunSettings

#: The stage of failures before a run begins.
OPENING = "opening"
_FAILED = Path(".cohort") / "failed"


class Outcome(BaseModel):
    """One row of the cohort's table; it holds no path.

    Parameters
    ----------
    state : {"done", "failed", "open"}
        "open": not begun, interrupted, or running in another process.
    counts, per_mm2, unsure : dict of prompt to number
    error_stage, error_place : str or None
        The stage of the run that failed, and where on the slide (level-0 pixels).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    group: str | None = None
    slide: str
    state: Literal["done", "failed", "open"]
    tissue_mm2: float | None = None
    tiles: int | None = None
    counts: dict[str, int] = {}
    per_mm2: dict[str, float] = {}
    unsure: dict[str, int] = {}
    limitations: list[str] = []
    cautions: list[str] = []
    seconds: float | None = None
    peak_memory_mb: float | None = None
    model: str | None = None
    ended_utc: str | None = None
    error: str | None = None
    error_stage: str | None = None
    error_place: str | None = None

    @property
    def where(self) -> str:
        """Stage and place of the failure, in words."""
        return " at ".join(part for part in (self.error_stage, self.error_place) if part)

    @classmethod
    def of_manifest(cls, row: CohortSlide, manifest: RunManifest) -> "Outcome":
        """Make the outcome of a finished run."""
        return cls(
            id=row.id,
            group=row.group,
            slide=row.path.name,
            state="done",
            tissue_mm2=manifest.tissue_mm2,
            tiles=sum(item["tiles"] for item in manifest.passes),
            counts=manifest.counts,
            per_mm2=manifest.per_mm2,
            unsure=manifest.unsure,
            limitations=manifest.limitations,
            cautions=[caution["code"] for caution in manifest.cautions],
            seconds=manifest.seconds.get("total"),
            peak_memory_mb=manifest.peak_memory_mb,
            model=manifest.model["name"],
            ended_utc=manifest.ended_utc,
        )

    @classmethod
    def of_error(cls, row: CohortSlide, error: Exception, folder: Path) -> "Outcome":
        """Make the outcome of a run that failed."""
        if not isinstance(error, WsiParseError):
            error = WsiParseError(
                f"{type(error).__name__}: {error}.", "Report this error to the developers of wsi-parse.", "run"
            )
        return cls(
            id=row.id,
            group=row.group,
            slide=row.path.name,
            state="failed",
            error=without_folders(str(error), row.path, folder, row.roi),
            error_stage=error.stage or OPENING,
            error_place=error.place_description or None,
        )

    @classmethod
    def of_problem(cls, problem: Problem) -> "Outcome":
        """Make the outcome of a row that could not be started."""
        return cls(
            id=problem.id,
            group=problem.group,
            slide=problem.slide,
            state="failed",
            error=without_folders(str(problem.error), Path(problem.slide)),
            error_stage="list",
        )

    def named(self, given: str | None) -> "Outcome":
        """Return the outcome with the name that the user gave ({id} stands for the id) in place of the file name."""
        if given is None:
            return self
        name = given.replace("{id}", self.id)
        error = None if self.error is None else with_given_name(self.error, name, self.slide)
        return self.model_copy(update={"slide": name, "error": error})

    @classmethod
    def open(cls, row: CohortSlide) -> "Outcome":
        """Make the outcome of a row that is not done yet."""
        return cls(id=row.id, group=row.group, slide=row.path.name, state="open")


class FailureNotes:
    """Failures of a cohort, kept in its folder for the next call, which writes the table anew.

    Parameters
    ----------
    out : Path
    """

    def __init__(self, out: Path) -> None:
        self._folder = out / _FAILED

    def find(self, row: CohortSlide, settings: RunSettings) -> Outcome | None:
        """Return how a slide failed before, unless the slide or its settings have changed since."""
        try:
            noted: dict[str, Any] = json.loads(self._path(row).read_text(encoding="utf-8"))
            if noted["request"] == _request_hash(row, settings):
                return Outcome.model_validate(noted["outcome"])
        except (OSError, ValueError, KeyError):
            return None
        return None

    def put(self, row: CohortSlide, settings: RunSettings, outcome: Outcome) -> None:
        """Keep a failure, or remove the note of a slide that is now done."""
        if outcome.state == "done":
            self._path(row).unlink(missing_ok=True)
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        noted = {"request": _request_hash(row, settings), "outcome": outcome.model_dump(mode="json")}
        write_text(self._path(row), json.dumps(noted, indent=1) + "\n")

    def _path(self, row: CohortSlide) -> Path:
        return self._folder / f"{row.id}.json"


def _request_hash(row: CohortSlide, settings: RunSettings) -> str:
    """Hash the settings of a slide, and size and time of its file, so that a repaired slide is tried again."""
    try:
        status = row.path.stat()
        file_state = f"{status.st_size} {status.st_mtime_ns}"
    except OSError:
        file_state = "gone"
    request = row.settings(settings).model_dump_json(exclude={"compute"})
    return hashlib.sha256(f"{__version__} {request} {row.path} {file_state}".encode()).hexdigest()[:16]
