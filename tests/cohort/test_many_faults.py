"""A cohort of tiny slides of which each has another fault: every one is a row, and the tables come out."""

import csv
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import tifffile

from wsi_parse.geometry import Box
from wsi_parse.synthetic import SyntheticSlide, write_svs_like
from wsi_parse.text import for_csv

pytestmark = [
    pytest.mark.whole,
    pytest.mark.skipif(sys.platform != "linux", reason="pipes, sockets and names of Linux"),
]
SMALL = ("objects.chunk_px=256", "export.overlay_px=0", "export.report=false", "tiles.block=1", "compute.threads=2")
TINY = SyntheticSlide(700, 600, seed=3, tissue=0.7)


@dataclass(frozen=True)
class Fault:
    """One row of the list: its columns, and what the table says of it ("": done)."""

    path: str
    said: str
    columns: dict[str, str] = field(default_factory=dict)


LONG = "n" * 230
FAULTS = {
    "good": Fault("good.svs", ""),
    "torn": Fault("torn.svs", "torn.svs"),
    "text": Fault("text.svs", "text.svs"),
    "empty": Fault("empty.svs", "empty"),
    "pipe": Fault("pipe.svs", "pipe"),
    "socket": Fault("socket.svs", "socket"),
    "dangling": Fault("dangling.svs", "dangling.svs"),
    "loop": Fault("loop.svs", "loop.svs"),
    "unreadable": Fault("unreadable.svs", "ermission denied"),
    "folder": Fault("folder.svs", "contains no slide"),
    "closed": Fault("closed/a.svs", "ermission denied"),
    "long": Fault(f"{LONG}.svs", ""),
    "longer": Fault(f"{'n' * 300}.svs", "File name too long"),
    "zero": Fault("a\0b.svs", "a\\x00b.svs is not the name of a file"),
    "cohort.csv": Fault("good.svs", "that of a table of the cohort", {"mpp": "0.251"}),
    "summary.md": Fault("good.svs", "that of a table of the cohort", {"mpp": "0.252"}),
    "millimetres": Fault("good.svs", "0.00025 looks like millimetres: 0.25 µm?", {"mpp": "0.00025"}),
    "nonsense": Fault("good.svs", "mpp is fine: it must be a number", {"mpp": "fine"}),
    "other_mpp": Fault("good.svs", "--override-mpp", {"mpp": "0.5"}),
    "no_roi": Fault("good.svs", "missing.geojson", {"roi": "missing.geojson"}),
    "outside": Fault("good.svs", "lies outside of the slide", {"roi": "outside.geojson"}),
    "corner": Fault("good.svs", "", {"roi": "corner.geojson"}),
    "no_mpp": Fault("no_mpp.tif", "--mpp"),
    "blank": Fault("blank.svs", ""),
    "deep": Fault("deep.tif", "16"),
    "damaged": Fault("damaged.svs", "damaged.svs"),
    "prompt": Fault("good.svs", "green elephants", {"prompts": "green elephants"}),
    "twice": Fault("same.svs", ""),
    "nested_note": Fault("nested.svs", ""),
    "list_note": Fault("list_note.svs", ""),
    "odd_manifest": Fault("odd.svs", "run.json in odd_manifest cannot be read"),
    "address": Fault("s3://bucket/a.svs", "is an address"),
    "nobody": Fault("~nosuch/x.svs", "there is no user nosuch"),
    "windows": Fault("C:\\data\\a.svs", "is a path of Windows"),
    "=HYPERLINK(1)": Fault("markup.svs", ""),
}
COLUMNS = ("id", "path", "mpp", "roi", "prompts", "note")
NOTE = '=cmd|"/c calc"!A1 <img src=x onerror=alert(1)> [bold]x[/bold] \x1b[31m\u202e'


