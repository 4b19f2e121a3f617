"""The parts of a manifest as types, for its JSON Schema: what is known of slide, model, prompts and scale passes."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

# Pydantic needs this one before Python 3.12.
from typing_extensions import TypedDict


def _field(text: str) -> Any:  # noqa: ANN401 - pydantic's description of a field
    return Field(description=text)


class SlideFacts(TypedDict, total=False):
    """The slide, without its path and the identifiers in its metadata."""

    name: Annotated[str, _field("File name without folder, or the name that was given with --name.")]
    fingerprint: Annotated[str, _field("Hash of the slide's content, as hexadecimal text.")]
    reader: Annotated[str, _field("Name of the reader that opened it.")]
    vendor: Annotated[str, _field("Vendor of the file format.")]
    width_px: Annotated[int, _field("Width of level 0.")]
    height_px: Annotated[int, _field("Height of level 0.")]
    levels: Annotated[int, _field("Number of levels.")]
    mpp_x_um: Annotated[float | None, _field("Microns per level-0 pixel in x.")]
    mpp_y_um: Annotated[float | None, _field("Microns per level-0 pixel in y.")]
    mpp_source: Annotated[str | None, _field("Where the pixel size comes from.")]
    bounds_level0_px: Annotated[
        tuple[int, int, int, int] | None, _field("x, y, width and height of the scanned area, if the file names one.")
    ]


class ModelFacts(TypedDict, total=False):
    """The model and its weights."""

    name: Annotated[str, _field("Name of the model.")]
    summary: Annotated[str, _field("What it finds, in a sentence.")]
    licence: Annotated[str, _field("Licence of the weights.")]
    purpose: Annotated[str, _field("What the weights may be used for.")]
    weights_sha256: Annotated[str | None, _field("Hash of the file of weights.")]
    weights_revision: Annotated[str | None, _field("Revision of the repository that they came from.")]
    state: Annotated[dict[str, Any], _field("What the model found out about the slide and the device before it began.")]
    largest_batch: Annotated[int, _field("Tiles predicted at a time where memory did not hold as many as planned.")]


PromptFacts = TypedDict(
    "PromptFacts",
    {
        "text": Annotated[str, _field("What was asked for.")],
        "name": Annotated[str, _field("How it was understood.")],
        "kind": Annotated[str, _field("cell or region.")],
        "class": Annotated[str, _field("Name of the class in QuPath.")],
        "colour": Annotated[list[int], _field("Red, green and blue, each from 0 to 255.")],
    },
    total=False,
)


class PassFacts(TypedDict, total=False):
    """One scale pass: how the slide was divided."""

    name: Annotated[str, _field("Name of the pass.")]
    field_um: Annotated[float, _field("Side of a tile.")]
    read_mpp: Annotated[float, _field("Microns per pixel at which tiles were read.")]
    object_mpp: Annotated[float, _field("Microns per pixel of the lattice on which objects were made.")]
    tile_px: Annotated[int, _field("Side of a tile, in read pixels.")]
    overlap_px: Annotated[int, _field("Overlap of neighbouring tiles, in read pixels.")]
    tiles: Annotated[int, _field("Number of tiles.")]
    blocks: Annotated[int, _field("Number of blocks: tiles that were predicted and stored together.")]
    chunks: Annotated[int, _field("Number of chunks: squares whose objects were made together.")]
    prompts: Annotated[list[str], _field("Names of its prompts.")]
    words: Annotated[list[str], _field("What the model read for each of them.")]
    sure_from: Annotated[
        dict[str, float | None],
        _field("Prompt to the probability from which on its class is sure on this slide; null: it never is."),
    ]


class PixelSizeFacts(TypedDict):
    """A pixel size that was estimated from nuclei, to question the one that was used."""

    mpp_um: Annotated[float, _field("Microns per level-0 pixel.")]
    low_um: Annotated[float, _field("Lower end of the range in which the right number lies.")]
    high_um: Annotated[float, _field("Upper end of that range.")]
    fields: Annotated[int, _field("Number of fields of the tissue that were looked at.")]


class CautionFacts(TypedDict):
    """What is plausible but wrong."""

    code: Annotated[str, _field("What it is about.")]
    text: Annotated[str, _field("The sentence.")]
    number: Annotated[float | None, _field("The number that it was decided by.")]
    remedy: Annotated[str, _field("What to do.")]


class FormatFacts(TypedDict, total=False):
    """One output format; an exporter may add facts of its own, such as qupath_heap_gb of annotations in GeoJSON."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    files: Annotated[list[str], _field("Names of its files; the first is the one to open.")]
    how_to_open: Annotated[str, _field("What to do with that file, in a few words.")]


class UnreadableFacts(TypedDict, total=False):
    """Stored tiles of the slide that could not be read; they were not looked at, and count in no area."""

    tiles: Annotated[int, _field("Their number.")]
    of: Annotated[int, _field("Number of stored tiles of level 0.")]
    tiles_level0_px: Annotated[
        list[tuple[int, int, int, int]], _field("x, y, width and height of each, in level-0 pixels.")
    ]


class ReuseFacts(TypedDict, total=False):
    """What was taken over from an earlier run."""

    stage: Annotated[str, _field("predict or objects.")]
    reused: Annotated[int, _field("Blocks (predict) or chunks (objects) that were there.")]
    of: Annotated[int, _field("Their number in total.")]
    file: Annotated[str, _field("The file of the earlier run from which the objects were read.")]
