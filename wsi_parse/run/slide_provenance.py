"""What outputs say about a slide; `info` says the same, and imports nothing of a run for it."""

from wsi_parse.run.manifest_facts import SlideFacts
from wsi_parse.slides import Slide


def slide_provenance(slide: Slide) -> SlideFacts:
    """Describe a slide without path, label, dates and identifiers of its metadata."""
    info = slide.info
    size, bounds = info.pixel_size, info.bounds_level0
    return {
        "name": info.name,
        "fingerprint": info.fingerprint,
        "reader": info.reader,
        "vendor": info.vendor,
        "width_px": info.width,
        "height_px": info.height,
        "levels": len(info.levels),
        "mpp_x_um": size.x_um if size else None,
        "mpp_y_um": size.y_um if size else None,
        "mpp_source": size.source if size else None,
        "bounds_level0_px": (bounds.x, bounds.y, bounds.width, bounds.height) if bounds else None,
    }
