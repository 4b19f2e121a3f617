"""Cohorts: many slides, one folder per slide, one table of outcomes; a cohort continues after failures."""

from wsi_parse.cohort.cohort_slide import CohortSlide
from wsi_parse.cohort.listener import Listener
from wsi_parse.cohort.listing import Listing, list_cohort
from wsi_parse.cohort.outcome import Outcome
from wsi_parse.cohort.run import run_cohort
from wsi_parse.cohort.selection import Choice, Decided, decide, few_are_missing, selected_rows

__all__ = [
    "Choice",
    "CohortSlide",
    "Decided",
    "Listener",
    "Listing",
    "Outcome",
    "decide",
    "few_are_missing",
    "list_cohort",
    "run_cohort",
    "selected_rows",
]
