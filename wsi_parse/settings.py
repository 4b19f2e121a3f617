"""RunSettings: everything a run can be told, checked before anything is read."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from wsi_parse.errors import SettingsError

_Byte = Annotated[int, Field(ge=0, le=255)]


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SlideSettings(_Section):
    """How slides are opened."""

    mpp: float | None = Field(None, gt=0, description="microns per level-0 pixel, where the file does not tell")
    override_mpp: bool = Field(False, description="believe mpp also where the file disagrees")
    reader: str | None = Field(None, description="name of a reader; null tries all")
    roi: Path | None = Field(None, description="GeoJSON; only what lies inside its polygons is looked at")


class TissueSettings(_Section):
    """What is taken for tissue."""

    detect: bool = Field(True, description="false: look everywhere")
    mpp: float = Field(8.0, gt=0, description="microns per pixel of the mask")
    min_area_um2: float = Field(20_000.0, ge=0, description="specks below are dropped")
    max_hole_area_um2: float = Field(40_000.0, ge=0, description="holes below are filled")


class ModelSettings(_Section):
    """Which model, and how it runs."""

    name: str = Field("auto", description="auto, or a name of `wsi-parse models`")
    weights: Path | None = Field(None, description="file of weights; null: those that are installed")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, …")
    threads: int | None = Field(None, ge=1, description="of the processor, for networks; null: this process's share")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where the processor computes in it"
    )
    batch: int | None = Field(None, ge=1, description="tiles a model call; null: what memory holds")
    field_um: float | None = Field(None, gt=0, description="what a tile covers; null: the model's own")
    organ: str | None = Field(
        None, description="where the tissue is from, for models that read words: breast, colon, …"
    )


class TileSettings(_Section):
    """How a slide is cut up."""

    overlap: float = Field(0.125, ge=0, le=0.75, description="share of a tile that neighbours share")
    block: int = Field(4, ge=1, le=64, description="tiles a side done as one task; never changes the result")


class ObjectSettings(_Section):
    """How objects are made of channels. Lengths in microns, so that they mean the same on every slide."""

    threshold: float = Field(0.5, gt=0, lt=1, description="probability of the outline")
    free_text_kind: Literal["auto", "cell", "region"] = Field(
        "auto", description="what words that no model knows ask for; auto: cells where the words say so"
    )
    exclusive_classes: bool = Field(
        False, description="a cell that several prompts claim goes to the most probable one"
    )
    min_class_probability: float | None = Field(
        None, ge=0, le=1, description="cells whose class is less probable are called unsure; null: the model's own"
    )
    chunk_px: int = Field(1024, ge=128, description="side of a chunk in output pixels; part of the result")
    min_cell_area_um2: float = Field(8.0, ge=0, description="smaller cells are dropped")
    max_cell_radius_um: float = Field(30.0, gt=0, description="farther from its seed nothing belongs to a cell")
    seed_merge_radius_um: float = Field(
        8.0, gt=0, description="seeds nearer than this are joined where no neck parts them"
    )
    distance_cap_um: float = Field(
        8.0, gt=0, description="distances to the outline count up to this when cells are split"
    )
    tissue_margin_um: float = Field(16.0, ge=0, description="cells so near to tissue are on it: its mask is coarse")
    min_region_area_um2: float = Field(500.0, ge=0, description="smaller regions are dropped")
    min_hole_area_um2: float = Field(100.0, ge=0, description="smaller holes of regions are filled")
    simplify_px: float | None = Field(
        None, ge=0, description="outline tolerance in output pixels; null: the most that keeps each object's area"
    )
    cell_expansion_um: float | None = Field(
        None, gt=0, le=30, description="grow nuclei by this to cells, where no other is nearer; null: nuclei only"
    )
    stains: bool = Field(False, description="measure haematoxylin and eosin of each object")


class ClassSettings(_Section):
    """What a prompt's objects are called in QuPath; what is left out stays as it is."""

    name: str | None = Field(None, min_length=1, description="class; `Tumor: Positive` is derived of Tumor")
    colour: tuple[_Byte, _Byte, _Byte] | None = Field(None, description="red, green, blue: 0 to 255")


