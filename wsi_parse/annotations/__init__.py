"""Reading annotations from GeoJSON: exports of QuPath, of this package and of other tools."""

from wsi_parse.annotations.read import DAMAGED, Annotations, read_annotations

__all__ = ["DAMAGED", "Annotations", "read_annotations"]
