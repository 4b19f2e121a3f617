"""What the buffers of a layer are made of: sizes, names of the arrays, and how a probability becomes a bin."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Side of a cell, the square of level-0 pixels whose objects are sent together.
CELL_PX = 1024
#: An object with a longer side is in no cell's buffer: it is drawn at every zoom.
LARGE_PX = 512
#: Bins of the probability.
BINS = 32
#: The classes of a layer are numbered in one byte.
MAX_CLASSES = 256
#: Of the arrays on the disk; it grows when their form changes.
STORE_VERSION = 1


@dataclass(frozen=True)
class LayerClass:
    """A class of a layer: what the viewer switches on and off.

    Parameters
    ----------
    name : str
        Name of the class, as in QuPath.
    prompt : str
        What was asked for; "" in a file of somebody else.
    unsure : bool
    colour : (int, int, int)
        RGB, 0..255.
    kind : str
        "cell" or "region".
    """

    name: str
    prompt: str
    unsure: bool
    colour: tuple[int, int, int]
    kind: str

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> "LayerClass":
        """Take it from what :meth:`facts` returned."""
        red, green, blue = facts["colour"]
        return cls(facts["name"], facts["prompt"], facts["unsure"], (red, green, blue), facts["kind"])

    def facts(self) -> dict[str, Any]:
        """Return all of it, to be kept beside the buffers."""
        return asdict(self)

    def to_dict(self, index: int, objects: int) -> dict[str, object]:
        """Return it for view.json."""
        return {
            "index": index,
            "name": self.name,
            "prompt": self.prompt,
            "unsure": self.unsure,
            "color": "#{:02x}{:02x}{:02x}".format(*self.colour),
            "kind": self.kind,
            "objects": objects,
        }


def bins_of(probability: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the bin of each probability; what has none is in the last bin, which every threshold shows.

    >>> bins_of(np.array([0, 0.03125, 0.999, 1, np.nan], np.float32)).tolist()
    [0, 1, 31, 31, 31]
    """
    scaled = np.floor(np.where(np.isnan(probability), 1, probability) * BINS)
    return np.clip(scaled, 0, BINS - 1).astype(np.uint8)