class ExportSettings(_Section):
    """What is written."""

    formats: Annotated[tuple[str, ...], AfterValidator(_once)] = Field(
        ("geojson", "parquet"), description="geojson, parquet, dicom, ome-zarr, spatialdata"
    )
    gzip: bool = Field(False, description="write annotations.geojson.gz")
    frame: Literal["qupath", "level0"] = Field(
        "qupath", description="subtract the slide's bounds, as QuPath does, or not"
    )
    classes: dict[str, ClassSettings] = Field(
        {}, description="prompt: {name: class in QuPath, colour: [red, green, blue]}, where not as usual"
    )
    max_part_mb: float = Field(
        200.0, gt=0, description="larger annotations are written in parts, which QuPath can open"
    )
    max_part_objects: int = Field(500_000, ge=1, description="and so are more objects than this")
    overlay_px: int = Field(2048, ge=0, le=8192, description="longer side of overlay.png; 0: none")


class ComputeSettings(_Section):
    """Where the work is done; never changes the result (a network's by 1/255 at most)."""

    cluster: str = Field("local", description="local, slurm, pbs, lsf, or a scheduler's tcp:// or tls://")
    workers: int = Field(
        0, ge=0, description="processes, or jobs of a batch system; 0: threads of this process, one job"
    )
    threads: int | None = Field(None, ge=1, description="threads in all, on this machine; null: one a core")
    slides_at_once: int = Field(2, ge=1, le=16, description="slides of a cohort under way at once")
    options: dict[str, Any] = Field({}, description="given as they are to Dask's class of the batch system")
    tls_ca: Path | None = Field(None, description="certificate authority of a tls:// scheduler")
    tls_cert: Path | None = Field(None, description="our certificate for it")
    tls_key: Path | None = Field(None, description="and its key")


class RunSettings(_Section):
    """Everything a run can be told."""

    prompts: tuple[str, ...] = Field((), description="what to look for, in words")
    slide: SlideSettings = SlideSettings()
    tissue: TissueSettings = TissueSettings()
    model: ModelSettings = ModelSettings()
    tiles: TileSettings = TileSettings()
    objects: ObjectSettings = ObjectSettings()
    export: ExportSettings = ExportSettings()
    compute: ComputeSettings = ComputeSettings()

    @classmethod
    def load(
        cls,
        config: Path | None = None,
        overrides: Iterable[str] = (),
        **direct: Any,  # noqa: ANN401
    ) -> "RunSettings":
        """Build settings from a YAML file, then ``section.key=value`` overrides, then direct sections.

        Raises
        ------
        SettingsError
            Names every setting that is unknown or cannot be.
        """
        values = _read_yaml(config) if config else {}
        for override in overrides:
            _set(values, override)
        for section, given in direct.items():
            if isinstance(given, dict):
                known = _section(values, section)
                known.update({key: value for key, value in given.items() if value is not None})
            elif given:
                values[section] = given
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError(_explain(error), "See `wsi-parse settings` for all of them.") from error

    def result_digest(self, *more: str) -> str:
        """Hash what decides the result: not where it is computed, nor how tiles are grouped."""
        where: Any = {"compute": True, "tiles": {"block"}, "slide": {"roi"}, "model": {"weights", "threads"}}
        values = self.model_dump(mode="json", exclude=where)
        text = json.dumps([values, *more], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"Cannot read the settings in {path.name}: {reason}", "It must be YAML.") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path.name} holds no settings.", "Write `section:` and `  key: value` lines.")
    return values


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a section to write into; an empty one in the file counts as not there."""
    if values.get(name) is None:
        values[name] = {}
    if not isinstance(values[name], dict):
        raise SettingsError(f"{name!r} is not a section of settings.", "Write `section:` and `  key: value` lines.")
    section: dict[str, Any] = values[name]
    return section


def _set(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    *sections, key = name.strip().split(".")
    if not equals or not key:
        raise SettingsError(
            f"--set {override!r} is not of the form section.key=value.", "E.g. --set tiles.overlap=0.25"
        )
    for section in sections:
        values = _section(values, section)
    try:
        values[key] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"--set {override!r}: the value is not YAML.", "Quote it.") from error


def _explain(error: ValidationError) -> str:
    problems = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
    return "Settings cannot be: " + "; ".join(problems) + "."
