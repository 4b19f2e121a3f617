"""RunManifest (run.json): what was done, with which model and settings, and how it ended; a resumed run reads it."""

import json
import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from wsi_parse.cautions import Caution
from wsi_parse.files import MANIFEST_NAME, SCHEMA_VERSION, manifest_error, read_manifest, tree_sha256, write_text
from wsi_parse.registry import EXPORTERS, MODELS, READERS
from wsi_parse.run.digests import Digests
from wsi_parse.run.manifest_facts import (
    CautionFacts,
    FormatFacts,
    ModelFacts,
    PassFacts,
    PixelSizeFacts,
    PromptFacts,
    ReuseFacts,
    SlideFacts,
    UnreadableFacts,
)
from wsi_parse.run.privacy import redacted_settings
from wsi_parse.settings import RunSettings
from wsi_parse.text import RESEARCH_ONLY

_PACKAGES = (
    "dask",
    "distributed",
    "numpy",
    "openslide-python",
    "scikit-image",
    "scipy",
    "shapely",
    "tiffslide",
    "timm",
    "torch",
    "transformers",
    "zarr",
)


def _hashes(values: Any) -> Any:  # noqa: ANN401 - what the file holds; pydantic checks it
    """Accept one hash of each output, as manifests had before."""
    if not isinstance(values, dict):
        return values
    return {name: [value] if isinstance(value, str) else value for name, value in values.items()}


