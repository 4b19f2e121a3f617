"""Outcome: how one slide of a cohort ended, from its manifest or its error."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeGuard

from pydantic import BaseModel, ConfigDict, model_validator

from wsi_parse._version import __version__
from wsi_parse.cohort.cohort_slide import CohortSlide, Problem
from wsi_parse.errors import WsiParseError
from wsi_parse.files import write_text
from wsi_parse.gates import check_input
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.privacy import with_given_name, without_folders
from wsi_parse.settings import RunSettings

#: The stage of failures before a run begins.
OPENING = "opening"
#: The stage of rows that are not valid.
LIST = "list"
_MAX_NOTE_BYTES = 1_000_000
_FAILED = Path(".cohort") / "failed"


class Outcome(BaseModel):
    """One row of the cohort's table; it holds no path.

    Parameters
    ----------
    state : {"done", "failed", "open"}
        "open": not begun, interrupted, or running in another process.
    mpp, mpp_source : float and str or None
        Microns per level-0 pixel, the mean of both directions, and where the number comes from.
    tissue_mm2, search_mm2 : float or None
        The area that densities refer to, and the larger one that was looked at.
    counts, per_mm2, unsure : dict of prompt to number
    median_nuclear_area_um2 : float or None
        Of the prompt with most objects among those that find nuclei.
    staining : dict of str to float
        What the model measured of the look of the slide, as far as it did: glass (brightness of the glass, 0 to 255),
        strength and threshold (of the stain, optical density), sharpness.
    cautions : list of dict
        What is plausible but may be wrong: code, text, number and remedy of each.
    limitations : list of str
        What the model says of itself on every slide.
    extra : dict
        Other columns of the list.
    error_stage, error_place : str or None
        The stage of the run that failed, and where on the slide (level-0 pixels).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    group: str | None = None
    slide: str
    state: Literal["done", "failed", "open"]
    mpp: float | None = None
    mpp_source: str | None = None
    tissue_mm2: float | None = None
    search_mm2: float | None = None
    tiles: int | None = None
    counts: dict[str, int] = {}
    per_mm2: dict[str, float] = {}
    unsure: dict[str, int] = {}
    median_nuclear_area_um2: float | None = None
    staining: dict[str, float] = {}
    cautions: list[dict[str, Any]] = []
    limitations: list[str] = []
    seconds: float | None = None
    peak_memory_mb: float | None = None
    model: str | None = None
    ended_utc: str | None = None
    error: str | None = None
    error_stage: str | None = None
    error_place: str | None = None
    extra: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, values: Any) -> Any:  # noqa: ANN401 - what the fields are made of
        """Names of files may hold bytes that are not text; an outcome is written as text."""
        return _as_text(values)

    @property
    def n_unsure(self) -> int | None:
        """How many objects have an unsure class; None for a slide that is not done."""
        return sum(self.unsure.values()) if self.state == "done" else None

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
            mpp=_mean_mpp(manifest),
            mpp_source=manifest.slide.get("mpp_source"),
            tissue_mm2=manifest.tissue_mm2,
            search_mm2=manifest.search_mm2,
            tiles=sum(item["tiles"] for item in manifest.passes),
            counts=manifest.counts,
            per_mm2=manifest.per_mm2,
            unsure=manifest.unsure,
            median_nuclear_area_um2=_nuclear_area(manifest),
            staining=_staining(manifest.model.get("state") or {}),
            cautions=[dict(facts) for facts in manifest.cautions],
            limitations=manifest.limitations,
            seconds=manifest.seconds.get("total"),
            peak_memory_mb=manifest.peak_memory_mb,
            model=manifest.model["name"],
            ended_utc=manifest.ended_utc,
            extra=row.extra,
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
            extra=row.extra,
        )

    @classmethod
    def of_problem(cls, problem: Problem) -> "Outcome":
        """Make the outcome of a row that could not be started."""
        return cls(
            id=problem.id,
            group=problem.group,
            slide=problem.slide,
            state="failed",
            error=_without_folders_of(str(problem.error), problem.paths),
            error_stage=LIST,
            extra=problem.extra,
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
        return cls(id=row.id, group=row.group, slide=row.path.name, state="open", extra=row.extra)


def _without_folders_of(text: str, paths: Iterable[str]) -> str:
    """Remove the folders of paths that may be of another system."""
    for path in sorted(paths, key=len, reverse=True):
        text = without_folders(text, Path(path))
        folder = path[: max(path.rfind(mark) for mark in "/\\") + 1]
        text = text.replace(folder, "") if len(folder) > 1 else text
    return text


def _as_text(value: Any) -> Any:  # noqa: ANN401 - anything that JSON can hold
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_as_text(key): _as_text(one) for key, one in value.items()}
    return [_as_text(one) for one in value] if isinstance(value, list | tuple) else value


def _mean_mpp(manifest: RunManifest) -> float | None:
    sizes = [size for size in (manifest.slide.get("mpp_x_um"), manifest.slide.get("mpp_y_um")) if size]
    return round(sum(sizes) / len(sizes), 6) if sizes else None


def _nuclear_area(manifest: RunManifest) -> float | None:
    areas = manifest.nuclear_area_um2
    return areas[max(areas, key=lambda prompt: manifest.counts.get(prompt, 0))] if areas else None


def _staining(state: Mapping[str, Any]) -> dict[str, float]:
    """Return what is known of the stain from what a model found out about its slide; models differ in it."""
    white = state.get("white")
    glass = sum(white) / len(white) if isinstance(white, list) and white and all(map(_is_number, white)) else None
    numbers = {"glass": glass, **{name: state.get(name) for name in ("strength", "threshold", "sharpness")}}
    return {name: round(float(value), 4) for name, value in numbers.items() if _is_number(value)}


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


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
            path = check_input(self._path(row), "a note", max_bytes=_MAX_NOTE_BYTES)
            noted = json.loads(path.read_bytes())
            if noted["request"] == _request_hash(row, settings):
                # The list may have other columns now.
                return Outcome.model_validate(noted["outcome"] | {"group": row.group, "extra": row.extra})
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            # There is none, or it is not one that we wrote: the slide is tried again.
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
    except (OSError, ValueError):
        file_state = "gone"
    request = row.settings(settings).model_dump_json(exclude={"compute"})
    text = f"{__version__} {request} {row.path} {file_state}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
