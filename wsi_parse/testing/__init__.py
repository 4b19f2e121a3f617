"""Test suites for authors of plug-ins: inherit a suite and provide its fixtures to check the contract."""

import pytest

# Else a suite that fails would show no values. Before the suites are imported:
pytest.register_assert_rewrite(*(f"{__name__}.{kind}" for kind in ("clusters", "exporters", "readers", "segmenters")))

from wsi_parse.testing.clusters import ClusterTests  # noqa: E402
from wsi_parse.testing.exporters import ExporterTests  # noqa: E402
from wsi_parse.testing.readers import ReaderTests  # noqa: E402
from wsi_parse.testing.segmenters import SegmenterTests  # noqa: E402

__all__ = ["ClusterTests", "ExporterTests", "ReaderTests", "SegmenterTests"]
