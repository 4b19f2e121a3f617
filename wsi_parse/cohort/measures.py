"""Measures: the numbers by which the slides of a cohort are compared, and which slides stand out from the others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wsi_parse.cohort.outcome import Outcome
from wsi_parse.cohort.summary import prompts_of

#: Prompts that the page shows: those with most objects.
MAX_PROMPTS = 12
#: A robust z beyond this stands out (Iglewicz and Hoaglin, How to detect and handle outliers, 1993).
LIMIT = 3.5
# The spread of fewer slides is not known.
_MIN_SLIDES = 8
# The median absolute deviation of a normal distribution is this part of its standard deviation; so is the mean one.
_OF_MEDIAN, _OF_MEAN = 0.6745, 0.7979
# As a part of the number, or of all objects.
_MIN_SPREAD = 0.02
_STAIN = {
    "glass": "brightness of the glass",
    "strength": "strength of the stain",
    "threshold": "threshold of the stain",
    "sharpness": "sharpness",
}


@dataclass(frozen=True)
class Measure:
    """A number of each slide.

    Parameters
    ----------
    title : str
        What it is, with its unit.
    values : dict of int to float
        Index of the outcome -> number; without the slides that have none.
    is_log : bool
        Whether slides are compared by its logarithm: it is a density or an area.
    is_share : bool
        Whether it is written in percent.
    is_plotted : bool
        Whether its distribution is drawn.
    """

    title: str
    values: dict[int, float]
    is_log: bool = False
    is_share: bool = False
    is_plotted: bool = True


@dataclass(frozen=True)
class Outlier:
    """A slide that stands out.

    Parameters
    ----------
    index : int
        Of the outcome.
    measure : Measure
    median : float
        Of all slides.
    z : float
    """

    index: int
    measure: Measure
    median: float
    z: float


def shown_prompts(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the prompts that the page shows, in the order of the tables."""
    prompts = prompts_of(outcomes)
    totals = {prompt: sum(outcome.counts.get(prompt, 0) for outcome in outcomes) for prompt in prompts}
    most = sorted(prompts, key=lambda prompt: -totals[prompt])[:MAX_PROMPTS]
    return [prompt for prompt in prompts if prompt in most]


def unsure_share(outcome: Outcome) -> float | None:
    """Return the part of the objects of a slide whose class is unsure; None without objects."""
    total = sum(outcome.counts.values())
    return (outcome.n_unsure or 0) / total if total else None


def measures_of(outcomes: Sequence[Outcome]) -> list[Measure]:
    """Gather the measures of the slides that are done; those that no slide has are left out."""
    done = [(index, outcome) for index, outcome in enumerate(outcomes) if outcome.state == "done"]

    def values(of_slide: dict[int, float | None]) -> dict[int, float]:
        return {index: value for index, value in of_slide.items() if value is not None}

    found = [
        Measure(
            f"{prompt}, per mm² of tissue",
            values({index: outcome.per_mm2.get(prompt) for index, outcome in done}),
            is_log=True,
        )
        for prompt in shown_prompts(outcomes)
    ]
    areas = values({index: outcome.median_nuclear_area_um2 for index, outcome in done})
    found.append(Measure("median nuclear area, µm²", areas, is_log=True))
    shares = values({index: unsure_share(outcome) for index, outcome in done})
    found.append(Measure("objects of an unsure class", shares if any(shares.values()) else {}, is_share=True))
    found += [
        Measure(title, values({index: outcome.staining.get(key) for index, outcome in done}), is_plotted=False)
        for key, title in _STAIN.items()
    ]
    return [measure for measure in found if measure.values]


def outliers(measures: Sequence[Measure]) -> list[Outlier]:
    """Return the slides whose robust z is beyond :data:`LIMIT`, the farthest first; none among a few slides.

    >>> counts = Measure("cells", dict(enumerate([100.0, 110, 95, 105, 98, 102, 107, 9000])), is_log=True)
    >>> [(one.index, round(one.z)) for one in outliers([counts])]
    [(7, 68)]
    """
    found = [one for measure in measures for one in _of_measure(measure)]
    return sorted(found, key=lambda one: (-abs(one.z), one.index))


def _of_measure(measure: Measure) -> list[Outlier]:
    if len(measure.values) < _MIN_SLIDES:
        return []
    numbers = np.array(list(measure.values.values()))
    compared = np.log1p(numbers) if measure.is_log else numbers
    from_median = compared - np.median(compared)
    spread = np.median(np.abs(from_median)) / _OF_MEDIAN
    if not spread:
        # More than half of the slides are equal.
        spread = np.mean(np.abs(from_median)) / _OF_MEAN
    # A difference that nobody would see is none, however alike the others are.
    least = _MIN_SPREAD if measure.is_log or measure.is_share else _MIN_SPREAD * abs(float(np.median(numbers)))
    spread = max(float(spread), least, np.finfo(float).tiny)
    z = (from_median / spread).tolist()
    median = float(np.median(numbers))
    return [
        Outlier(index, measure, median, each)
        for index, each in zip(measure.values, z, strict=True)
        if abs(each) > LIMIT
    ]
