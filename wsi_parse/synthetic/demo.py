"""The demo slide: a small slide with all four kinds of nuclei, tumour nests and glands."""

from pathlib import Path

from wsi_parse.synthetic.slide import SyntheticSlide
from wsi_parse.synthetic.truth import write_truth
from wsi_parse.synthetic.writers import write_svs_like

DEMO = SyntheticSlide(width=6000, height=5000, mpp=0.25, seed=17, tissue=0.7)


def demo_slide(path: Path, *, truth: Path | None = None) -> SyntheticSlide:
    """Write the demo slide as an SVS, and its true nuclei as GeoJSON to `truth` if given; returns the slide."""
    write_svs_like(path, DEMO, quality=82)
    if truth is not None:
        write_truth(truth, DEMO)
    return DEMO
