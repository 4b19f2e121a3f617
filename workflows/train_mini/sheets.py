"""Contact sheets: tiles of each set with everything they teach, to see that images and labels fit."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.segmentation import find_boundaries

from workflows.train_mini.readers import read_set
from workflows.train_mini.settings import TrainingSettings
from workflows.train_mini.taught import taught
from workflows.train_mini.tiles import EITHER, NOT_NEOPLASTIC, NOTHING, UNKNOWN, Tile

_COLUMNS, _ROWS, _SIDE_PX, _HEAD_PX = 4, 2, 480, 24
#: Colours of the labels: the five classes, neoplastic or epithelial, not neoplastic, unknown.
COLOURS = {
    0: ("neoplastic", (230, 0, 0)),
    1: ("epithelial", (255, 150, 0)),
    2: ("inflammatory", (140, 0, 220)),
    3: ("connective", (0, 150, 0)),
    4: ("other", (120, 120, 120)),
    EITHER: ("neoplastic or epithelial", (255, 0, 160)),
    NOT_NEOPLASTIC: ("not neoplastic", (0, 150, 255)),
    UNKNOWN: ("class unknown", (0, 0, 0)),
}
_YELLOW = np.array([255, 255, 0])


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m workflows.train_mini.sheets", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--settings", type=Path, default=Path(__file__).with_name("points.yaml"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name, of_set in TrainingSettings.load(given.settings).sets.items():
        tiles = read_set(name, of_set, given.data)
        chosen = tiles[:: max(1, -(-len(tiles) // (_COLUMNS * _ROWS)))]
        draw_sheet([taught(tile, of_set) for tile in chosen], name, given.out / f"{name}.png")
        print(given.out / f"{name}.png")


def draw_sheet(tiles: Sequence[Tile], title: str, path: Path) -> None:
    """Draw the upper left corner of each tile: outlines in the colour of the label, yellow where nothing is known."""
    sheet = Image.new("RGB", (_COLUMNS * _SIDE_PX, _ROWS * _SIDE_PX + _HEAD_PX), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((6, 6), f"{title}:", "black")
    left = 120
    for label, colour in COLOURS.values():
        pen.rectangle((left, 7, left + 10, 17), colour)
        pen.text((left + 16, 6), label, "black")
        left += 60 + 7 * len(label)
    pen.rectangle((left, 7, left + 10, 17), (255, 255, 0))
    pen.text((left + 16, 6), "nothing is known", "black")
    for number, tile in enumerate(tiles[: _COLUMNS * _ROWS]):
        row, column = divmod(number, _COLUMNS)
        drawn = Image.fromarray(outlined(tile)[:_SIDE_PX, :_SIDE_PX])
        sheet.paste(drawn, (column * _SIDE_PX, row * _SIDE_PX + _HEAD_PX))
    sheet.save(path)


def outlined(tile: Tile) -> NDArray[np.uint8]:
    """Return the image of a tile with what it teaches."""
    image = tile.image.copy()
    unknown = tile.known_pixels() == NOTHING
    image[unknown] = (image[unknown] * 0.6 + _YELLOW * 0.4).astype(np.uint8)
    colours = np.zeros((256, 3), np.uint8)
    for label, (_, colour) in COLOURS.items():
        colours[label] = colour
    classes = np.full(tile.nuclei.max() + 1, UNKNOWN, np.uint8) if tile.classes is None else tile.classes
    border = find_boundaries(tile.nuclei, mode="inner")
    image[border] = colours[classes[tile.nuclei[border]]]
    if tile.tumour is not None:
        image[find_boundaries(tile.tumour)] = colours[0]
    return image


if __name__ == "__main__":
    main()
