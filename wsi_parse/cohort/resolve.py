"""What a cohort will do: the model, decided once; which rows are meant; each slide opened and checked."""

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
    """Which slides of a cohort are meant.

    Parameters
    ----------
    only : collection of str
        Ids; none: all.
    limit : int, optional
        At most so many slides that are not done.
    retry_failed : bool
        Also those that failed before.
    """

    only: Collection[str] = ()
    limit: int | None = None
    retry_failed: bool = False


def with_model(
    listing: Listing, settings: RunSettings, say: Callable[[str], None], *, require_weights: bool = True
) -> tuple[Listing, RunSettings]:
    """Decide the model once: a cohort never mixes them.

    Returns
    -------
    listing : Listing
        Rows whose words no model knows are problems of theirs.
    settings : RunSettings
    """
    listing = _understood(listing, settings, require_weights=require_weights)
    asked = dict.fromkeys(prompt for row in listing.slides for prompt in row.prompts or settings.prompts)
    if not listing.slides:
        return listing, settings
    if not asked:
        resolve(settings)
    words = [Prompt.parse(text) for text in asked if text.strip().lower() != ALL_TARGETS]
    try:
        name, notes = choose_model(settings.model, words, require_weights=require_weights)
    except UnknownPromptError as error:
        error.remedy = f"{error.remedy} One model does a cohort: part the list by what is asked for.".strip()
        raise
    for note in notes:
        say(note)
    model = settings.model.model_copy(update={"name": name})
    if require_weights:
        MODELS.get(name).find_weights(model)
    return listing, settings.model_copy(update={"model": model})


def _understood(listing: Listing, settings: RunSettings, *, require_weights: bool) -> Listing:
    """Set apart the rows that ask, in words of their own, for what cannot be had."""
    wrong: dict[tuple[str, ...], UsageError] = {}
    for prompts in {row.prompts for row in listing.slides if row.prompts}:
        try:
            resolve(settings.model_copy(update={"prompts": prompts}), require_weights=require_weights)
        except UsageError as error:
            wrong[prompts] = error
    problems = [
        Problem(row.id, wrong[row.prompts], row.path.name, row.group) for row in listing.slides if row.prompts in wrong
    ]
    return Listing([row for row in listing.slides if row.prompts not in wrong], listing.problems + problems)


def chosen(listing: Listing, choice: Choice) -> list[CohortSlide]:
    """Rows that are meant.

    Raises
    ------
    UsageError
        Where an id is not there.
    """
    known = {row.id for row in listing.slides} | {problem.id for problem in listing.problems}
    unknown = sorted(set(choice.only) - known)
    if unknown:
        raise UsageError(f"There is no slide {', '.join(unknown)} in this cohort.", "Ids are in cohort.csv.")
    return [row for row in listing.slides if not choice.only or row.id in choice.only]


def check(rows: list[CohortSlide], settings: RunSettings) -> Iterator[tuple[CohortSlide, PreparedRun | Exception]]:
    """Open every slide, several at once; gives them in order, closed again."""

    def opened(row: CohortSlide) -> PreparedRun | Exception:
        try:
            prepared = resolve_run(row.path, row.settings(settings))
        except Exception as error:  # noqa: BLE001 - one that cannot even be looked at stops no other
            return error
        prepared.slide.close()
        return prepared

    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        yield from zip(rows, pool.map(opened, rows), strict=True)
