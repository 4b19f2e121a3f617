"""Whether two versions of wsi-parse write the same results, byte for byte: for changes that must not change any.

    python -m benchmarks.same_outputs --before COMMIT [--after COMMIT] [--only TEXT]

Without --after, the working tree is compared, as it is. Both versions' command lines run on an SVS, a folder of DICOM,
a Leica SCN with bounds and an OME-TIFF, with the models stain and mini, in one thread and in two processes; on the SCN
once more with every renamed setting away from its default. What may differ is in the tables below, and nothing else:
only pictures, which carry words, may differ in 2 % of their pixels. Exit code 1 where results differ.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml
from PIL import Image

from wsi_parse.synthetic import SyntheticSlide, write_leica_scn

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("WSI_PARSE_DATA", ROOT.parent / "shared" / "data")).resolve()

#: Members, measurements and columns of the results: old name -> new name.
RENAMED: dict[str, str] = {}
#: Texts in the headers of the results (as JSON with ", " and ": "): old -> new.
REWORDED: dict[str, str] = {}
#: Members that are not compared, for they follow from names and words alone: the hash of the settings, hash and size of
#: files that hold that hash, the hash of mini's weights (two layers have other names, the numbers are the same), and
#: sentences for people.
UNCOMPARED = ("digest", "sha256", "bytes", "weights_sha256", "limitations", "cautions", "purpose", "summary")
#: What is compared of run.json; the rest is how long it took, and the settings by name.
RUN_FACTS = ("slide", "tissue_mm2", "counts", "unsure", "per_mm2")
#: How long each stage took, on the page of a run, which is not compared.
SECONDS = re.compile(rb"<dd>[\d.,]+ (s|min|h)</dd>")
#: Old name of a setting -> new name, and a value that is not its default.
SETTINGS: dict[str, tuple[str, str]] = {
    "objects.largest_cell_um": ("objects.max_cell_radius_um", "12"),
    "objects.smallest_cell_um2": ("objects.min_cell_area_um2", "15"),
    "objects.smallest_region_um2": ("objects.min_region_area_um2", "1000"),
    "objects.smallest_hole_um2": ("objects.min_hole_area_um2", "50"),
    "objects.seed_distance_um": ("objects.seed_merge_radius_um", "5"),
    "objects.depth_um": ("objects.distance_cap_um", "5"),
    "objects.one_class": ("objects.exclusive_classes", "true"),
    "objects.unsure_below": ("objects.min_class_probability", "0.9"),
    "export.part_mb": ("export.max_part_mb", "100"),
    "export.part_objects": ("export.max_part_objects", "50"),
    "tissue.smallest_um2": ("tissue.min_area_um2", "5000"),
    "tissue.largest_hole_um2": ("tissue.max_hole_area_um2", "5000"),
}
#: Options of the command line that grow nuclei to cells, by the setting that each stands for.
CELLS = {"objects.cell_expansion_um": "--cell-expansion", "objects.cells_um": "--cells"}

MODELS = {
    "stain": ("nuclei",),
    "mini": ("nuclei", "neoplastic cells", "epithelial cells", "inflammatory cells", "connective tissue cells"),
}
EXECUTIONS = {"one thread": ("--workers", "0", "--set", "compute.threads=1"), "two processes": ("--workers", "2")}
SQUARE_PX = [[500, 400], [1400, 400], [1400, 1200], [500, 1200], [500, 400]]
MAX_DIFFERING_SHARE = 0.02
#: Share of the height of a picture that is above its legend, whose lines depend on the words.
ABOVE_LEGEND = 0.85
CONTEXT_BYTES = 60


@dataclass(frozen=True)
class Version:
    """Sources in a folder, and the settings that their command line knows, as section.key."""

    tree: Path
    settings: frozenset[str]

    @classmethod
    def of(cls, tree: Path) -> "Version":
        """Ask the sources in a folder; fails where Python finds the package anywhere else."""
        loaded = Path(_python(tree, "-c", "import wsi_parse; print(wsi_parse.__file__)").strip())
        if not loaded.resolve().is_relative_to(tree.resolve()):
            raise SystemExit(f"Python loads {loaded}, not the sources in {tree}")
        sections = yaml.safe_load(_python(tree, "-m", "wsi_parse.cli.main", "settings"))
        return cls(tree, frozenset(f"{section}.{key}" for section, keys in sections.items() for key in keys))

    def other_settings(self) -> list[str]:
        """Options that set every renamed setting to another value, by the names of this version."""
        chosen = [f"{new if new in self.settings else old}={value}" for old, (new, value) in SETTINGS.items()]
        cells = next(option for setting, option in CELLS.items() if setting in self.settings)
        return [cells, "5", *(word for setting in chosen for word in ("--set", setting))]


@dataclass(frozen=True)
class Configuration:
    """A run that both versions do; with a region of interest come stains, cells, and all renamed settings changed."""

    slide: str
    model: str
    execution: str
    roi: Path | None = None

    def __str__(self) -> str:
        return f"{self.slide}, {self.model}{', all settings' if self.roi else ''}, {self.execution}"

    def compared(self, before: Version, after: Version, slide: Path) -> "Comparison":
        """Run it by both versions, and compare what they write."""
        with tempfile.TemporaryDirectory(prefix="same-outputs-results-") as folder:
            outs = Path(folder, "before"), Path(folder, "after")
            try:
                for version, out in zip((before, after), outs, strict=True):
                    self._run(version, slide, out)
            except subprocess.CalledProcessError as error:
                return Comparison(differences=(f"{error} {error.stderr.strip()[-500:]}",))
            return compare(*outs)

    def _run(self, version: Version, slide: Path, out: Path) -> None:
        prompts = (word for prompt in MODELS[self.model] for word in ("--prompt", prompt))
        options = ["--model", self.model, *prompts, *EXECUTIONS[self.execution]]
        if self.roi:
            options += ["--roi", str(self.roi), "--set", "objects.stains=true", *version.other_settings()]
        _python(version.tree, "-m", "wsi_parse.cli.main", "run", str(slide), "--out", str(out), *options)


def _python(tree: Path, *words: str) -> str:
    """Run Python on the sources in a folder, wherever the package is installed from; its stdout."""
    env = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=True).stdout


@dataclass(frozen=True)
class Wording:
    """What a version calls things, to be told by the names of the version after."""

    names: Mapping[str, str]
    texts: Mapping[str, str]

    def renamed(self, data: bytes) -> bytes:
        """Give members of JSON their new names; all at once, so that names may be swapped."""
        keys = {f"{json.dumps(old)}:".encode(): f"{json.dumps(new)}:".encode() for old, new in self.names.items()}
        pattern = b"|".join(re.escape(key) for key in keys)
        return re.sub(pattern, lambda found: keys[found[0]], data) if keys else data

    def translated(self, text: str | bytes, only: tuple[str, ...] = ()) -> bytes:
        """JSON by the new names and texts, without what is not compared."""
        value = json.loads(text, object_hook=lambda found: {k: v for k, v in found.items() if k not in UNCOMPARED})
        found = json.dumps({name: value[name] for name in only} if only else value, ensure_ascii=False)
        for old, new in self.texts.items():
            found = found.replace(old, new)
        return self.renamed(found.encode())


BEFORE, AFTER = Wording(RENAMED, REWORDED), Wording({}, {})


def contents(path: Path, wording: Wording) -> bytes:
    """What a file of results says, as bytes that are equal where two versions say the same."""
    if path.suffix == ".parquet":
        return b"\n".join(_lines_of_table(path, wording))
    if path.suffix == ".geojson":
        header, _, features = path.read_bytes().partition(b"\n")
        return wording.translated(header + b"]}") + b"\n" + wording.renamed(features)
    if path.suffix == ".json":
        return wording.translated(path.read_bytes(), RUN_FACTS if path.name == "run.json" else ())
    if path.suffix == ".html":
        return SECONDS.sub(b"", path.read_bytes())
    return path.read_bytes()


def _lines_of_table(path: Path, wording: Wording) -> Iterator[bytes]:
    """Metadata, column types and rows; numbers with all their digits, geometry byte by byte."""
    table = pq.read_table(path)
    for name, text in sorted(pq.read_metadata(path).metadata.items()):
        yield name + b" " + wording.translated(text)
    names = [wording.names.get(field.name, field.name) for field in table.schema]
    for name, field in zip(names, table.schema, strict=True):
        yield f"{name} {field.type}{'' if field.nullable else ' not null'}".encode()
    for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        yield json.dumps(dict(zip(names, row, strict=True)), default=bytes.hex, ensure_ascii=False).encode()


def first_difference(old: bytes, new: bytes) -> str | None:
    """Where two texts part, with what stands around it; None where they are equal."""
    if old == new:
        return None
    unequal = (at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other)
    at = next(unequal, min(len(old), len(new)))
    line, around = 1 + old.count(b"\n", 0, at), slice(max(0, at - CONTEXT_BYTES), at + CONTEXT_BYTES)
    before, after = (text[around].decode(errors="replace") for text in (old, new))
    return f"line {line}\n      before: {before!r}\n      after:  {after!r}"


def differing_pixels(old: Path, new: Path) -> float:
    """Return the share of the pixels that differ, without the legend below; 1 if the widths differ."""
    one, other = (np.asarray(Image.open(path).convert("RGBA")) for path in (old, new))
    if one.shape[1] != other.shape[1]:
        return 1.0
    rows = round(ABOVE_LEGEND * min(len(one), len(other)))
    return float((one[:rows] != other[:rows]).any(axis=2).mean())


@dataclass(frozen=True)
class Comparison:
    """What two versions' results of one configuration have in common, and where they part."""

    objects: int = 0
    bytes: int = 0
    notes: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.differences:
            return "\n    ".join(("DIFFERS", *self.differences, *self.notes))
        return ", ".join((f"equal: {self.objects:,} objects, {self.bytes:,} bytes", *self.notes))


