"""What a cohort will do: the model is decided once, rows are selected, and each slide is opened and checked."""

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from wsi_parse.cohort.cohort_slide import CohortSlide, Problem, cut
from wsi_parse.cohort.listing import Listing
from wsi_parse.errors import UnknownPromptError, UsageError, did_you_mean
from wsi_parse.gates import exists, suggestions
from wsi_parse.prompts import Prompt
from wsi_parse.run.choose_model import choose_model
from wsi_parse.run.prepared import PreparedRun, resolve_run
from wsi_parse.run.resolve import ALL_TARGETS, Request, resolve
from wsi_parse.settings import RunSettings

_OPENED_AT_ONCE = 8
# Where more files are missing, similar names are looked for with none of them.
_MAX_SEARCHED = 20
# So many ids that are not known are named.
_MAX_UNKNOWN = 5


@dataclass(frozen=True)
class Choice:
    """Which slides of a cohort to process.

    Parameters
    ----------
    only : collection of str
        Ids; empty: all.
    limit : int, optional
        Process at most this number of slides that are not done.
    retry_failed : bool
        Whether to repeat slides that failed before.
    """

    only: Collection[str] = ()
    limit: int | None = None
    retry_failed: bool = False


@dataclass(frozen=True)
class Decided:
    """A cohort whose decisions are taken: one model for all rows.

    Parameters
    ----------
    listing : Listing
        Rows with prompts that no model knows are problems.
    settings : RunSettings
        With the name of the model.
    requests : dict of row id to Request or UsageError
        What is looked for in each row, or why the row cannot be processed.
    notes : tuple of str
        What the user should know of these decisions, each once.
    """

    listing: Listing
    settings: RunSettings
    requests: dict[str, Request | UsageError]
    notes: tuple[str, ...] = ()

    def request(self, row: CohortSlide) -> Request:
        """Return what is looked for in a row.

        Raises
        ------
        UsageError
            If the row cannot be processed.
        """
        found = self.requests[row.id]
        if isinstance(found, UsageError):
            raise found
        return found


def decide(listing: Listing, settings: RunSettings, *, require_weights: bool = True) -> Decided:
    """Decide the model once, over the prompts of all rows; then, once a row, what is looked for.

    Raises
    ------
    UsageError
        If no row has a prompt, or no model knows the prompts of all rows.
    WeightsError
        If the weights of the model are missing or damaged.
    """
    listing = _separate_unknown_prompts(listing, settings, require_weights=require_weights)
    if not listing.slides:
        return Decided(listing, settings, {}, tuple(listing.notes))
    texts = dict.fromkeys(prompt for row in listing.slides for prompt in row.prompts or settings.prompts)
    if not texts:
        resolve(settings)
    prompts = [Prompt.parse(text) for text in texts if text.strip().lower() != ALL_TARGETS]
    try:
        name, notes = choose_model(settings.model, prompts, require_weights=require_weights)
    except UnknownPromptError as error:
        error.remedy = f"{error.remedy} A cohort uses one model: make a cohort of its own for each model.".strip()
        raise
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"name": name})})
    requests = _requests(listing, settings, require_weights=require_weights)
    of_rows = (note for request in requests.values() if isinstance(request, Request) for note in request.notes)
    return Decided(listing, settings, requests, tuple(dict.fromkeys((*listing.notes, *notes, *of_rows))))


def _requests(listing: Listing, settings: RunSettings, *, require_weights: bool) -> dict[str, Request | UsageError]:
    """Decide each row; rows with the same prompts and organ share their decisions."""
    decided: dict[tuple[tuple[str, ...], str | None], Request | UsageError] = {}
    found: dict[str, Request | UsageError] = {}
    for row in listing.slides:
        try:
            of_row = row.settings(settings)
        except UsageError as error:
            found[row.id] = error
            continue
        key = of_row.prompts, of_row.model.organ
        if key not in decided:
            try:
                decided[key] = resolve(of_row, require_weights=require_weights)
            except UsageError as error:
                decided[key] = error
        request = decided[key]
        found[row.id] = request.for_slide(of_row.slide) if isinstance(request, Request) else request
    return found


def _separate_unknown_prompts(listing: Listing, settings: RunSettings, *, require_weights: bool) -> Listing:
    """Move rows to the problems if no model knows their own prompts."""
    errors: dict[tuple[str, ...], UsageError] = {}
    for prompts in {row.prompts for row in listing.slides if row.prompts}:
        try:
            resolve(settings.model_copy(update={"prompts": prompts}), require_weights=require_weights)
        except UsageError as error:
            errors[prompts] = error
    problems = [Problem.of(row, errors[row.prompts]) for row in listing.slides if row.prompts in errors]
    good = [row for row in listing.slides if row.prompts not in errors]
    return Listing(good, listing.problems + problems, listing.notes)


def selected_rows(listing: Listing, choice: Choice) -> list[CohortSlide]:
    """Return the rows to process.

    Raises
    ------
    UsageError
        If an id is not in the cohort.
    """
    known = {row.id for row in listing.slides} | {problem.id for problem in listing.problems}
    unknown = sorted(set(choice.only) - known)
    if unknown:
        more = f" and {len(unknown) - _MAX_UNKNOWN:,} more" if len(unknown) > _MAX_UNKNOWN else ""
        raise UsageError(
            f"There is no slide {', '.join(map(cut, unknown[:_MAX_UNKNOWN]))}{more} in this cohort.",
            f"{did_you_mean(cut(unknown[0]), known)} Use an id from cohort.csv.",
        )
    return [row for row in listing.slides if not choice.only or row.id in choice.only]


def few_are_missing(rows: list[CohortSlide]) -> bool:
    """Return whether so few of the files that rows name are missing that a similar name may help with each."""
    paths = (path for row in rows for path in (row.path, row.roi) if path is not None)
    return sum(not exists(path) for path in paths) <= _MAX_SEARCHED


def check(rows: list[CohortSlide], decided: Decided) -> Iterator[tuple[CohortSlide, PreparedRun | Exception]]:
    """Open every slide, several at once; yield them in order, closed again."""
    few_missing = few_are_missing(rows)

    def opened(row: CohortSlide) -> PreparedRun | Exception:
        try:
            with suggestions(wanted=few_missing):
                prepared = resolve_run(row.path, decided.request(row).for_folder(Path(row.id)))
        except Exception as error:  # noqa: BLE001 - a slide that cannot be opened must not stop the others
            return error
        prepared.slide.close()
        return prepared

    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        yield from zip(rows, pool.map(opened, rows), strict=True)
