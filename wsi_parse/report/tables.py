"""What the tables of the page say, from the manifest of a run and the distributions of its objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wsi_parse.models.scale_pass import NEVER_SURE
from wsi_parse.objects.class_table import ClassTable, ObjectClass
from wsi_parse.report.histograms import Distribution, Histograms
from wsi_parse.report.plots import area_plot, probability_plot
from wsi_parse.report.reference import NUCLEAR_AREAS, Reference


@dataclass(frozen=True)
class PromptFacts:
    """One prompt on the page.

    Parameters
    ----------
    number : int
        In the order of the request.
    asked : str
        The user's words.
    sure, unsure : ObjectClass
    counts : (int, int)
        Sure, unsure.
    per_mm2 : float or None
        Of both, per mm² of tissue; None without tissue.
    covered_mm2 : float
        Sum of the areas of the objects.
    covered_share : float or None
        Its part of the tissue.
    rule : str
        When an object is sure.
    area, probability : Distribution or None
    references : tuple of Reference
    area_svg, probability_svg : str
        Plots; empty without objects.
    limit : float or None
        The class probability below which an object is unsure.
    """

    number: int
    asked: str
    sure: ObjectClass
    unsure: ObjectClass
    counts: tuple[int, int]
    per_mm2: float | None
    covered_mm2: float
    covered_share: float | None
    rule: str
    area: Distribution | None
    probability: Distribution | None
    references: tuple[Reference, ...]
    area_svg: str
    probability_svg: str
    limit: float | None

    @property
    def name(self) -> str:
        """How the prompt was understood."""
        return self.sure.prompt.name

    @property
    def total(self) -> int:
        """Number of objects."""
        return sum(self.counts)

    @property
    def is_cell(self) -> bool:
        """Whether the objects are cells."""
        return self.sure.kind == "cell"


def prompt_facts(
    manifest: Mapping[str, Any],
    classes: ClassTable,
    histograms: Histograms,
    limits: Mapping[str, float],
) -> tuple[PromptFacts, ...]:
    """Put together what the page says of each prompt.

    Parameters
    ----------
    manifest : mapping
        The content of run.json.
    classes : ClassTable
    histograms : Histograms
        After all objects were counted.
    limits : mapping of prompt name to float
        The class probability below which its cells are unsure.
    """
    tissue = manifest.get("tissue_mm2") or 0.0
    numbers = range(len(classes.prompts))
    return tuple(_facts(manifest, classes, histograms, limits, tissue, number) for number in numbers)


def _facts(
    manifest: Mapping[str, Any],
    classes: ClassTable,
    histograms: Histograms,
    limits: Mapping[str, float],
    tissue: float,
    number: int,
) -> PromptFacts:
    sure, unsure = classes.rows[2 * number : 2 * number + 2]
    counts = histograms.counts[2 * number : 2 * number + 2].tolist()
    name, is_cell = sure.prompt.name, sure.kind == "cell"
    area, probability = histograms.area(number) if is_cell else None, histograms.probability(number)
    limit = limits.get(name)
    drawn_limit = None if limit == NEVER_SURE else limit
    references = NUCLEAR_AREAS.get(name, ()) if area is not None else ()
    covered = histograms.covered_mm2(number)
    return PromptFacts(
        number,
        str(manifest["prompts"][number]["text"]),
        sure,
        unsure,
        (counts[0], counts[1]),
        _density(manifest, name, sum(counts), tissue),
        covered,
        covered / tissue if tissue else None,
        _rule(limit, manifest["settings"]["objects"]["threshold"], is_cell=is_cell),
        area,
        probability,
        references,
        area_plot(area, references) if area is not None else "",
        probability_plot(probability, drawn_limit) if probability is not None else "",
        limit,
    )


def _density(manifest: Mapping[str, Any], name: str, count: int, tissue_mm2: float) -> float | None:
    """Return the density as the manifest has it: its area of tissue is rounded, and would give another last digit."""
    found: float | None = manifest["per_mm2"].get(name, count / tissue_mm2) if tissue_mm2 else None
    return found


def _rule(limit: float | None, threshold: float, *, is_cell: bool) -> str:
    drawn = f"outlined where the probability reaches {threshold:g}"
    if limit is None:
        return f"{drawn}; no object is unsure"
    if is_cell and limit == NEVER_SURE:
        return f"{drawn}; the class is never sure"
    return f"{drawn}; sure from a class probability of {limit:g}" if is_cell else drawn
