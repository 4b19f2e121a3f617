"""`wsi-parse check` as a person or a script meets it."""

import gzip
import json
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.test_cli import wsi_parse
from tests.qupath.made import HOLE, collection, feature, polygon, saved
from wsi_parse.errors import UsageError
from wsi_parse.prompts import TARGETS
from wsi_parse.qupath.check import check_file
from wsi_parse.qupath.property_breaches import is_colour
from wsi_parse.qupath.repair import repair
from wsi_parse.qupath.repair_properties import colour_of, default_colour

pytestmark = pytest.mark.whole

BAD = collection(
    feature(), feature(number=11, classification={"name": "Tumor", "color": "#c80000"}), feature(number=12)
)
LOST = collection(feature(), feature(polygon([[0, 0], [8, 0], [4, 0], [0, 0]]), number=13))


def test_a_clean_file_is_code_0_and_says_so(tmp_path: Path) -> None:
    printed = wsi_parse("check", saved(tmp_path / "a.geojson", collection(feature()))).stdout
    assert "a.geojson: 1 feature," in printed
    assert "QuPath accepts it" in printed


def test_warnings_alone_are_code_0(tmp_path: Path) -> None:
    printed = wsi_parse("check", saved(tmp_path / "a.geojson", collection(feature() | {"id": "x"}))).stdout
    assert "warning  id-not-uuid: 1 x" in printed


def test_what_is_refused_is_code_1_and_named(tmp_path: Path) -> None:
    result = wsi_parse("check", saved(tmp_path / "a.geojson", BAD), check=1)
    assert "QuPath refuses it" in result.stdout
    assert "refused  class-colour: 1 x" in result.stdout
    assert f"Feature 2 ({feature(number=11)['id']}) has a class without a colour" in result.stdout
    assert "--fix" in result.stdout
    assert str(tmp_path) not in result.stdout


def test_a_feature_within_another_is_named_by_both_places(tmp_path: Path) -> None:
    parent = feature(number=2, childObjects=[feature(number=3), feature(number=4, name=None)])
    result = wsi_parse("check", saved(tmp_path / "a.geojson", collection(feature(), parent)), check=1)
    assert f"Feature 2 within feature 2 ({feature(number=4)['id']}) has a key that is null: name." in result.stdout


def test_at_most_max_examples_are_named(tmp_path: Path) -> None:
    items = [feature(number=number, name=None) for number in range(9)]
    printed = wsi_parse("check", saved(tmp_path / "a.geojson", collection(*items)), "--max-examples", 2, check=1).stdout
    assert printed.count("has a key that is null: name") == 2
    assert "null-key: 9 x" in printed


def test_json_is_one_line_a_file(tmp_path: Path) -> None:
    good, bad = saved(tmp_path / "good.json", [feature()]), saved(tmp_path / "bad.json", BAD)
    cut = saved(tmp_path / "cut.json", json.dumps(BAD)[:-40])
    lines = wsi_parse("check", bad, cut, good, "--json", check=1).stdout.splitlines()
    reported = [json.loads(line) for line in lines]
    assert [item["file"] for item in reported] == ["bad.json", "cut.json", "good.json"]
    assert [item["accepted"] for item in reported] == [False, False, True]
    assert reported[0]["rules"][0]["rule"] == "class-colour"
    assert reported[0]["rules"][0]["examples"][0]["number"] == 2
    assert "is incomplete" in reported[1]["error"]
    assert all("research use only" in item["notice"] for item in reported)


def test_a_file_that_is_none_stops_no_other(tmp_path: Path) -> None:
    result = wsi_parse("check", tmp_path / "missing.json", saved(tmp_path / "good.json", [feature()]), check=1)
    assert "There is no file" in result.stderr
    assert "missing.json. Check the path" in result.stderr
    assert "good.json: 1 feature," in result.stdout
    assert "Traceback" not in result.stderr


def test_nor_does_one_that_is_nested_without_end(tmp_path: Path) -> None:
    geometry = json.dumps(feature()).replace("[[[0, 0]", '[[[0, 0, {"a": ' + "[" * 900 + "]" * 900 + "}]")
    deep = tmp_path / "deep.json"
    deep.write_text(f'{{"type": "FeatureCollection", "features": [{geometry}]}}')
    many = tmp_path / "many.json"
    many.write_text('{"type":"GeometryCollection","geometries":[' * 900 + "]}" * 900)
    huge = saved(tmp_path / "huge.json", [feature(measurements={"a": 10**400}) | {"id": 10**400}])
    good = saved(tmp_path / "good.json", [feature()])
    result = wsi_parse("check", many, deep, huge, good, "--fix", tmp_path / "fixed", check=1)
    assert "good.json: 1 feature," in result.stdout
    assert "huge.json: 1 feature," in result.stdout
    assert "many.json" in result.stderr + result.stdout
    assert "Traceback" not in result.stderr


