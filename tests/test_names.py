"""One standard word for one thing: the names and sentences that were given up do not come back.

Exact names and exact sentences are compared, never single words of English, and nothing is excepted.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

from wsi_parse.cli.main import app
from wsi_parse.cohort.outcome import Outcome
from wsi_parse.run.manifest import RunManifest
from wsi_parse.settings import RunSettings

ROOT = Path(__file__).parent.parent
PYTHON = sorted(path for folder in ("wsi_parse", "benchmarks", "workflows") for path in (ROOT / folder).rglob("*.py"))
READ_BY_PEOPLE = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *(ROOT / "configs").glob("*"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "workflows").rglob("*"),
        *(ROOT / "wsi_parse").rglob("*.md"),
    )
    if path.is_file() and path.suffix in {".md", ".yaml", ".groovy", ".sh", ""} and path.name != "CHANGELOG.md"
)

# Classes, functions and methods, whatever module they are in.
OLD_NAMES = set(
    re.findall(
        r"\S+",
        """
        Cells LevelCells CellCache ReadCell grid_cells CELLS_A_PIXEL STEPS_A_PIXEL
        Pass Scene ObjectRules CellRule ChunkRules Rules Rule
        outline_chunk outline_task is_outlined
        place place_of Places Prepared ToPrepare
        told told_settings _told said as_told
        Elsewhere _Rooms attempt attempts DEADLY _attempted
        Side side_of sides partners Named tally
        Sheet Ink muted _mark
        chessboard_depth taxicab_depth grown
        _called choose to_run EVERYTHING _enlarged
        stands_still _settled _solid put_right _mended
        Words together look talk
        Style neighbourhood
        unsure_below one_class UNSURE_BELOW
        """,
    )
)
# Fields and attributes, with the class that had them; the class goes by its new name.
OLD_FIELDS = set(
    re.findall(
        r"\S+",
        """
        Recipe.rivals Recipe.answer Recipe.words Recipe.unsure_below
        PassPlan.job PreparedRun.jobs RunPlan.scenes PassContext.job PassContext.rules
        ObjectParameters.cell ObjectParameters.grow_px SplitParameters.depth SplitParameters.join
        ObjectParameters.smallest_cell_px ObjectParameters.smallest_region_px ObjectParameters.smallest_hole_px
        ExportContext.part_bytes ExportContext.part_objects Annotations.told
        ModelSpec.cpu_seconds_a_tile DeviceSegmenter.gpu_bytes_a_tile DeviceSegmenter.most_tiles
        MiniNetwork.look MiniNetwork.neighbourhood
        EvaluationOptions.within EvaluationOptions.within_class
        """,
    )
)
OLD_SETTINGS = set(
    re.findall(
        r"\S+",
        """
        cells_um largest_cell_um smallest_cell_um2 smallest_region_um2 smallest_hole_um2 seed_distance_um depth_um
        one_class unsure_below part_mb part_objects smallest_um2 largest_hole_um2
        """,
    )
)
OLD_OPTIONS = {"--cells", "--within", "--within-class", "--most", "--csv"}
OLD_SENTENCES = (
    "other doors",
    "where the file does not tell",
    "where the files do not tell",
    "does not tell its pixel size",
    "Settings cannot be:",
    "gave numbers that are none",
    "At most so many",
    "what fails stops nothing else",
    "is no GeoJSON",
    "nobody's business",
    "cpu_seconds_a_tile",
)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def definitions(tree: ast.Module) -> Iterator[str]:
    """Names of classes and functions; of fields and attributes also "Class.name"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            for inner in ast.walk(node):
                match inner:
                    case (
                        ast.AnnAssign(target=ast.Name(id=name))
                        | ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store())
                    ):
                        yield f"{node.name}.{name}"
                    case ast.FunctionDef(name=name):
                        yield f"{node.name}.{name}"
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def words_of(text: str) -> str:
    return " ".join(text.split())


def strings(tree: ast.Module) -> Iterator[str]:
    """Every text of a module as it reads: pieces joined, inserted values as {}."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield words_of("".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield words_of(node.value)


def old_sentences_in(text: str) -> list[str]:
    return [sentence for sentence in OLD_SENTENCES if sentence.lower() in text.lower()]


@pytest.mark.parametrize("path", PYTHON, ids=named)
def test_no_old_name_in_code(path: Path) -> None:
    found = set(definitions(ast.parse(path.read_text(encoding="utf-8"))))
    assert not found & (OLD_NAMES | OLD_FIELDS)


@pytest.mark.parametrize("path", PYTHON, ids=named)
def test_no_old_sentence_in_code(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [(old, text) for text in strings(tree) for old in old_sentences_in(text)]


@pytest.mark.parametrize("path", READ_BY_PEOPLE, ids=named)
def test_no_old_word_in_what_people_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not old_sentences_in(words_of(text))
    assert not set(re.findall(r"[a-z0-9_]+", text)) & OLD_SETTINGS
    assert not set(re.findall(r"(?<![\w-])--[a-z-]+", text)) & OLD_OPTIONS


def setting_keys(model: type = RunSettings) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        if hasattr(field.annotation, "model_fields"):
            yield from setting_keys(field.annotation)


def test_no_old_setting() -> None:
    keys = set(setting_keys())
    assert {"prompts", "threshold", "cell_expansion_um", "max_part_mb"} <= keys
    assert not keys & OLD_SETTINGS


def options(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    for inner in getattr(command, "commands", {}).values():
        yield from options(inner)


def test_no_old_option() -> None:
    known = set(options(typer.main.get_command(app)))
    assert {"--prompt", "--cell-expansion", "--roi", "--json"} <= known
    assert not known & OLD_OPTIONS


def test_no_old_column_or_member() -> None:
    names = {*Outcome.model_fields, *RunManifest.model_fields}
    assert not names & (OLD_NAMES | OLD_SETTINGS)


def test_the_test_can_fail() -> None:
    tree = ast.parse("class Scene:\n    pass\nclass Recipe:\n    rivals: tuple\ndef look():\n    'Is no GeoJSON.'")
    assert set(definitions(tree)) >= {"Scene", "Recipe.rivals", "look"}
    assert [old for text in strings(tree) for old in old_sentences_in(text)] == ["is no GeoJSON"]
