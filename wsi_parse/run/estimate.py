"""What a run would cost: tiles, time on this machine, disk space."""

import os
from collections.abc import Sequence
from typing import Any

from wsi_parse.compute.plan import PassPlan
from wsi_parse.run.prepared import PreparedRun

# Stored predictions are compressed by about this factor (measured on maps of cells).
_COMPRESSION = 8


def estimate_cost(prepared: PreparedRun, passes: Sequence[PassPlan]) -> dict[str, Any]:
    """Estimate the number of tiles, the seconds they take on the cores of this machine, and the disk space."""
    tiles = sum(item.selection.count for item in passes)
    threads = prepared.settings.compute.threads or os.cpu_count() or 1
    return {
        "model": prepared.spec.name,
        "tiles": tiles,
        "blocks": sum(len(item.selection.blocks()) for item in passes),
        "expected_seconds": round(tiles * prepared.spec.cpu_seconds_per_tile / threads, 1),
        "expected_disk_mb": round(sum(stored_bytes(item, item.selection.count) for item in passes) / 1e6, 1),
    }


def stored_bytes(item: PassPlan, tiles: int) -> int:
    """Bytes that this many tiles of a pass take on the disk during a run."""
    return tiles * sum((item.scale_pass.tile_px // stride) ** 2 for stride in item.strides.values()) // _COMPRESSION
