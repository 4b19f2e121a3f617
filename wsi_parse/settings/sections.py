"""The sections of the settings: each number has bounds that a scanner, a tissue or a machine can have."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from wsi_parse.gates import pixel_size_problem
from wsi_parse.prompts import class_setting_fault
from wsi_parse.settings.addresses import address_problem

_Byte = Annotated[int, Field(ge=0, le=255)]


# A slide is at most about 26 mm by 76 mm large.
_MAX_AREA_UM2 = 2e9
_MAX_THREADS = 1024


def _pixel_size(mpp_um: float) -> float:
    if problem := pixel_size_problem(mpp_um):
        raise ValueError(problem)
    return mpp_um


def _class_name(name: str) -> str:
    if fault := class_setting_fault(name):
        raise ValueError(f"QuPath takes no class of this name, because it {fault}")
    return name


def _slide_name(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise ValueError("it must consist of letters that can be printed")
    if "/" in name or "\\" in name:
        raise ValueError("it must be a name, and not a path: leave out / and \\")
    if "{" in name.replace("{id}", ""):
        raise ValueError("{id} is the only placeholder: leave out other braces")
    return name


def _cluster(name: str) -> str:
    if "://" in name and (problem := address_problem(name)):
        raise ValueError(f"it is not the address of a scheduler: {problem}; write it as tcp://HOST:PORT")
    return name


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def one_or_several(names: Any) -> Any:  # noqa: ANN401 - whatever a user gives; pydantic checks it
    """Take one name for a list of one."""
    return (names,) if isinstance(names, str) else names


_Names = Annotated[tuple[str, ...], BeforeValidator(one_or_several), AfterValidator(_once)]
_Kept = Annotated[tuple[Literal["predictions"], ...], BeforeValidator(one_or_several), AfterValidator(_once)]


class Section(BaseModel):
    """A part of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SlideSettings(Section):
    """How slides are opened."""

    mpp: Annotated[float, AfterValidator(_pixel_size)] | None = Field(
        None, description="Microns per pixel at level 0, if the file has no pixel size."
    )
    override_mpp: bool = Field(False, description="Use mpp even if the file has another pixel size.")
    reader: str | None = Field(None, description="Name of a reader; null: try all of them.")
    skip_unreadable: bool = Field(
        False,
        description="true: stored tiles of the slide that are damaged are not looked at, and are counted; false: they "
        "stop the run.",
    )
    name: Annotated[str, AfterValidator(_slide_name)] | None = Field(
        None,
        min_length=1,
        max_length=120,
        description="Name of the slide in all outputs, instead of its file name, which may hold an identifier; {id} "
        "stands for the name of the slide's output folder.",
    )
    roi: Path | None = Field(
        None, description="GeoJSON file with regions of interest; everything outside them is ignored."
    )


class TissueSettings(Section):
    """How tissue is detected."""

    detect: bool = Field(True, description="false: search the whole slide.")
    mpp: float = Field(8.0, ge=0.5, le=50, description="Microns per pixel of the tissue mask.")
    min_area_um2: float = Field(20_000.0, ge=0, le=_MAX_AREA_UM2, description="Smaller pieces of tissue are removed.")
    max_hole_area_um2: float = Field(
        40_000.0, ge=0, le=_MAX_AREA_UM2, description="Smaller holes in the tissue are filled."
    )


class ModelSettings(Section):
    """Which model is used, and how it runs."""

    name: str = Field(
        "auto",
        description="Name of a model, see `wsi-parse models`; auto: the best installed one that knows every prompt.",
    )
    weights: Path | None = Field(None, description="File with weights; null: the installed weights.")
    device: str = Field("auto", description="Where networks run: auto, cpu, cuda, cuda:1, …")
    threads: int | None = Field(
        None,
        ge=1,
        le=_MAX_THREADS,
        description="CPU threads for networks; null: all of compute.threads, shared by the workers.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Number format of networks: float32, bfloat16, or auto (bfloat16 if the processor supports it).",
    )
    batch: int | None = Field(
        None, ge=1, le=1024, description="Tiles in one call of the model; null: as many as fit into memory."
    )
    field_um: float | None = Field(
        None, ge=8, le=8000, description="Side length of one tile in µm; null: the model's default."
    )
    organ: str | None = Field(
        None,
        description="Organ of the tissue: breast, colon, … Models that read words read it; for others, it may "
        "decide from which probability on a class is sure.",
    )


class TileSettings(Section):
    """How a slide is divided into tiles."""

    overlap: float = Field(
        0.125, ge=0, le=0.75, description="Part of a tile that overlaps the next tile, from 0 to 0.75."
    )
    block: int = Field(
        4,
        ge=1,
        le=64,
        description="Tiles along each side of a block: its tiles are predicted and stored together. It never changes "
        "the result.",
    )


