"""Small slides on disk for whole runs: tissue-coloured, with nuclei at known places."""

from pathlib import Path

import numpy as np
import tifffile

from tests.one_pass import paint_disc
from wsi_parse.geometry import Box, Frame
from wsi_parse.predict.inference import cut_tile
from wsi_parse.slides.slide import Slide

PINK = (225, 170, 205)
#: Settings for many small tasks and no pictures: a block is one tile.
ONE_TILE_BLOCKS = (
    "tissue.detect=false",
    "tiles.block=1",
    "objects.chunk_px=256",
    "export.overlay_px=0",
    "export.report=false",
    "model.field_um=128",
)
#: Settings for small tasks and no pictures.
SMALL_BLOCKS = (
    "model.field_um=128",
    "tiles.block=2",
    "objects.chunk_px=256",
    "export.overlay_px=0",
    "export.report=false",
)


def write_slide(path: Path, pixels: np.ndarray, mpp: float = 0.5, tile: int = 256) -> Path:
    """Write an Aperio-like SVS that every reader takes."""
    description = f"Aperio Image Library v11.2.1\n{pixels.shape[1]}x{pixels.shape[0]}|AppMag = 20|MPP = {mpp}"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            pixels,
            tile=(tile, tile),
            photometric="rgb",
            compression="jpeg",
            compressionargs={"level": 95},
            description=description,
            metadata=None,
        )
    return path


def tissue_with_nuclei(width: int, height: int, spacing: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pink tissue on white with dark blue discs; returns pixels and centres (x, y)."""
    rng = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), 245, np.uint8)
    border = 100
    texture = rng.normal(0, 4, (height - 2 * border, width - 2 * border, 1))
    pixels[border:-border, border:-border] = np.clip(np.array(PINK) + texture, 0, 255)
    centres = [
        (x + rng.uniform(-8, 8), y + rng.uniform(-8, 8))
        for y in range(border + 30, height - border - 30, spacing)
        for x in range(border + 30, width - border - 30, spacing)
    ]
    for x, y in centres:
        paint_disc(pixels, x, y, rng.uniform(5, 9))
    return pixels, np.array(centres)


def as_a_model_sees_it(slide: Slide, read: Box, frame: Frame) -> np.ndarray:
    """Read one tile as a run shows it to a model: mirrored beyond the slide, and white where nothing was scanned."""
    return cut_tile(slide.read(read, frame), read.relative_to(read), slide.box_on_slide(frame).relative_to(read))
