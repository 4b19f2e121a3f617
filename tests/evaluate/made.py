"""Objects with known truth: outlines of label images, whose figures can be counted pixel by pixel."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from wsi_parse.annotations import Annotations

SIDE = 14


def annotations(
    shapes: Sequence[Any] | NDArray[np.object_],
    classes: Sequence[str] | None = None,
    ids: Sequence[str | None] | None = None,
    types: Sequence[str] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Annotations:
    count = len(shapes)

    def column(values: Sequence[Any]) -> NDArray[np.object_]:
        return np.array([None, *values], object)[1:]

    return Annotations(
        column(shapes),
        column(ids if ids is not None else [None] * count),
        column(classes if classes is not None else ["Tumor"] * count),
        column(types if types is not None else ["detection"] * count),
        None,
        {},
        provenance or {},
    )


def outlines(labels: NDArray[np.integer[Any]]) -> list[Any]:
    """Outline each label along pixel edges, in the order of the labels; holes and islands stay."""
    pixels = np.argwhere(labels > 0)
    numbers = labels[tuple(pixels.T)]
    boxes = shapely.box(pixels[:, 1], pixels[:, 0], pixels[:, 1] + 1, pixels[:, 0] + 1)
    return [shapely.union_all(boxes[numbers == number]) for number in np.unique(numbers)]


@st.composite
def label_images(draw: st.DrawFn, side: int = SIDE) -> NDArray[np.int64]:
    """Rectangles painted over one another, with holes: what is left of each is an object."""
    labels = np.zeros((side, side), np.int64)
    for number in range(1, draw(st.integers(0, 7)) + 1):
        x, y = draw(st.integers(0, side - 1)), draw(st.integers(0, side - 1))
        width, height = draw(st.integers(1, 7)), draw(st.integers(1, 7))
        labels[y : y + height, x : x + width] = number
    if draw(st.booleans()):
        labels[draw(arrays.arrays(bool, (side, side), elements=st.integers(0, 9).map(lambda value: value == 0)))] = 0
    return np.asarray(np.unique(labels, return_inverse=True)[1].reshape(labels.shape) + (labels.min() > 0), np.int64)


def classes_of(draw: st.DrawFn, count: int) -> list[str]:
    return draw(st.lists(st.sampled_from(["Tumor", "Stroma", "Immune cells"]), min_size=count, max_size=count))


@st.composite
def scenes(draw: st.DrawFn) -> tuple[NDArray[np.int64], list[str]]:
    """A label image, and the class of each label."""
    labels = draw(label_images())
    return labels, classes_of(draw, int(labels.max()))


@st.composite
def heaps(draw: st.DrawFn) -> tuple[list[NDArray[np.bool_]], list[str]]:
    """Masks that may overlap one another, and their classes."""
    masks = []
    for _ in range(draw(st.integers(0, 6))):
        x, y = draw(st.integers(0, SIDE - 1)), draw(st.integers(0, SIDE - 1))
        mask = np.zeros((SIDE, SIDE), bool)
        mask[y : y + draw(st.integers(1, 8)), x : x + draw(st.integers(1, 8))] = True
        masks.append(mask)
    return masks, classes_of(draw, len(masks))


def of_scene(compared: tuple[NDArray[np.int64], list[str]]) -> Annotations:
    return annotations(outlines(compared[0]), compared[1])


def of_heap(heap: tuple[list[NDArray[np.bool_]], list[str]]) -> Annotations:
    return annotations([outlines(mask.astype(np.int64))[0] for mask in heap[0]], heap[1])
