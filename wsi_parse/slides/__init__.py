"""Slides: open_slide and what it returns."""
