"""Any GeoJSON against the rules of QuPath, and repaired where it breaks them."""

from wsi_parse.check.repair import Repaired, repair
from wsi_parse.check.report import Finding, Report, check_file

__all__ = ["Finding", "Repaired", "Report", "check_file", "repair"]
