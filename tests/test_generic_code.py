"""Generic code names no model and no format: what is registered is asked, never compared with a name."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsi_parse.registry import EXPORTERS, MODELS, READERS
from wsi_parse.settings import RunSettings

ROOT = Path(__file__).parents[1]
NAMES = {*MODELS.names(), *EXPORTERS.names()}
# The plug-ins of this package, and where they are listed.
OWN = {"registry.py"} | {
    str(Path(*kind._builtin[name].partition(":")[0].split(".")[1:]))
    for kind in (READERS, MODELS)
    for name in kind._builtin
}
# What names one for a reason, and what it may name.
ALLOWED = {
    # The formats that are written where nobody says which.
    "settings/sections.py": {"geojson", "parquet"},
    # The demonstration shows the network that is in the package.
    "cli/demo.py": {"mini"},
    # Objects of a box, and of a finished run, are handed on in the format that is read back exactly.
    "run/segment_box.py": {"parquet"},
}
# These are about files of GeoJSON, whoever wrote them; or about objects.parquet, from which a run is read back.
FORMAT_MODULES = {
    "cli/check.py": {"wsi_parse.exporters.geojson_parts"},
    "run/export.py": {"wsi_parse.exporters.parquet_source"},
    "run/field_outputs.py": {"wsi_parse.exporters.geojson"},
    "run/result.py": {"wsi_parse.exporters.parquet"},
    "run/stages.py": {"wsi_parse.exporters.parquet_source"},
    "viewer/object_table.py": {"wsi_parse.exporters.parquet", "wsi_parse.exporters.parquet_source"},
}


def generic_modules() -> list[Path]:
    package = ROOT / "wsi_parse"
    found = []
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package)
        is_plugin = any(str(inside.with_suffix("")).startswith(own) for own in OWN) or inside.parts[0] == "exporters"
        if not is_plugin and str(inside) not in OWN and not (inside.parts[0] == "models" and len(inside.parts) > 2):
            found.append(path)
    return found


def named(path: Path) -> str:
    return path.relative_to(ROOT / "wsi_parse").as_posix()


def texts(tree: ast.Module) -> Iterator[str]:
    """All texts of a module but its docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (one.name for one in node.names)


def plugin_modules() -> set[str]:
    """Modules of models and formats."""
    models = {kind._builtin[name].partition(":")[0] for kind in (MODELS, EXPORTERS, READERS) for name in kind._builtin}
    # A format may have more files than that of its exporter.
    return models | {"wsi_parse.exporters.geojson", "wsi_parse.models.mini", "wsi_parse.models.biomedparse"}


@pytest.mark.parametrize("path", generic_modules(), ids=named)
def test_no_name_of_a_plug_in_in_generic_code(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not NAMES & set(texts(tree)) - ALLOWED.get(named(path), set())
    of_plugins = {name for name in imported(tree) if any(name.startswith(module) for module in plugin_modules())}
    assert not of_plugins - FORMAT_MODULES.get(named(path), set())


def descriptions(model: type = RunSettings) -> Iterator[str]:
    for field in model.model_fields.values():
        yield field.description or ""
        if hasattr(field.annotation, "model_fields"):
            yield from descriptions(field.annotation)


def test_no_list_of_formats_and_models_in_the_settings() -> None:
    """It would lack those of other packages."""
    words = {word.strip(".,;:()`") for text in descriptions() for word in text.split()}
    assert not words & (NAMES - {"stain"})


def test_the_test_can_fail() -> None:
    tree = ast.parse('"""The geojson."""\nfrom wsi_parse.exporters.dicom import x\nif name == "geojson":\n    pass')
    assert NAMES & set(texts(tree)) == {"geojson"}
    assert set(imported(tree)) == {"wsi_parse.exporters.dicom"}
    assert {named(path) for path in generic_modules()} >= {"run/outputs.py", "cli/run.py", "slides/opening.py"}
    assert "models/mini/segmenter.py" not in {named(path) for path in generic_modules()}
