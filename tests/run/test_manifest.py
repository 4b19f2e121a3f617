"""run.json of other versions, and what cannot be read: never taken for no manifest."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from tests.cohort.test_run import run as run_all
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.cli.main import app
from wsi_parse.errors import ManifestError, UsageError
from wsi_parse.evaluate.inputs import file_pairs
from wsi_parse.run.digests import Digests
from wsi_parse.run.manifest import RunManifest, manifest_schema
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings

ROOT = Path(__file__).parents[2]
FACTS: dict[str, Any] = {
    "schema_version": 2,
    "wsi_parse": "1",
    "state": "done",
    "digests": {"predict": "p", "objects": "b", "outputs": "u"},
    "slide": {"fingerprint": "f", "name": "other.svs"},
    "settings": {},
    "model": {"name": "stain"},
    "prompts": [],
    "passes": [{"tiles": 3}],
}
UNREADABLE = {
    "not JSON": "{",
    "torn": json.dumps(FACTS)[:-20],
    "empty": "",
    "a list": "[]",
    "nested": "[" * 100_000,
    "bytes": "\x00\x01",
    "wrong type": json.dumps(FACTS | {"counts": [1]}),
    "field gone": json.dumps({key: value for key, value in FACTS.items() if key != "slide"}),
    "no model": json.dumps(FACTS | {"model": {}}),
    "no tiles": json.dumps(FACTS | {"passes": [{}]}),
    "number as text": json.dumps(FACTS | {"schema_version": "1"}),
    "number zero": json.dumps(FACTS | {"schema_version": 0}),
    "newer": json.dumps({"schema_version": 3, "what": "differs"}),
}


def test_the_number_of_the_form_is_written_first(tmp_path: Path) -> None:
    RunManifest.model_validate(FACTS).save(tmp_path)
    values = json.loads((tmp_path / "run.json").read_text())
    assert next(iter(values)) == "schema_version"
    assert values["schema_version"] == 2
    assert type(values["schema_version"]) is int


def test_what_another_version_adds_is_ignored_and_not_kept(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(FACTS | {"mood": "good"}))
    found = RunManifest.load(tmp_path)
    assert found is not None
    assert found.slide["name"] == "other.svs"
    found.save(tmp_path)
    assert "mood" not in (tmp_path / "run.json").read_text()


def test_a_manifest_of_the_first_form_opens_and_fits_no_run(tmp_path: Path) -> None:
    first = {key: value for key, value in FACTS.items() if key != "digests"} | {"schema_version": 1, "digest": "d"}
    (tmp_path / "run.json").write_text(json.dumps(first))
    found = RunManifest.load(tmp_path)
    assert found is not None
    assert found.slide["name"] == "other.svs"
    assert found.digests == Digests()
    assert not found.is_finished(tmp_path, Digests(predict="p", objects="b", outputs="u"))


def test_the_schema_in_docs_is_what_the_command_writes() -> None:
    printed = CliRunner().invoke(app, ["schema"])
    assert printed.exit_code == 0
    assert printed.output == (ROOT / "docs" / "run.schema.json").read_text(encoding="utf-8"), (
        "write it anew: wsi-parse schema > docs/run.schema.json"
    )


def test_every_field_of_the_schema_is_described_and_a_run_fits_it(slides: Path, tmp_path: Path) -> None:
    schema = manifest_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    objects = [schema, *schema["$defs"].values()]
    fields = [(name, field) for one in objects for name, field in one["properties"].items()]
    assert len(fields) > 60
    assert [name for name, field in fields if "description" not in field and "$ref" not in field] == []
    run_slide(slides / "a.svs", tmp_path, RunSettings.load(prompts=("nuclei",), model={"name": "stain"}))
    values = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    jsonschema.validate(values, schema)
    assert set(values) == set(schema["properties"]), "nothing is written that the schema does not name"
    for one in ("slide", "model"):
        name = schema["properties"][one]["$ref"].rpartition("/")[2]
        assert set(values[one]) <= set(schema["$defs"][name]["properties"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values | {"state": "over"}, schema)


def test_no_file_is_no_manifest(tmp_path: Path) -> None:
    assert RunManifest.load(tmp_path) is None
    assert RunManifest.load(tmp_path / "no" / "folder") is None


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_an_error_with_a_remedy(tmp_path: Path, kind: str) -> None:
    (tmp_path / "run.json").write_text(UNREADABLE[kind])
    with pytest.raises(
        ManifestError, match=r"run\.json in .*hoose another folder with --out, or remove that file\."
    ) as caught:
        RunManifest.load(tmp_path)
    assert ("newer version of wsi-parse" in str(caught.value)) == (kind == "newer")


def test_a_folder_of_that_name_is_one_too(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(ManifestError, match="it is not a file"):
        RunManifest.load(tmp_path)


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    for name in ("a", "b"):
        write_slide(folder / f"{name}.svs", tissue_with_nuclei(500, 450, seed=ord(name))[0])
    return folder


@pytest.mark.parametrize("kind", ["torn", "newer"])
def test_a_run_keeps_its_hands_off_results_that_it_cannot_read(slides: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "run.json").write_text(UNREADABLE[kind])
    (tmp_path / "annotations.geojson").write_text("of another slide")
    settings = RunSettings.load(prompts=("nuclei",), model={"name": "stain"})
    with pytest.raises(ManifestError):
        run_slide(slides / "a.svs", tmp_path, settings)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "run.json": UNREADABLE[kind],
        "annotations.geojson": "of another slide",
    }


@pytest.mark.parametrize("kind", ["torn", "newer", "no tiles"])
def test_a_cohort_fails_that_row_only(slides: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text(UNREADABLE[kind])
    for _ in range(2):
        ended = run_all(slides, tmp_path)
        assert {name: outcome.state for name, outcome in ended.items()} == {"a": "failed", "b": "done"}
        assert "run.json in a " in str(ended["a"].error)
        assert (tmp_path / "cohort.csv").exists()
        assert (tmp_path / "a" / "run.json").read_text() == UNREADABLE[kind]


def test_check_says_so_and_looks_at_the_others(tmp_path: Path) -> None:
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "run.json").write_text("{")
    good = tmp_path / "good.geojson"
    good.write_text('{"type":"FeatureCollection","features":[]}')
    ended = CliRunner().invoke(app, ["check", str(torn), str(good)])
    assert ended.exit_code == 1
    assert "run.json in" in ended.output
    assert "good.geojson" in ended.output


def test_evaluate_does_not_guess_which_files_are_of_the_run(tmp_path: Path) -> None:
    text = '{"type":"FeatureCollection","features":[]}'
    for path in ("out/one/annotations.geojson", "out/two/annotations.geojson", "truth/one.geojson"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "out" / "two" / "run.json").write_text("{")
    pairs, problems = file_pairs(tmp_path / "truth", tmp_path / "out")
    assert [pair.name for pair in pairs] == ["one"]
    assert any("run.json in" in problem for problem in problems)
    with pytest.raises(UsageError, match=r"run\.json in .*two cannot be read: it is not JSON\. Give the GeoJSON files"):
        file_pairs(tmp_path / "truth" / "one.geojson", tmp_path / "out" / "two")
