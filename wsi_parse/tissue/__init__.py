"""Tissue detection: which part of a slide is tissue, and where a pen was used on the glass."""
