"""Slides: open_slide, list_slides, and what they return."""

from wsi_parse.slides.base import Level, PixelSize, Reader, SlideInfo
from wsi_parse.slides.listing import list_slides
from wsi_parse.slides.opening import open_slide
from wsi_parse.slides.options import SlideOptions
from wsi_parse.slides.slide import Slide

__all__ = ["Level", "PixelSize", "Reader", "Slide", "SlideInfo", "SlideOptions", "list_slides", "open_slide"]
