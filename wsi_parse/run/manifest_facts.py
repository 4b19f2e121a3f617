"""The parts of a manifest as types, for its JSON Schema: what is known of slide, model, prompts and scale passes."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

# Pydantic needs this one before Python 3.12.
from typing_extensions import TypedDict


def _told(text: str) -> Any:  # noqa: ANN401 - pydantic's description of a field
    return Field(description=text)


class SlideFacts(TypedDict, total=False):
    """The slide, without its path and the identifiers in its metadata."""

    name: Annotated[str, _told("File name without folder, or the name that was given with --name.")]
    fingerprint: Annotated[str, _told("Hash of the slide's content, as hexadecimal text.")]
    reader: Annotated[str, _told("Name of the reader that opened it.")]
    vendor: Annotated[str, _told("Vendor of the file format.")]
    width_px: Annotated[int, _told("Width of level 0.")]
    height_px: Annotated[int, _told("Height of level 0.")]
    levels: Annotated[int, _told("Number of levels.")]
    mpp_x_um: Annotated[float | None, _told("Microns per level-0 pixel in x.")]
    mpp_y_um: Annotated[float | None, _told("Microns per level-0 pixel in y.")]
    mpp_source: Annotated[str | None, _told("Where the pixel size comes from.")]
    bounds_level0_px: Annotated[
        tuple[int, int, int, int] | None, _told("x, y, width and height of the scanned area, if the file names one.")
    ]


class ModelFacts(TypedDict, total=False):
    """The model and its weights."""

    name: Annotated[str, _told("Name of the model.")]
    summary: Annotated[str, _told("What it finds, in a sentence.")]
    licence: Annotated[str, _told("Licence of the weights.")]
    purpose: Annotated[str, _told("What the weights may be used for.")]
    weights_sha256: Annotated[str | None, _told("Hash of the file of weights.")]
    weights_revision: Annotated[str | None, _told("Revision of the repository that they came from.")]
    state: Annotated[dict[str, Any], _told("What the model found out about the slide and the device before it began.")]
    largest_batch: Annotated[int, _told("Tiles predicted at a time where memory did not hold as many as planned.")]


PromptFacts = TypedDict(
    "PromptFacts",
    {
        "text": Annotated[str, _told("What was asked for.")],
        "name": Annotated[str, _told("How it was understood.")],
        "kind": Annotated[str, _told("cell or region.")],
        "class": Annotated[str, _told("Name of the class in QuPath.")],
        "colour": Annotated[list[int], _told("Red, green and blue, each from 0 to 255.")],
    },
    total=False,
)


class PassFacts(TypedDict, total=False):
    """One scale pass: how the slide was divided."""

    name: Annotated[str, _told("Name of the pass.")]
    field_um: Annotated[float, _told("Side of a tile.")]
    read_mpp: Annotated[float, _told("Microns per pixel at which tiles were read.")]
    object_mpp: Annotated[float, _told("Microns per pixel of the lattice on which objects were made.")]
    tile_px: Annotated[int, _told("Side of a tile, in read pixels.")]
    overlap_px: Annotated[int, _told("Overlap of neighbouring tiles, in read pixels.")]
    tiles: Annotated[int, _told("Number of tiles.")]
    blocks: Annotated[int, _told("Number of blocks: tiles that were predicted and stored together.")]
    chunks: Annotated[int, _told("Number of chunks: squares whose objects were made together.")]
    prompts: Annotated[list[str], _told("Names of its prompts.")]
    words: Annotated[list[str], _told("What the model read for each of them.")]


class FormatFacts(TypedDict, total=False):
    """One output format; an exporter may add facts of its own, such as qupath_heap_gb of annotations in GeoJSON."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    files: Annotated[list[str], _told("Names of its files; the first is the one to open.")]
    how_to_open: Annotated[str, _told("What to do with that file, in a few words.")]


class ReuseFacts(TypedDict, total=False):
    """What was taken over from an earlier run."""

    stage: Annotated[str, _told("predict or objects.")]
    reused: Annotated[int, _told("Blocks (predict) or chunks (objects) that were there.")]
    of: Annotated[int, _told("Their number in total.")]
    file: Annotated[str, _told("The file of the earlier run from which the objects were read.")]