class ObjectSettings(Section):
    """How objects are made from the model's output. Lengths are in µm, so that they mean the same on every slide."""

    threshold: float = Field(0.5, gt=0, lt=1, description="Probability at which the contour of an object is drawn.")
    free_text_kind: Literal["auto", "cell", "region"] = Field(
        "auto",
        description="Objects of a prompt that no model knows: cell, region, or auto (cells if the prompt names cells, "
        "otherwise regions).",
    )
    exclusive_classes: bool = Field(
        False, description="true: a cell that several prompts find belongs to the most probable one only."
    )
    min_class_probability: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Cells whose class is less probable than this are marked as unsure; null: the model's own line for "
        "each class.",
    )
    chunk_px: int = Field(
        1024,
        ge=128,
        le=16384,
        description="Side length, in output pixels, of a chunk: a square whose objects are made together. It changes "
        "the result slightly.",
    )
    min_cell_area_um2: float = Field(8.0, ge=0, le=10_000, description="Smaller cells are removed.")
    max_cell_radius_um: float = Field(
        30.0,
        gt=0,
        le=500,
        description="Pixels farther than this from the seed (the middle) of a cell do not belong to it.",
    )
    seed_merge_radius_um: float = Field(
        12.0,
        gt=0,
        le=500,
        description="Seeds that are closer than this make one cell, unless the shape is narrow between them.",
    )
    distance_cap_um: float = Field(
        8.0, gt=0, le=500, description="Distances to the contour count up to this length when touching cells are split."
    )
    tissue_margin_um: float = Field(
        16.0,
        ge=0,
        le=5000,
        description="Cells up to this distance from the tissue mask are kept, because the mask is coarse.",
    )
    min_region_area_um2: float = Field(500.0, ge=0, le=_MAX_AREA_UM2, description="Smaller regions are removed.")
    min_hole_area_um2: float = Field(100.0, ge=0, le=_MAX_AREA_UM2, description="Smaller holes in regions are filled.")
    simplify_px: float | None = Field(
        None,
        ge=0,
        le=64,
        description="Tolerance for simplifying contours, in output pixels; null: for each object, the largest that "
        "keeps its shape and area.",
    )
    cell_expansion_um: float | None = Field(
        None,
        gt=0,
        le=30,
        description="Grow each nucleus by this distance to make a cell, without overlap; null: nuclei only.",
    )
    stains: bool = Field(False, description="true: measure haematoxylin and eosin in each object.")


class ClassSettings(Section):
    """Class of a prompt's objects in QuPath; a part that is left out keeps its default."""

    name: Annotated[str, AfterValidator(_class_name)] | None = Field(
        None, max_length=200, description="Name of the class; `Tumor: Positive` is derived from Tumor."
    )
    colour: tuple[_Byte, _Byte, _Byte] | None = Field(None, description="Red, green and blue, each from 0 to 255.")


class ExportSettings(Section):
    """What is written, and how."""

    formats: _Names = Field(
        ("geojson", "parquet"), description="Output formats, by name; `wsi-parse run --help-all` lists them."
    )
    gzip: bool = Field(False, description="true: compress the annotations (annotations.geojson.gz).")
    frame: Literal["qupath", "level0"] = Field(
        "qupath",
        description="Where coordinates start: qupath (at the slide's bounds, as in QuPath) or level0 (at its corner).",
    )
    classes: dict[str, ClassSettings] = Field(
        {}, description="Other classes and colours, as prompt: {name: class in QuPath, colour: [red, green, blue]}."
    )
    max_part_mb: float = Field(
        200.0,
        gt=0,
        le=100_000,
        description="Larger annotations are written in several parts, so that QuPath can open them.",
    )
    max_part_objects: int = Field(
        500_000, ge=1, le=100_000_000, description="Annotations with more objects are also written in several parts."
    )
    overlay_px: int = Field(2048, ge=0, le=8192, description="Longer side of overlay.png in pixels; 0: no picture.")
    heat_map: bool = Field(
        False,
        description="true: write heat_map.png, the density of each prompt's objects on the slide, and "
        "heat_map.geojson, a grid with counts and densities for QuPath.",
    )
    least_certain: int = Field(
        0,
        ge=0,
        le=1000,
        description="Largest number of places where the model is least certain; they are written to "
        "least_certain.geojson, for QuPath; 0: none.",
    )
    report: bool = Field(
        True,
        description="true: write report.html, a page that shows and explains the result, and cohort.html of a cohort.",
    )
    keep: _Kept = Field(
        (),
        description="What is kept after a run: predictions (the maps of the model), so that another threshold or size "
        "takes seconds; empty: nothing.",
    )


class ComputeSettings(Section):
    """Where the work is done. It does not change the result; only a network's probabilities may differ by 1/255."""

    cluster: Annotated[str, AfterValidator(_cluster)] = Field(
        "local",
        description="Name of a cluster, which `wsi-parse run --help-all` lists, or the address of a Dask scheduler "
        "(tcp:// or tls://).",
    )
    workers: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Worker processes, or jobs on a cluster; 0: threads of this process, or one job.",
    )
    threads: int | None = Field(
        None, ge=1, le=_MAX_THREADS, description="Threads on this machine in total; null: one for each core."
    )
    slides_at_once: int = Field(2, ge=1, le=16, description="Slides of a cohort that are processed at the same time.")
    options: dict[str, Any] = Field({}, description="Options of the Dask class for this cluster, passed on unchanged.")
    dashboard: bool = Field(
        False,
        description="Start Dask's dashboard, on this machine only. It has no password: whoever can log in here sees "
        "the names of tasks, workers and folders on it.",
    )
    share_group: bool = Field(
        False,
        description="Let the group of the output folder continue the run and read its intermediate files; else only "
        "you can.",
    )
    tls_ca: Path | None = Field(None, description="File with the certificate authority of a tls:// scheduler.")
    tls_cert: Path | None = Field(None, description="File with the certificate for that scheduler.")
    tls_key: Path | None = Field(None, description="File with the key of that certificate.")
