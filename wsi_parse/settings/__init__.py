"""Settings of a run: sections with bounds, a YAML file, overrides, and what is wrong in words."""

from wsi_parse.settings.run_settings import RunSettings, setting_names
from wsi_parse.settings.sections import (
    ClassSettings,
    ComputeSettings,
    ExportSettings,
    ModelSettings,
    ObjectSettings,
    SlideSettings,
    TileSettings,
    TissueSettings,
)

__all__ = [
    "ClassSettings",
    "ComputeSettings",
    "ExportSettings",
    "ModelSettings",
    "ObjectSettings",
    "RunSettings",
    "SlideSettings",
    "TileSettings",
    "TissueSettings",
    "setting_names",
]
