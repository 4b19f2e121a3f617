"""The command: files and folders paired, tables, JSON, CSV and picture, exit codes."""

import csv
import gzip
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

from tests.cli.in_process import Ended, caller
from tests.cli.test_cli import wsi_parse
from tests.evaluate.made import annotations
from tests.shared import shared_data_root
from tests.small_slides import write_slide
from wsi_parse.cli.evaluate import Outputs, compare_files
from wsi_parse.errors import UsageError
from wsi_parse.evaluate import EvaluationOptions, compare
from wsi_parse.evaluate.inputs import file_pairs, read_parts
from wsi_parse.evaluate.pairing import ResultName, pair_results
from wsi_parse.pictures.differences import _COLOURS, draw_disagreements

pytestmark = pytest.mark.whole

NOTICE = "research use only"


def colours_of(path: Path) -> set[Any]:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert max(picture.size) <= 3100
        # Without the legend, which has them all.
        drawn = picture.crop((0, 0, picture.width, picture.height * 7 // 8))
        return {colour for _, colour in drawn.getcolors(1 << 24) or ()}


def write(
    path: Path, shapes: Any, classes: str | list[str] = "Tumor", ids: list[str] | None = None, **more: Any
) -> Path:
    names = [classes] * len(shapes) if isinstance(classes, str) else classes
    features = [
        {
            "type": "Feature",
            **({"id": ids[number]} if ids else {}),
            "geometry": json.loads(shapely.to_geojson(shape)),
            "properties": {"objectType": "detection", "classification": {"name": name, "color": [1, 2, 3]}},
        }
        for number, (shape, name) in enumerate(zip(shapes, names, strict=True))
    ]
    text = json.dumps({"type": "FeatureCollection", "features": features, **more})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


BOXES = shapely.box(np.arange(6) * 40.0, 0, np.arange(6) * 40.0 + 20, 20)


class TestPairs:
    def test_two_files_are_a_pair_whatever_their_names(self, tmp_path: Path) -> None:
        pairs, alone = file_pairs(write(tmp_path / "a.geojson", BOXES), write(tmp_path / "b.json", BOXES))
        assert ([pair.name for pair in pairs], alone) == (["b"], [])

    def test_folders_are_paired_by_stem_and_the_rest_is_named(self, tmp_path: Path) -> None:
        for name in ("one.geojson", "two.geojson.gz", "three.geojson", "notes.txt"):
            write(tmp_path / "truth" / name, BOXES)
        write(tmp_path / "pred" / "one.geojson.gz", BOXES)
        write(tmp_path / "pred" / "two" / "annotations.geojson", BOXES)
        write(tmp_path / "pred" / "four" / "annotations.geojson", BOXES)
        write(tmp_path / "pred" / "no run" / "other.geojson", BOXES)
        pairs, alone = file_pairs(tmp_path / "truth", tmp_path / "pred")
        assert [pair.name for pair in pairs] == ["one", "two"]
        assert sorted(line.split(" has")[0] for line in alone) == [
            "annotations.geojson of the prediction",
            "three.geojson of the truth",
        ]
        assert all(len(side) == 6 for pair in pairs for side in pair.read())

    def test_parts_of_a_run_are_those_of_its_manifest(self, tmp_path: Path) -> None:
        run = tmp_path / "a slide"
        write(run / "annotations-1.geojson", BOXES[:4], wsi_parse={"frame": "qupath"})
        write(run / "annotations-2.geojson", BOXES[4:])
        write(run / "annotations-old.geojson", BOXES)
        write(run / "tissue.geojson", BOXES)
        outputs = {
            "annotations-1.geojson": "",
            "annotations-2.geojson": "",
            "objects.parquet": "",
            "tissue.geojson": "",
        }
        (run / "run.json").write_text(json.dumps({"outputs": outputs}))
        (pair,), alone = file_pairs(write(tmp_path / "truth.geojson", BOXES), run)
        assert not alone
        assert pair.name == "a slide"
        whole = read_parts(pair.pred)
        assert len(whole) == 6
        assert whole.provenance == {"frame": "qupath"}

    def test_corrections_from_qupath_find_their_runs(self, tmp_path: Path) -> None:
        """What export_corrections.groovy and a run call their files, side by side."""
        runs = {"CMU-1-Small-Region": "CMU-1-Small-Region.svs", "a-svs": "a.svs", "a-ndpi": "a.ndpi", "x": "x.scn"}
        for folder, slide in {**runs, "odd": "odd:name.tif", "other": "other.ome.tif", "patient.2": "p"}.items():
            write(tmp_path / "out" / folder / "annotations.geojson.gz", BOXES, wsi_parse={"slide": {"name": slide}})
        # The manifest knows it where the file does not.
        write(tmp_path / "out" / "y-tif" / "annotations.geojson", BOXES)
        reported = {"outputs": {"annotations.geojson": ""}, "slide": {"name": "y.tif"}}
        (tmp_path / "out" / "y-tif" / "run.json").write_text(json.dumps(reported))
        partner = {
            "CMU-1-Small-Region.svs": "CMU-1-Small-Region", "a.ndpi": "a-ndpi", "a.svs": "a-svs", "odd_name.tif": "odd",
            "other.svs": "other", "patient.1": None, "x.scn - Series 1": "x", "y.tif": "y-tif",
        }  # fmt: skip
        for image in partner:
            write(tmp_path / "corrected" / f"{image}.geojson", BOXES)
        pairs, alone = file_pairs(tmp_path / "corrected", tmp_path / "out")
        found = {pair.truth[0].name.removesuffix(".geojson"): pair.pred[0].parent.name for pair in pairs}
        assert found == {image: folder for image, folder in partner.items() if folder}
        assert [pair.name for pair in pairs] == list(found.values())
        assert len(alone) == 2
        assert "patient.1.geojson of the truth" in alone[0]
        assert "'patient.2'" in alone[1]

    @pytest.mark.parametrize(
        ("images", "runs", "words"),
        [
            (["a"], {"a-svs": "a.svs", "a-ndpi": "a.ndpi"}, r"a could belong to several results.*: a-ndpi, a-svs\."),
            (
                ["x.scn - Series 1", "x.scn - Series 2"],
                {"x": "x.scn"},
                r"x could.*: x.scn - Series 1, x.scn - Series 2",
            ),
            (["a.svs"], {"a-svs-1f2e3d": "a.svs", "a-svs-4f5e6d": "a.svs"}, "a-svs-1f2e3d, a-svs-4f5e6d"),
        ],
    )
    def test_what_could_belong_to_several_is_refused(
        self, images: list[str], runs: dict[str, str], words: str, tmp_path: Path
    ) -> None:
        for image in images:
            write(tmp_path / "corrected" / f"{image}.geojson", BOXES)
        for folder, slide in runs.items():
            write(tmp_path / "out" / folder / "annotations.geojson", BOXES, wsi_parse={"slide": {"name": slide}})
        with pytest.raises(UsageError, match=words):
            file_pairs(tmp_path / "corrected", tmp_path / "out")

    def test_a_run_without_geojson_is_named_and_other_files_are_no_results(self, tmp_path: Path) -> None:
        run = tmp_path / "out" / "bare"
        write(run / "tissue.geojson", BOXES)
        (run / "run.json").write_text(json.dumps({"state": "done", "outputs": {"objects.parquet": ""}}))
        truth = write(tmp_path / "truth" / "one.geojson", BOXES)
        for pred in (run, run.parent):
            with pytest.raises(UsageError, match="bare was written without geojson"):
                file_pairs(truth, pred)
        write(tmp_path / "out" / "one" / "annotations.geojson", BOXES)
        (pair,), alone = file_pairs(truth.parent, run.parent)
        assert pair.name == "one"
        assert len(alone) == 1
        assert "bare was written without geojson" in alone[0]
        for side, names in (("truth", ("notes.json",)), ("flat", ("annotations_index.json", "run2.json"))):
            for name in names:
                (tmp_path / side).mkdir(exist_ok=True)
                (tmp_path / side / name).write_text('{"remarks": ["stain is pale"]}')
        for name in ("one.geojson", "tissue.geojson", "tissue_array.svs.geojson"):
            write(tmp_path / "flat" / name, BOXES)
        _, alone = file_pairs(truth.parent, tmp_path / "flat")
        assert len(alone) == 1
        assert "tissue_array.svs.geojson of the prediction" in alone[0]

    def test_nothing_to_compare_is_refused(self, tmp_path: Path) -> None:
        there = write(tmp_path / "truth" / "one.geojson", BOXES).parent
        (tmp_path / "empty").mkdir()
        for other, words in ((tmp_path / "empty", "no GeoJSON"), (tmp_path / "not there", "not there")):
            with pytest.raises(UsageError, match=words):
                file_pairs(there, other)
        write(tmp_path / "pred" / "other.geojson", BOXES)
        with pytest.raises(UsageError, match=r"other.*one.*Give files that belong together the same name"):
            file_pairs(there, tmp_path / "pred")
        write(there / "one.geojson.gz", BOXES)
        with pytest.raises(UsageError, match="twice"):
            file_pairs(there, there)


class TestCommand:
    @pytest.fixture
    def files(self, tmp_path: Path) -> tuple[Path, Path]:
        names = [f"00000000-0000-0000-0000-00000000000{number}" for number in range(6)]
        truth = write(tmp_path / "truth.geojson", BOXES[:5], ["Tumor"] * 3 + ["Stroma"] * 2, names[:5])
        pred = write(tmp_path / "pred.geojson", BOXES[1:], ["Tumor"] * 3 + ["Stroma"] * 2, names[1:])
        return truth, pred

    def test_writes_all_it_says(self, files: tuple[Path, Path], tmp_path: Path) -> None:
        out = [tmp_path / name for name in ("told.json", "told.csv", "told.png")]
        result = wsi_parse(
            "evaluate", "--truth", files[0], "--pred", files[1], "--mpp", 0.5,
            "--out-json", out[0], "--out-csv", out[1], "--overlay", out[2],
        )  # fmt: skip
        printed = " ".join(result.stdout.split())
        assert (
            "Of 5 predicted objects, the reviewer kept 3, redrew 0, reclassified 1 and deleted 1, and added 1."
            in printed
        )
        assert "Missed 1 · extra 1 · other class 1" in printed
        assert "Stroma → Tumor: 1" in printed
        assert NOTICE in printed
        reported = json.loads(out[0].read_text())
        assert reported["all"]["f1"] == 0.8
        assert reported["classes"]["Tumor"]["matched"] == 2
        assert NOTICE in reported["notice"]
        rows = {row["class"]: row for row in csv.DictReader(out[1].read_text().splitlines())}
        assert set(rows) == {"Tumor", "Stroma", "(all objects)"}
        assert float(rows["Stroma"]["truth_area_um2"]) == 2 * 100
        assert all(NOTICE in row["notice"] for row in rows.values())
        assert _COLOURS["other class"] in colours_of(out[2])
        assert not any(str(tmp_path).encode() in path.read_bytes() for path in out)

    def test_a_page_with_the_differences_on_tissue_whatever_is_wrong_with_the_slide(
        self, files: tuple[Path, Path], tmp_path: Path
    ) -> None:
        """A slide of something else costs the tissue under the picture, not the figures."""
        (tmp_path / "slides").mkdir()
        slide = write_slide(tmp_path / "slides" / "pred.svs", np.full((300, 300, 3), (200, 90, 160), np.uint8))
        pictures = []
        for number, given in enumerate((slide, tmp_path / "slides", tmp_path)):
            picture, page = tmp_path / f"d{number}.png", tmp_path / f"d{number}.html"
            result = wsi_parse(
                "evaluate", "--truth", files[0], "--pred", files[1], "--mpp", 0.5,
                "--overlay", picture, "--slides", given, "--out-html", page,
            )  # fmt: skip
            assert "reviewer kept 3" in result.stdout
            assert ("The picture is without tissue" in result.stdout) == (given == tmp_path)
            assert page.stat().st_size > 10_000
            with Image.open(picture) as opened:
                pictures.append(np.asarray(opened.convert("RGB")).astype(int))
        pink = [float((np.ptp(one, axis=2) > 12).mean()) for one in pictures]
        assert pink[0] > pink[2] + 0.2
        assert pink[1] == pink[0]

    def test_json_is_what_the_file_holds(self, files: tuple[Path, Path], tmp_path: Path) -> None:
        out = tmp_path / "figures.json"
        result = wsi_parse("evaluate", "--truth", files[0], "--pred", files[1], "--json", "--out-json", out)
        assert json.loads(result.stdout) == json.loads(out.read_text())

    def test_folders_are_summed_and_what_fails_stops_nothing(self, tmp_path: Path) -> None:
        for side, shapes in (("truth", BOXES), ("pred", BOXES[:3])):
            write(tmp_path / side / "one.geojson", shapes)
            write(tmp_path / side / "two.geojson.gz", shapes)
        out = [
            "--out-json",
            tmp_path / "told.json",
            "--out-csv",
            tmp_path / "told.csv",
            "--overlay",
            tmp_path / "told.png",
        ]
        printed = wsi_parse("evaluate", "--truth", tmp_path / "truth", "--pred", tmp_path / "pred", *out).stdout
        pictures = f"{tmp_path / 'told-one.png'}, {tmp_path / 'told-two.png'}"
        assert f"→ {tmp_path / 'told.json'}, {tmp_path / 'told.csv'}, {pictures}  (" in printed
        reported = json.loads((tmp_path / "told.json").read_text())
        assert [slide["name"] for slide in reported["slides"]] == ["one", "two"]
        assert (reported["sum"]["all"]["truth"], reported["sum"]["all"]["matched"]) == (12, 6)
        assert len(list(csv.DictReader((tmp_path / "told.csv").read_text().splitlines()))) == 6
        assert sorted(path.name for path in tmp_path.glob("*.png")) == ["told-one.png", "told-two.png"]
        (tmp_path / "truth" / "two.geojson.gz").write_bytes(b"no gzip")
        write(tmp_path / "truth" / "three.geojson", BOXES)
        result = wsi_parse("evaluate", "--truth", tmp_path / "truth", "--pred", tmp_path / "pred", *out, check=1)
        assert "two: two.geojson.gz cannot be read" in result.stderr
        assert "three.geojson of the truth has no partner" in result.stderr
        assert json.loads((tmp_path / "told.json").read_text())["all"]["matched"] == 3

    def test_a_wrong_call_is_one_line(self, files: tuple[Path, Path], tmp_path: Path) -> None:
        for more, words in (
            (["--objects", "organs"], "Use one of: all"),
            (["--roi-class", "x"], "no annotation of class"),
            (["--overlay", tmp_path / "a.jpg"], "ends in .png"),
        ):
            result = wsi_parse("evaluate", "--truth", files[0], "--pred", files[1], *more, check=2)
            assert words in result.stderr
            assert result.stderr.count("\n") == 1

    def test_what_cannot_be_written_is_said_before_the_work(self, files: tuple[Path, Path], tmp_path: Path) -> None:
        nowhere = tmp_path / "no folder" / "e"
        for place, words in ((nowhere, "No such file"), (tmp_path, "is a folder")):
            for turn in range(3):
                out = [place if number == turn else None for number in range(3)]
                with pytest.raises(UsageError, match=words):
                    compare_files(tmp_path / "not looked for", files[1], EvaluationOptions(), Outputs(*out))
        result = wsi_parse("evaluate", "--truth", files[0], "--pred", files[1], "--out-json", nowhere, check=2)
        assert result.stderr.count("\n") == 1
        assert not result.stdout
        assert sorted(path.name for path in tmp_path.iterdir()) == ["pred.geojson", "truth.geojson"]

    def test_nothing_compared_is_no_perfect_score(self, files: tuple[Path, Path], tmp_path: Path) -> None:
        out = [
            "--out-json",
            tmp_path / "told.json",
            "--out-csv",
            tmp_path / "told.csv",
            "--overlay",
            tmp_path / "told.png",
        ]
        result = wsi_parse("evaluate", "--truth", files[0], "--pred", files[1], "--objects", "regions", *out, check=1)
        assert "No file has objects to compare, so nothing was compared" in result.stderr
        assert "Neither file has objects to compare" in result.stdout
        assert "1.000" not in result.stdout
        assert not list(tmp_path.glob("told*"))
        # Of several slides one may be empty on both sides.
        for side in ("truth", "pred"):
            write(tmp_path / side / "one.geojson", BOXES)
            write(tmp_path / side / "two.geojson", BOXES[:0])
        result = wsi_parse("evaluate", "--truth", tmp_path / "truth", "--pred", tmp_path / "pred", *out)
        assert json.loads((tmp_path / "told.json").read_text())["sum"]["all"]["matched"] == 6
        assert "Neither file has objects to compare" in result.stdout


Caller = Callable[..., Ended]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Caller:
    return caller(monkeypatch, capsys)


class TestGates:
    """Nothing that is read or that somebody else wrote is replaced; nothing is opened that is no file."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> dict[str, Path]:
        return {name: write(tmp_path / f"{name}.geojson", BOXES) for name in ("truth", "pred", "roi")}

    @pytest.mark.parametrize("option", ["--out-json", "--out-csv", "--overlay"])
    @pytest.mark.parametrize("name", ["truth", "pred", "roi"])
    def test_an_input_is_no_output(self, call: Caller, files: dict[str, Path], option: str, name: str) -> None:
        before = {path: path.read_bytes() for path in files.values()}
        inputs = [part for key, path in files.items() for part in (f"--{key}", path)]
        for path in (files[name], files[name].with_name(f"{name}.GEOJSON")):
            result = call("evaluate", *inputs, option, path)
            assert result.code == 2
            assert option in result.err
            assert f"--{name}" in result.err
        assert {path: path.read_bytes() for path in files.values()} == before
        assert len(list(files[name].parent.iterdir())) == 3

    def test_two_outputs_have_two_names(self, call: Caller, files: dict[str, Path], tmp_path: Path) -> None:
        same = ("--out-json", tmp_path / "a", "--out-csv", tmp_path / "A")
        result = call("evaluate", "--truth", files["truth"], "--pred", files["pred"], *same)
        assert result.code == 2
        assert "--out-csv and --out-json name the same file" in result.err

    def test_what_somebody_else_wrote_is_kept(self, call: Caller, files: dict[str, Path], tmp_path: Path) -> None:
        for name in ("a.json", "a.csv", "a.png"):
            (tmp_path / name).write_text("mine")
        out = ("--out-json", tmp_path / "a.json", "--out-csv", tmp_path / "a.csv", "--overlay", tmp_path / "a.png")
        both = ("--truth", files["truth"], "--pred", files["pred"])
        result = call("evaluate", *both, *out)
        kept = sorted(path.name for path in tmp_path.glob("*.edited-*"))
        assert [name.partition(".")[2].rpartition(".")[2] for name in kept] == ["csv", "json", "png"]
        assert all((tmp_path / name).read_text() == "mine" and name in result.err for name in kept)
        assert NOTICE in (tmp_path / "a.json").read_text()
        call("evaluate", *both, *out)
        assert len(list(tmp_path.glob("*.edited-*"))) == 3, "our own results are replaced"

    def test_an_output_of_a_run_is_no_output(self, call: Caller, files: dict[str, Path], tmp_path: Path) -> None:
        run = tmp_path / "run"
        write(run / "annotations.geojson", BOXES)
        (run / "objects.csv").write_text(NOTICE)
        (run / "run.json").write_text(json.dumps({"outputs": {"annotations.geojson": "", "objects.csv": ""}}))
        for name in ("run.json", "objects.csv", "annotations.geojson"):
            out = ("--out-csv", run / name)
            result = call("evaluate", "--truth", files["truth"], "--pred", run, *out)
            assert result.code == 2
            assert name in result.err

    def test_pipes_and_impossible_names_are_refused(self, call: Caller, files: dict[str, Path], tmp_path: Path) -> None:
        pipe = tmp_path / "pipe.geojson"
        os.mkfifo(pipe)
        for path in (pipe, Path("/dev/zero"), tmp_path / ("n" * 300), tmp_path / "none.geojson"):
            for inputs in (
                ("--truth", path, "--pred", files["pred"]),
                ("--truth", files["truth"], "--pred", path),
                ("--truth", files["truth"], "--pred", files["pred"], "--roi", path),
            ):
                result = call("evaluate", *inputs)
                assert result.code == 2
                assert result.err.count("\n") == 1
                assert "Traceback" not in result.err

    def test_only_damaged_coordinates_are_an_error(self, call: Caller, files: dict[str, Path], tmp_path: Path) -> None:
        damaged = tmp_path / "damaged.geojson"
        text = files["truth"].read_text().replace(", 0.0]", ', "x"]')
        damaged.write_text(text)
        for inputs in (
            ("--truth", damaged, "--pred", files["pred"]),
            ("--truth", files["truth"], "--pred", damaged),
            ("--truth", files["truth"], "--pred", files["pred"], "--roi", damaged),
        ):
            assert "damaged coordinates" in call("evaluate", *inputs).err

    def test_a_narrow_screen_shortens_names_but_no_numbers(
        self, call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shapes = shapely.box(np.arange(1050) * 40.0, 0, np.arange(1050) * 40.0 + 20, 20)
        names = [f"Tumour-infiltrating lymphocytes: {kind}" for kind in ("Positive", "Negative")]
        truth = write(tmp_path / "t.geojson", shapes, names[0])
        pred = write(tmp_path / "p.geojson", shapes[:105], names[1])
        for columns in (80, 30):
            monkeypatch.setenv("COLUMNS", str(columns))
            lines = call("evaluate", "--truth", truth, "--pred", pred).out.splitlines()
            tables = [line for line in lines if "\u2502" in line]
            assert [line.split("\u2502")[1].strip() for line in tables[:3]] == ["0", "1,050", "1,050"]
            assert [line.split("\u2502")[2].strip() for line in tables[:3]] == ["105", "0", "105"]
            assert all("\u2026" not in cell for line in tables for cell in line.split("\u2502")[1:])
            cut = [line.split("\u2502")[0].strip() for line in tables[:2]]
            assert [name.startswith("Tumo") for name in cut] == [True, True]
            assert [name[-5:] for name in cut] == ["ative", "itive"]
            assert columns < 80 or max(map(len, tables)) <= 80

    def test_names_from_outside_do_not_reach_the_terminal(self, call: Caller, tmp_path: Path) -> None:
        name = "\x1b[31m\u202eX\udc00\0"
        both = [write(tmp_path / f"{which}.geojson", BOXES, name) for which in ("t", "p")]
        result = call("evaluate", "--truth", both[0], "--pred", both[1], "--out-csv", tmp_path / "a.csv")
        assert "\\x1b[31m\\u202eX" in result.out
        assert not {"\x1b", "\u202e", "\0"} & set(result.out)
        assert not {"\x1b", "\u202e", "\0"} & set((tmp_path / "a.csv").read_text())

    def test_many_classes_are_a_few_lines(self, call: Caller, tmp_path: Path) -> None:
        shapes = shapely.box(np.arange(900) * 40.0, 0, np.arange(900) * 40.0 + 20, 20)
        for ending, limit in (("", 80), ("*", 20)):
            names = [f"C{number}{ending}" for number in range(900)]
            path = write(tmp_path / "a.geojson", shapes, names)
            result = call("evaluate", "--truth", path, "--pred", path, "--mpp", 1)
            assert result.code == (1 if ending else 0)
            assert len(result.out.splitlines()) < 2 * limit
        write(path, np.concatenate([shapes, shapes]), [f"C{number}" for number in range(1800)])
        result = call("evaluate", "--truth", path, "--pred", path)
        assert result.code == 2
        assert "1,800 classes" in result.err

    def test_folders_of_thousands_are_paired_in_little_time(self) -> None:
        truths = [ResultName(f"s{number}.svs") for number in range(20_000)]
        preds = [ResultName(f"s{number}-svs", f"s{number}.svs") for number in range(20_000)]
        assert len(pair_results(truths, preds)) == 20_000
        with pytest.raises(UsageError, match="could belong to several") as caught:
            pair_results([ResultName("a")], [ResultName(f"a-{number}", "a") for number in range(20_000)])
        assert len(str(caught.value)) < 300


class TestCorrections:
    """A reviewer saved over the annotations of a run, and the slide was run again."""

    def run_of(self, folder: Path, edited: dict[str, Any], names: tuple[str, ...] = ("annotations.geojson",)) -> Path:
        own = [write(folder / name, BOXES[:3], "Tumor", [f"{n}" for n in range(3)]) for name in names]
        outputs = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in own}
        (folder / "run.json").write_text(json.dumps({"outputs": outputs, "slide": {"name": "a.svs"}}))
        for name, shapes in edited.items():
            write(folder / name, shapes, "Tumor", [f"{n}" for n in range(len(shapes))])
        return folder

    def test_the_newest_are_found(self, call: Caller, tmp_path: Path) -> None:
        run = self.run_of(
            tmp_path / "run",
            {
                "annotations.edited-2026-11-26.geojson": BOXES[:5],
                "annotations.edited-2026-11-27.geojson": BOXES[:1],
                "annotations.edited-2026-11-27-2.geojson.gz": BOXES[:2],
                "annotations.edited-2026-11-27-10.geojson": BOXES[:4],
                "annotations.edited-soon.geojson": BOXES,
            },
        )
        result = call("evaluate", "--pred", run)
        assert "The corrections in annotations.edited-2026-11-27-10.geojson are the truth." in result.out
        assert "the reviewer kept 3, redrew 0, reclassified 0 and deleted 0, and added 1." in result.out
        (pair,), _ = file_pairs(run, run)
        assert pair.truth[0].name == "annotations.edited-2026-11-27-10.geojson"
        assert [path.name for path in pair.pred] == ["annotations.geojson"]
        # Without a manifest the prediction is still what the run wrote.
        (run / "run.json").unlink()
        (run / "annotations.edited-soon.geojson").unlink()
        (pair,), _ = file_pairs(None, run)
        assert [path.name for path in pair.pred] == ["annotations.geojson"]

    def test_of_parts_the_others_count_as_they_are(self, tmp_path: Path) -> None:
        names = ("annotations_01.geojson", "annotations_02.geojson")
        run = self.run_of(tmp_path / "run", {"annotations_02.edited-2026-11-27.geojson": BOXES[:4]}, names)
        (pair,), _ = file_pairs(None, run)
        assert [path.name for path in pair.truth] == [names[0], "annotations_02.edited-2026-11-27.geojson"]
        run = self.run_of(tmp_path / "one", {"annotations_02.edited-2026-11-27.geojson": BOXES[:4]})
        (pair,), _ = file_pairs(None, run)
        assert [path.name for path in pair.truth] == ["annotations_02.edited-2026-11-27.geojson"]

    def test_of_many_runs_those_with_corrections_are_compared(self, tmp_path: Path) -> None:
        self.run_of(tmp_path / "one", {"annotations.edited-2026-11-27.geojson": BOXES[:4]})
        self.run_of(tmp_path / "two", {})
        pairs, problems = file_pairs(None, tmp_path)
        assert ([pair.name for pair in pairs], problems) == (["one"], [])

    def test_without_corrections_it_is_said_where_they_are_looked_for(self, call: Caller, tmp_path: Path) -> None:
        run = self.run_of(tmp_path / "run", {})
        assert "holds no corrected annotations" in call("evaluate", "--pred", run).err
        write(run / "annotations.geojson", BOXES)
        result = call("evaluate", "--pred", run)
        assert result.code == 2
        assert "were changed since the run" in result.err
        assert "Run the slide again" in result.err


class TestPicture:
    def test_each_fate_has_its_colour_and_the_page_its_limit(self, tmp_path: Path) -> None:
        ids = [str(number) for number in range(6)]
        redrawn = shapely.box(40, 0, 60, 16)
        truth = annotations([BOXES[0], redrawn, *BOXES[2:5]], ["Tumor"] * 5, ids[:5])
        pred = annotations(
            [*BOXES[:3], BOXES[4], BOXES[5]], ["Tumor", "Tumor", "Stroma", "Tumor", "Tumor"], [*ids[:3], *ids[4:]]
        )
        draw_disagreements(compare(truth, pred, EvaluationOptions(mpp=0.25)), tmp_path / "a.png")
        assert set(_COLOURS.values()) <= colours_of(tmp_path / "a.png")

    @pytest.mark.parametrize("count", [0, 1, 40_000])
    def test_any_number_of_objects_is_drawn(self, count: int, tmp_path: Path) -> None:
        left, top = np.arange(count) % 200 * 30.0, np.arange(count) // 200 * 900.0
        shapes = shapely.box(left, top, left + 9, top + 9)
        draw_disagreements(compare(annotations(shapes), annotations(shapes[::2])), tmp_path / "a.png")
        drawn = colours_of(tmp_path / "a.png")
        assert (_COLOURS["agreed"] in drawn) == (count > 0)
        assert (_COLOURS["missed"] in drawn) == (count > 1)

    def test_of_a_real_export(self, tmp_path: Path) -> None:
        path = shared_data_root() / "annotations" / "training_set_primary_roi_004_nuclei.geojson"
        draw_disagreements(compare(path, path), tmp_path / "a.png")
        assert _COLOURS["agreed"] in colours_of(tmp_path / "a.png")
