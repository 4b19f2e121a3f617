"""Cohorts: many slides, one folder each, one table of how they ended; what fails stops nothing else."""

from wsi_parse.cohort.listing import CohortSlide, Listing, list_cohort
from wsi_parse.cohort.outcome import Outcome
from wsi_parse.cohort.resolve import Choice, chosen, with_model
from wsi_parse.cohort.run import Listener, run_cohort

__all__ = [
    "Choice",
    "CohortSlide",
    "Listener",
    "Listing",
    "Outcome",
    "chosen",
    "list_cohort",
    "run_cohort",
    "with_model",
]