class RunManifest(BaseModel):
    """What one run did. It holds no patient data and no path; each field is described below it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from wsi_parse import segment_slide
    >>> from wsi_parse.synthetic import SyntheticSlide, write_svs_like
    >>> with TemporaryDirectory() as folder:
    ...     write_svs_like(Path(folder, "small.svs"), SyntheticSlide(900, 700, seed=3, tissue=1.0))
    ...     _ = segment_slide(f"{folder}/small.svs", f"{folder}/out", prompts="nuclei", model="stain")
    ...     manifest = RunManifest.load(Path(folder, "out"))
    >>> manifest.state, manifest.model["name"], manifest.slide["mpp_x_um"], list(manifest.counts)
    ('done', 'stain', 0.25, ['nuclei'])
    """

    # Fields that another version adds are not needed here. The descriptions stand in docs/run.schema.json, too.
    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    schema_version: int = SCHEMA_VERSION
    """Version of the form of this file. Unknown fields are ignored when it is read."""
    notice: str = RESEARCH_ONLY
    """What the results may be used for."""
    wsi_parse: str
    """Version of wsi-parse that wrote the results."""
    state: Literal["running", "done", "failed"]
    """How the run ended; "running" also after a crash."""
    digests: Digests = Digests()
    """Hashes of everything that decides the maps, the objects and the outputs."""
    slide: SlideFacts
    """The slide."""
    settings: dict[str, Any]
    """All settings, in sections; without addresses, accounts and folders."""
    model: ModelFacts
    """The model."""
    prompts: list[PromptFacts]
    """What was looked for."""
    notes: list[str] = []
    """What the user was told of the decisions."""
    limitations: list[str] = []
    """Those of the notes that apply to every result of this model."""
    cautions: list[CautionFacts] = []
    """What is plausible but wrong, and should be looked at before the results are used."""
    unreadable: UnreadableFacts = {}
    """What of the slide could not be read, and was left out as slide.skip_unreadable allows; empty: nothing."""
    passes: list[PassFacts] = []
    """How the slide was divided, for each scale at which it was read."""
    tissue_mm2: float | None = None
    """Area of the tissue, without glass (inside the region of interest): tissue.geojson outlines it."""
    search_mm2: float | None = None
    """Area in which objects were looked for: the tissue with its rim and small gaps."""
    pixel_size_from_nuclei: PixelSizeFacts | None = None
    """The pixel size by the size of the nuclei; none where it cannot be told. It is compared, and not used."""
    counts: dict[str, int] = {}
    """Number of objects of each prompt."""
    unsure: dict[str, int] = {}
    """How many of them have an unsure class; prompts without any are left out."""
    nuclear_area_um2: dict[str, float] = {}
    """Median area of the nuclei of each prompt of cells."""
    per_mm2: dict[str, float] = {}
    """Objects of each prompt per mm² of tissue."""
    existence: dict[str, dict[str, Any]] = {}
    """What the model says of each prompt on this slide as a whole."""
    seconds: dict[str, float] = {}
    """Time of each stage; "(all workers)" is the sum over all of them."""
    peak_memory_mb: float | None = None
    """The most memory that the run held, on all machines."""
    reused: list[ReuseFacts] = []
    """What was taken over from an earlier run instead of being computed again."""
    maps_mb: float | None = None
    """Size of the predicted maps on the disk."""
    maps_kept: bool = False
    """Whether the maps are still there, for a run with another threshold or size."""
    outputs: dict[str, str] = {}
    """File or folder name of each output, and its SHA-256."""
    earlier: Annotated[dict[str, list[str]], BeforeValidator(_hashes)] = {}
    """Outputs of earlier runs with their SHA-256; those that this run does not write are removed when it is done."""
    formats: dict[str, FormatFacts] = {}
    """The files of each output format, and what its exporter says of them."""
    error: str | None = None
    """Why the run failed, and what to do about it."""
    ended_utc: str | None = None
    """When the run ended."""
    versions: dict[str, str] = {}
    """Versions of Python and of the packages that results depend on."""

    @property
    def offset_level0(self) -> tuple[int, int]:
        """Offset that outputs subtract: the origin of the slide's bounds in the frame of QuPath, else (0, 0)."""
        bounds = self.slide["bounds_level0_px"]
        return (0, 0) if self.settings["export"]["frame"] == "level0" or bounds is None else (bounds[0], bounds[1])

    def hashes(self) -> dict[str, list[str]]:
        """Return the hashes that each output of this run or of one before it may have."""
        found = {name: list(values) for name, values in self.earlier.items()}
        for name, value in self.outputs.items():
            if value not in found.setdefault(name, []):
                found[name].append(value)
        return found

    def take_over(self, earlier: "RunManifest") -> None:
        """Take over what a run with the same objects says of their making."""
        self.passes, self.existence, self.maps_mb = earlier.passes, earlier.existence, earlier.maps_mb
        self.unreadable = earlier.unreadable
        self.pixel_size_from_nuclei = earlier.pixel_size_from_nuclei
        for name in ("state", "largest_batch"):
            if name in earlier.model:
                self.model[name] = earlier.model[name]

    def add_caution(self, caution: Caution) -> bool:
        """Note a caution; False if it was noted before."""
        facts = cast(CautionFacts, caution.to_dict())
        is_new = facts not in self.cautions
        if is_new:
            self.cautions.append(facts)
        return is_new

    def caution_list(self) -> tuple[Caution, ...]:
        """Return the cautions as they were noted."""
        return tuple(Caution(**facts) for facts in self.cautions)

    def save(self, folder: Path) -> None:
        """Write run.json atomically."""
        write_text(folder / MANIFEST_NAME, json.dumps(self.model_dump(mode="json"), indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "RunManifest | None":
        """Read run.json of a folder; None only where there is no such file.

        Raises
        ------
        ManifestError
            It exists and cannot be read: what the folder holds is not known then.
        """
        values = read_manifest(folder)
        if values is None:
            return None
        try:
            found = cls.model_validate(values)
        except ValidationError as error:
            wrong = sorted({str(item["loc"][0]) for item in error.errors() if item["loc"]})
            raise manifest_error(folder, f"it has no valid value for {', '.join(wrong)}") from error
        if not isinstance(found.model.get("name"), str):
            raise manifest_error(folder, "it does not name the model")
        if not all(isinstance(item.get("tiles"), int) for item in found.passes):
            raise manifest_error(folder, "it has no number of tiles for each scale pass")
        return found

    def differences(self, other: "RunManifest") -> list[str]:
        """List what differs in another run of this slide; empty if its outputs are the same."""
        if self.digests == other.digests:
            return []
        ours, theirs = _flat(self.settings), _flat(other.settings)
        names = [
            f"{name} ({ours.get(name)} before, {theirs.get(name)} now)"
            for name in sorted(ours.keys() | theirs.keys())
            if ours.get(name) != theirs.get(name) and not name.startswith(_OF_NO_RESULT)
        ]
        if self.model.get("weights_sha256") != other.model.get("weights_sha256"):
            names.append(f"weights of {other.model['name']}")
        if self.wsi_parse != other.wsi_parse:
            names.append(f"version of wsi-parse ({self.wsi_parse} before)")
        return names or ["region of interest"]

    def matches_request(self, settings: RunSettings) -> bool:
        """Return whether this run was made with these resolved settings; the slide is not opened."""

        def compared(settings_dict: dict[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in _flat(settings_dict).items() if not name.startswith(_OF_NO_RESULT)}

        return compared(self.settings) == compared(redacted_settings(settings))

    def is_finished(self, folder: Path, digests: Digests) -> bool:
        """Return whether this run is done with the same settings, and its outputs are unchanged since."""
        return (
            self.state == "done"
            and self.digests == digests
            and bool(self.outputs)
            and not any(self.changed_outputs(folder, self.outputs))
        )

    def changed_outputs(self, folder: Path, names: Iterable[str]) -> Iterator[str]:
        """Yield which of some outputs in a run's folder were changed or removed since the run."""
        return (name for name in names if sha256_of(folder / name) != self.outputs[name])


def manifest_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of run.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **RunManifest.model_json_schema(mode="serialization"),
        "description": "What one run of wsi-parse did.",
        "title": f"{MANIFEST_NAME} of wsi-parse, version {SCHEMA_VERSION}",
    }


# Settings that decide where and how the work is done, and what is kept.
_OF_NO_RESULT = ("compute.", "model.threads", "tiles.block", "export.keep")


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Map nested settings to section.key -> value."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
    return found


def sha256_of(path: Path) -> str | None:
    """Hash a file, or a folder with its contents; None if it cannot be read."""
    try:
        return tree_sha256(path)
    except OSError:
        return None


def versions(settings: RunSettings, reader: str) -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, those of plug-ins among them."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    of_formats = map(EXPORTERS.package_of, settings.export.formats)
    plugins = (READERS.package_of(reader), MODELS.package_of(settings.model.name), *of_formats)
    return found | dict(package.split(" ", 1) for package in plugins if package)
