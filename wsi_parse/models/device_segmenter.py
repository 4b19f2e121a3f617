"""DeviceSegmenter: what models with a network share: device, batch size, and what the results depend on."""

from functools import cached_property
from typing import Any, ClassVar

from wsi_parse.models.contract import Segmenter


class DeviceSegmenter(Segmenter):
    """A model that runs a network on the CPU or a GPU; importing it does not load torch."""

    uses_device: ClassVar[bool] = True
    #: Memory of a GPU for each tile of a batch; a batch that is too large is halved.
    gpu_bytes_per_tile: int
    max_tiles: int

    @cached_property
    def device(self) -> Any:  # noqa: ANN401 - torch.device; importing torch takes seconds
        """The torch device it runs on."""
        from wsi_parse.models.device import choose_device

        return choose_device(self.settings.device)

    @cached_property
    def batch(self) -> int:  # type: ignore[override]
        """On a GPU the largest power of two that fits its memory; 1 on the CPU, where more is not faster."""
        from wsi_parse.models.device import memory_bytes

        memory = memory_bytes(self.device)
        if memory is None:
            return 1
        fit = max(1, min(self.max_tiles, memory // self.gpu_bytes_per_tile))
        return 1 << (fit.bit_length() - 1)

    @cached_property
    def at_once(self) -> int:  # type: ignore[override]
        """2 on a GPU, so that one block is read while the other is computed; 1 on the CPU, which does both."""
        return 2 if self.device.type == "cuda" else 1

    @cached_property
    def numerics(self) -> dict[str, Any]:
        """What results depend on besides the weights; a run that is resumed with anything else starts anew."""
        from wsi_parse.models.device import choose_precision, device_name

        return {
            "device": self.device.type,
            "device_name": device_name(self.device),
            "threads": self.settings.threads if self.device.type == "cpu" else None,
            "precision": choose_precision(self.settings.precision, self.device),
            "batch": self.settings.batch or self.batch,
        }
