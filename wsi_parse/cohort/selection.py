"""What a cohort will do: the model is decided once, rows are selected, and each slide is opened and checked."""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from wsi_parse.cohort.listing import CohortSlide, Listing, Problem
from wsi_parse.errors import UnknownPromptError, UsageError
from wsi_parse.prompts import Prompt
from wsi_parse.registry import MODELS
from wsi_parse.run.choose_model import choose_model
from wsi_parse.run.prepared import PreparedRun, resolve_run
from wsi_parse.run.resolve import ALL_TARGETS, resolve
from wsi_parse.settings import RunSettings

_OPENED_AT_ONCE = 8


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


def with_model(
    listing: Listing, settings: RunSettings, say: Callable[[str], None], *, require_weights: bool = True
) -> tuple[Listing, RunSettings]:
    """Decide the model once: a cohort never mixes models.

    Returns
    -------
    listing : Listing
        Rows with prompts that no model knows are problems.
    settings : RunSettings
    """
    listing = _separate_unknown_prompts(listing, settings, require_weights=require_weights)
    texts = dict.fromkeys(prompt for row in listing.slides for prompt in row.prompts or settings.prompts)
    if not listing.slides:
        return listing, settings
    if not texts:
        resolve(settings)
    prompts = [Prompt.parse(text) for text in texts if text.strip().lower() != ALL_TARGETS]
    try:
        name, notes = choose_model(settings.model, prompts, require_weights=require_weights)
    except UnknownPromptError as error:
        error.remedy = f"{error.remedy} A cohort uses one model: make a cohort of its own for each model.".strip()
        raise
    for note in notes:
        say(note)
    model = settings.model.model_copy(update={"name": name})
    if require_weights:
        MODELS.get(name).find_weights(model)
    return listing, settings.model_copy(update={"model": model})


def _separate_unknown_prompts(listing: Listing, settings: RunSettings, *, require_weights: bool) -> Listing:
    """Move rows to the problems if no model knows their own prompts."""
    errors: dict[tuple[str, ...], UsageError] = {}
    for prompts in {row.prompts for row in listing.slides if row.prompts}:
        try:
            resolve(settings.model_copy(update={"prompts": prompts}), require_weights=require_weights)
        except UsageError as error:
            errors[prompts] = error
    problems = [
        Problem(row.id, errors[row.prompts], row.path.name, row.group)
        for row in listing.slides
        if row.prompts in errors
    ]
    return Listing([row for row in listing.slides if row.prompts not in errors], listing.problems + problems)


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
        raise UsageError(f"There is no slide {', '.join(unknown)} in this cohort.", "Use an id from cohort.csv.")
    return [row for row in listing.slides if not choice.only or row.id in choice.only]


def check(rows: list[CohortSlide], settings: RunSettings) -> Iterator[tuple[CohortSlide, PreparedRun | Exception]]:
    """Open every slide, several at once; yield them in order, closed again."""

    def opened(row: CohortSlide) -> PreparedRun | Exception:
        try:
            prepared = resolve_run(row.path, row.settings(settings))
        except Exception as error:  # noqa: BLE001 - a slide that cannot be opened must not stop the others
            return error
        prepared.slide.close()
        return prepared

    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        yield from zip(rows, pool.map(opened, rows), strict=True)