def make_slides(folder: Path) -> None:
    good = folder / "good.svs"
    write_svs_like(good, TINY)
    whole = good.read_bytes()
    write_svs_like(folder / "blank.svs", SyntheticSlide(700, 600, seed=3, tissue=0.0))
    for name in ("nested", "list_note", "odd", "markup", "unreadable", LONG):
        (folder / f"{name}.svs").write_bytes(whole)
    os.link(good, folder / "same.svs")
    (folder / "torn.svs").write_bytes(whole[: len(whole) // 2])
    (folder / "text.svs").write_text("not a slide")
    (folder / "empty.svs").touch()
    os.mkfifo(folder / "pipe.svs")
    (folder / "dangling.svs").symlink_to("nothing")
    (folder / "loop.svs").symlink_to("loop.svs")
    (folder / "folder.svs").mkdir()
    (folder / "closed").mkdir()
    (folder / "closed" / "a.svs").write_bytes(whole)
    pixels = TINY.pixels(Box(0, 0, 700, 600))
    tifffile.imwrite(folder / "no_mpp.tif", pixels, tile=(256, 256), photometric="rgb")
    tifffile.imwrite(folder / "deep.tif", np.full((600, 700), 900, np.uint16), tile=(256, 256))
    (folder / "damaged.svs").write_bytes(whole)
    with tifffile.TiffFile(folder / "damaged.svs") as tiff:
        offset, count = tiff.pages[0].dataoffsets[4], tiff.pages[0].databytecounts[4]
    with (folder / "damaged.svs").open("r+b") as file:
        file.seek(offset)
        file.write(bytes(count))
    for name, low, high in (("outside", 9000, 9500), ("corner", 560, 595)):
        ring = [[low, low], [high, low], [high, high], [low, high], [low, low]]
        polygon = {"type": "Polygon", "coordinates": [ring]}
        feature = {"type": "Feature", "properties": {}, "geometry": polygon}
        (folder / f"{name}.geojson").write_text(json.dumps(feature))
    (folder / "odd").mkdir()
    # The name is not valid UTF-8: an old file server had another encoding.
    (folder / "odd" / os.fsdecode(b"gr\xf6\xdfe.svs")).write_bytes(whole)
    for path in (folder / "unreadable.svs", folder / "closed"):
        path.chmod(0)


def make_list(path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(
            {"id": name, "path": fault.path, "note": NOTE, **fault.columns} for name, fault in FAULTS.items()
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("faults")
    make_slides(folder)
    make_list(folder / "list.csv")
    with socket.socket(socket.AF_UNIX) as listening:
        before = Path.cwd()
        # The name of a socket may not be long.
        os.chdir(folder)
        listening.bind("socket.svs")
        os.chdir(before)
        yield folder
    (folder / "closed").chmod(0o700)


def run(folder: Path, out: Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command without the rights of the superuser, who may read everything."""
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    sets = [part for setting in SMALL for part in ("--set", setting)]
    sources = [str(folder / "list.csv"), str(folder / "odd")]
    start = [sys.executable, "-m", "wsi_parse.cli.main", "cohort", *sources, "-o", str(out), "-p", "nuclei"]
    return subprocess.run(
        [*drop, *start, "--model", "stain", *sets, *more],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="strict",
        timeout=500,
        env=os.environ | environment,
        check=False,
    )


def prepare(out: Path) -> None:
    """Leave what an earlier call, or somebody else, may have left."""
    notes = out / ".cohort" / "failed"
    notes.mkdir(parents=True)
    (notes / "nested_note.json").write_text("[" * 100_000)
    (notes / "list_note.json").write_text("[]")
    os.mkfifo(notes / "good.json")
    (out / "odd_manifest").mkdir()
    (out / "odd_manifest" / "run.json").write_text("{")


@pytest.mark.parametrize("environment", [{}, {"LC_ALL": "C"}], ids=["here", "C"])
def test_each_fault_is_a_row(folder: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    out = tmp_path / "out"
    prepare(out)
    ended = run(folder, out, **environment)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert not {"\x1b", "\u202e", "\0"} & set(ended.stderr)
    with (out / "cohort.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(FAULTS) + 1 > 20
    found = {row["id"].removeprefix("'"): row for row in rows}
    for name, fault in FAULTS.items():
        row = found.pop(name)
        assert row["state"] == ("failed" if fault.said else "done"), (name, row["error"])
        assert fault.said in row["error"], (name, row["error"])
        assert len(row["error"].splitlines()) <= 1
        assert str(folder) not in row["error"]
        assert "developers" not in row["error"], (name, row["error"])
        assert row["note"].startswith("'=cmd|")
    (odd,) = found.values()
    assert (odd["id"], odd["slide"], odd["state"]) == ("gr__e", r"gr\udcf6\udcdfe.svs", "done"), odd["error"]
    cautioned = {row["id"]: row["cautions"] for row in rows if row["cautions"]}
    assert cautioned["corner"] == "small-region; roi-without-tissue"
    assert cautioned["blank"] == "no-tissue"
    table = pyarrow.parquet.read_table(out / "cohort.parquet")
    assert table.num_rows == len(rows)
    text = (out / "summary.md").read_text(encoding="utf-8")
    assert f"# Cohort of {len(rows)} slides" in text
    assert "<img" not in text.replace("\\<", "")
    assert not {"\x1b", "\u202e", "\0"} & set(text)


def test_cautions_are_in_the_table_and_strict_counts_them(folder: Path, tmp_path: Path) -> None:
    only = ("--only", "corner")
    ended = run(folder, tmp_path / "out", *only)
    assert ended.returncode == 0, ended.stderr
    with (tmp_path / "out" / "cohort.csv").open(newline="", encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["id"] == "corner")
    assert row["cautions"] == "small-region; roi-without-tissue"
    assert "## Cautions" in (tmp_path / "out" / "summary.md").read_text(encoding="utf-8")
    strict = run(folder, tmp_path / "out", *only, "--strict")
    assert strict.returncode == 1
    assert "There are cautions about 1 slide: with --strict, this is exit code 1." in strict.stderr


def test_a_dry_run_says_the_same(folder: Path, tmp_path: Path) -> None:
    ended = run(folder, tmp_path / "out", "--dry-run")
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()
    lines = [line for line in ended.stderr.splitlines() if line.startswith("failed ")]
    answer = run(folder, tmp_path / "out", "--dry-run", "--json")
    assert answer.returncode == 1, answer.stderr
    assert not (tmp_path / "out").exists()
    found = {one["id"]: one["error"] for one in map(json.loads, answer.stdout.splitlines()) if "error" in one}
    # That one lies among the results of an earlier run.
    assert set(found) == {name for name, fault in FAULTS.items() if fault.said} - {"odd_manifest"}
    for name, error in found.items():
        assert FAULTS[name].said in for_csv(error), (name, error)
    assert len(lines) == 21
    assert lines[20].startswith(f"failed {len(found) - 20} more slides: ")
