"""Synthetic slides with known truth, of any size, from a seed: for the demo, the tests and the benchmarks."""

from wsi_parse.synthetic.demo import demo_slide
from wsi_parse.synthetic.nuclei import NUCLEUS, Kind
from wsi_parse.synthetic.painting import PLAIN_COLOURS, PLAIN_TISSUE
from wsi_parse.synthetic.slide import SyntheticSlide
from wsi_parse.synthetic.truth import truth_features, write_truth
from wsi_parse.synthetic.writers import IDENTIFIERS, write_generic_tiff, write_leica_scn, write_ome_tiff, write_svs_like

__all__ = [
    "IDENTIFIERS",
    "NUCLEUS",
    "PLAIN_COLOURS",
    "PLAIN_TISSUE",
    "Kind",
    "SyntheticSlide",
    "demo_slide",
    "truth_features",
    "write_generic_tiff",
    "write_leica_scn",
    "write_ome_tiff",
    "write_svs_like",
    "write_truth",
]
