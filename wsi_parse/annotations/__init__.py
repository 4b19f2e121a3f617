"""GeoJSON of annotations, read: QuPath's exports, ours, other tools'."""

from wsi_parse.annotations.read import DAMAGED, Annotations, read_annotations

__all__ = ["DAMAGED", "Annotations", "read_annotations"]
