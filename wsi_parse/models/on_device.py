"""What models with a network share: the device they run on, batches by its memory, and what their numbers depend on."""

from functools import cached_property
from typing import Any

from wsi_parse.models.contract import Segmenter


class DeviceSegmenter(Segmenter):
    """A model that runs a network on the CPU or a GPU; importing it loads no torch."""

    #: What a tile of a batch needs on a GPU; too large a batch is halved.
    gpu_bytes_per_tile: int
    max_tiles: int

    @cached_property
    def device(self) -> Any:  # noqa: ANN401 - torch.device; importing torch takes seconds
        """The torch device it runs on."""
        from wsi_parse.models.device import choose_device

        return choose_device(self.settings.device)

    @cached_property
    def batch(self) -> int:  # type: ignore[override]
        """On a GPU what its memory holds, a power of two; one on the CPU, where more gains nothing."""
        from wsi_parse.models.device import memory_bytes

        memory = memory_bytes(self.device)
        if memory is None:
            return 1
        fit = max(1, min(self.max_tiles, memory // self.gpu_bytes_per_tile))
        return 1 << (fit.bit_length() - 1)

    @cached_property
    def at_once(self) -> int:  # type: ignore[override]
        """Two on a GPU, so that one block is read while the other is computed; one on the CPU, which does both."""
        return 2 if self.device.type == "cuda" else 1

    @cached_property
    def computed_on(self) -> dict[str, Any]:
        """What the numbers depend on besides the weights; a run that is resumed on something else starts anew."""
        from wsi_parse.models.device import choose_precision, device_name

        return {
            "device": self.device.type,
            "device_name": device_name(self.device),
            "threads": self.settings.threads if self.device.type == "cpu" else None,
            "precision": choose_precision(self.settings.precision, self.device),
            "batch": self.settings.batch or self.batch,
        }