def test_fix_writes_what_passes(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.geojson", BAD)
    before = source.read_bytes()
    printed = wsi_parse("check", source, "--fix", tmp_path / "b.geojson.gz").stdout
    assert "Written: b.geojson.gz, 3 features; research use only" in printed
    wsi_parse("check", tmp_path / "b.geojson.gz")
    assert source.read_bytes() == before
    assert len(json.loads(gzip.decompress((tmp_path / "b.geojson.gz").read_bytes()))["features"]) == 3


def test_several_are_written_into_a_folder(tmp_path: Path) -> None:
    one, other = saved(tmp_path / "a.geojson", BAD), tmp_path / "b.zip"
    with zipfile.ZipFile(other, "w") as package:
        package.writestr("inside.json", json.dumps(BAD))
    wsi_parse("check", one, other, "--fix", tmp_path / "new" / "fixed")
    assert sorted(path.name for path in (tmp_path / "new" / "fixed").iterdir()) == ["a.geojson", "b.geojson"]
    wsi_parse("check", *(tmp_path / "new" / "fixed").iterdir())


def test_packed_is_what_is_called_so_in_any_letters(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.geojson", BAD)
    wsi_parse("check", source, "--fix", tmp_path / "B.GEOJSON.GZ")
    assert len(json.loads(gzip.decompress((tmp_path / "B.GEOJSON.GZ").read_bytes()))["features"]) == 3
    wsi_parse("check", tmp_path / "B.GEOJSON.GZ")


@pytest.mark.parametrize("name", ["fixed", "fixed.txt", "fixed.gz", "fixed.geo"])
def test_a_place_that_is_neither_file_nor_folder_is_an_error(tmp_path: Path, name: str) -> None:
    source = saved(tmp_path / "a.txt", BAD)
    result = wsi_parse("check", source, "--fix", tmp_path / name, check=2)
    assert f"{name} is not a folder" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    wsi_parse("check", source, "--fix", f"{tmp_path / name}/")
    assert [path.name for path in (tmp_path / name).iterdir()] == ["a.geojson"]
    wsi_parse("check", source, "--fix", tmp_path / name)


def test_several_are_not_written_into_one_file(tmp_path: Path) -> None:
    sources = [saved(tmp_path / name, BAD) for name in ("a.geojson", "b.geojson")]
    result = wsi_parse("check", *sources, "--fix", tmp_path / "c.geojson", check=2)
    assert "c.geojson is one file, but 2 files are checked" in result.stderr


def test_of_a_folder_of_results_the_annotations_are_checked(tmp_path: Path) -> None:
    parts = [f"annotations_0{number}.geojson" for number in (1, 2)]
    for name in (*parts, "tissue.geojson", "annotations_index.json"):
        saved(tmp_path / name, collection(feature()))
    printed = wsi_parse("check", tmp_path, "--json").stdout.splitlines()
    assert [json.loads(line)["file"] for line in printed] == parts
    (tmp_path / "empty").mkdir()
    result = wsi_parse("check", tmp_path / "empty", tmp_path / parts[0], check=1)
    assert "empty is a folder, not a GeoJSON file. Give the GeoJSON files in the folder." in result.stderr
    assert "QuPath accepts it" in result.stdout


def test_what_had_to_be_dropped_is_told_with_code_1(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.geojson", LOST)
    result = wsi_parse("check", source, "--fix", tmp_path / "b.geojson", check=1)
    assert "Dropped: 1" in result.stdout
    assert f"Feature 2 ({feature(number=13)['id']}) has no area" in result.stdout
    reported = json.loads(wsi_parse("check", source, "--fix", tmp_path / "b.geojson", "--json", check=1).stdout)
    assert reported["repaired"]["dropped"] == 1
    assert reported["repaired"]["examples"][0]["rule"] == "no-area"


@pytest.mark.parametrize("target", ["a.geojson", ".", "link.geojson", "../{}/a.geojson"])
def test_an_input_is_never_written_over(tmp_path: Path, target: str) -> None:
    source = saved(tmp_path / "a.geojson", BAD)
    before = source.read_bytes()
    (tmp_path / "link.geojson").symlink_to(source)
    result = wsi_parse("check", source, "--fix", tmp_path / target.format(tmp_path.name), check=2)
    assert "would be overwritten" in result.stderr
    assert source.read_bytes() == before


def test_nor_is_another_input_or_the_same_place_twice(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, other = saved(tmp_path / "a.geojson", BAD), saved(tmp_path / "other" / "a.geojson", BAD)
    assert "overwritten" in wsi_parse("check", one, other, "--fix", tmp_path / "other", check=2).stderr
    assert "Two files" in wsi_parse("check", one, other, "--fix", tmp_path / "new", check=2).stderr
    with pytest.raises(UsageError, match="overwritten"):
        repair(one, one)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.geojson", BAD)
    result = wsi_parse("check", source, "--fix", source / "b.geojson", check=1)
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.geojson", BAD)
    report = check_file(source)
    source.write_text(json.dumps(BAD)[:-40])
    with pytest.raises(UsageError, match="is incomplete"):
        repair(source, tmp_path / "b.geojson", report)
    assert [path.name for path in tmp_path.iterdir()] == ["a.geojson"]


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_a_colour_is_the_same_however_it_is_written(colour: tuple[int, int, int]) -> None:
    red, green, blue = colour
    packed = (255 << 24 | red << 16 | green << 8 | blue) - (1 << 32)
    for form in (packed, f"#{red:02x}{green:02X}{blue:02x}", [part / 255 for part in colour], list(colour)):
        assert colour_of(form) == list(colour)


@given(st.text(max_size=9))
def test_every_class_has_a_colour(name: str) -> None:
    assert is_colour(default_colour(name))
    assert default_colour(name) == default_colour(name)


def test_known_classes_have_theirs() -> None:
    for target in TARGETS:
        assert default_colour(target.class_name) == list(target.colour)
        assert default_colour(f"{target.class_name}: Unsure") == list(target.colour)
    assert default_colour("Necrosis") == [50, 50, 50]
    assert default_colour("Other: 1") == [255, 200, 0]


def test_a_nucleus_that_is_lost_takes_no_cell_with_it(tmp_path: Path) -> None:
    cell = feature(objectType="cell") | {"nucleusGeometry": polygon(HOLE[:2])}
    result = repair(saved(tmp_path / "a.geojson", collection(cell)), tmp_path / "b.geojson")
    assert result.features == 1
    assert "nucleusGeometry" not in json.loads((tmp_path / "b.geojson").read_bytes())["features"][0]


def test_a_file_that_fix_did_not_write_is_never_written_over(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.geojson", BAD)
    for name, content in (("mine.geojson", "mine"), ("run.geojson", json.dumps(collection(feature(), wsi_parse={})))):
        (tmp_path / name).write_text(content)
        result = wsi_parse("check", source, "--fix", tmp_path / name, check=2)
        assert f"{name} exists, and is not a copy that --fix wrote" in result.stderr
        assert (tmp_path / name).read_text() == content
        with pytest.raises(UsageError, match="exists"):
            repair(source, tmp_path / name)
    link = tmp_path / "hard.geojson"
    link.hardlink_to(source)
    assert "would be overwritten" in wsi_parse("check", source, "--fix", link, check=2).stderr


def test_pipes_and_impossible_names_stop_no_other(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.geojson")
    bad = [tmp_path / "pipe.geojson", Path("/dev/zero"), tmp_path / ("n" * 300)]
    result = wsi_parse("check", *bad, saved(tmp_path / "good.json", [feature()]), check=1)
    assert len(result.stderr.splitlines()) == 3
    assert "Traceback" not in result.stderr
    assert "good.json: 1 feature," in result.stdout


def test_names_and_ids_from_outside_do_not_reach_the_terminal(tmp_path: Path) -> None:
    odd = "\x1b[31m\u202e\udc00\0"
    items = [feature(number=1, classification=f"{odd}\n") | {"id": odd * 1000}, feature(number=2, objectType=odd)]
    printed = wsi_parse("check", saved(tmp_path / "a.geojson", collection(*items)), check=1).stdout
    assert not {"\x1b", "\u202e", "\0"} & set(printed)
    assert "\\x1b[31m" in printed
    assert max(map(len, printed.splitlines())) < 1000


def test_of_many_features_that_cannot_be_repaired_the_first_are_kept(tmp_path: Path) -> None:
    bad = [feature({"type": "Circle"}, number=number) for number in range(1_500)]
    result = repair(saved(tmp_path / "a.geojson", collection(*bad)), tmp_path / "b.geojson")
    assert (result.features, result.dropped_count, len(result.dropped)) == (0, 1_500, 1_000)
