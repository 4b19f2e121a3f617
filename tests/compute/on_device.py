"""Preloaded by workers: the stain model, except that it says it uses a device, as networks do."""

from wsi_parse.models.stain import StainModel
from wsi_parse.registry import MODELS


class OnDeviceModel(StainModel):
    """Its results are those of the stain model."""

    uses_device = True


MODELS.add("on-device", OnDeviceModel)
