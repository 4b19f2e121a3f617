"""Test suites for authors of plug-ins: inherit a suite and provide its fixtures to check the contract."""

from wsi_parse.testing.clusters import ClusterTests
from wsi_parse.testing.exporters import ExporterTests
from wsi_parse.testing.readers import ReaderTests
from wsi_parse.testing.segmenters import SegmenterTests

__all__ = ["ClusterTests", "ExporterTests", "ReaderTests", "SegmenterTests"]