def compare(before: Path, after: Path) -> Comparison:
    """Compare two folders of results, file by file."""
    old, new = (_files(folder) for folder in (before, after))
    differences = [f"{name}: only {'before' if name in old else 'after'}" for name in sorted(old.keys() ^ new.keys())]
    notes: list[str] = []
    for name in sorted(old.keys() & new.keys()):
        if name.endswith(".png"):
            if share := differing_pixels(old[name], new[name]):
                where = differences if share > MAX_DIFFERING_SHARE else notes
                where.append(f"{name}: {share:.3%} of the pixels differ")
        elif found := first_difference(contents(old[name], BEFORE), contents(new[name], AFTER)):
            differences.append(f"{name}: {found}")
    runs: list[dict[str, Any]] = [json.loads(path.read_bytes()) for path in new.values() if path.name == "run.json"]
    objects = sum(sum(run["counts"].values()) for run in runs)
    if not objects:
        differences.append("no objects, so nothing is compared")
    return Comparison(objects, sum(path.stat().st_size for path in new.values()), tuple(notes), tuple(differences))


def _files(folder: Path) -> dict[str, Path]:
    """Files of results by their places in a folder; hidden ones are locks."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): path for path in paths}


@contextmanager
def checked_out(commit: str | None, folder: Path) -> Iterator[Version]:
    """A version of the sources, in a worktree while it is needed; None: the working tree."""
    if commit is None:
        yield Version.of(ROOT)
        return
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
    try:
        yield Version.of(folder)
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def slides_in(folder: Path) -> dict[str, Path]:
    """The slides; the one with bounds is painted into a folder."""
    write_leica_scn(folder / "bounds.scn", SyntheticSlide(2048, 1536, seed=4, tissue=0.8))
    return {
        "SVS": DATA / "slides/aperio/CMU-1-Small-Region.svs",
        "DICOM": DATA / "slides/dicom/CMU-1-Small-Region",
        "SCN with bounds": folder / "bounds.scn",
        "OME-TIFF": DATA / "slides/ome/OS-1-detail.ome.tif",
    }


def configurations(slides: Mapping[str, Path], roi: Path) -> list[Configuration]:
    """All that is compared; a square of the SCN with all that was renamed, counted from its bounds."""
    roi.write_text(json.dumps({"type": "Polygon", "coordinates": [SQUARE_PX]}))
    chosen = [Configuration(*names) for names in product(slides, MODELS, EXECUTIONS)]
    return [*chosen, *(Configuration("SCN with bounds", "mini", execution, roi) for execution in EXECUTIONS)]


def main() -> None:
    """Compare two versions; exit code 1 where they write different results."""
    parser = argparse.ArgumentParser(description="Compare what two versions of wsi-parse write.")
    parser.add_argument("--before", required=True, metavar="COMMIT")
    parser.add_argument("--after", metavar="COMMIT", help="without it: the working tree")
    parser.add_argument("--only", default="", metavar="TEXT", help="only configurations that have this in their name")
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="same-outputs-")))
        before, after = (
            stack.enter_context(checked_out(commit, folder / name))
            for name, commit in (("before", asked.before), ("after", asked.after))
        )
        slides = slides_in(folder)
        chosen = [one for one in configurations(slides, folder / "roi.geojson") if asked.only in str(one)]
        equal = 0
        for one in chosen:
            found = one.compared(before, after, slides[one.slide])
            print(f"{one}: {found}", flush=True)
            equal += not found.differences
    print(f"{equal} of {len(chosen)} configurations equal")
    sys.exit(equal < len(chosen) or not chosen)


if __name__ == "__main__":
    main()
