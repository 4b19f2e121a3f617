"""CompiledTemplates: the same text whether a template was compiled before, is torn, or cannot be kept."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

from wsi_parse.report import compiled


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for compiled templates."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(compiled, "cache_from_source", lambda _: str(tmp_path / "kept" / "compiled.pyc"))
    return tmp_path / "kept"


@pytest.fixture
def shown(tmp_path: Path) -> Callable[[], tuple[str, int]]:
    """Return the text of a template, and how often something was compiled for it."""
    (tmp_path / "a.j2").write_text("{{ number }} cells", encoding="utf-8")

    class Counting(Environment):
        compiled = 0

        def _compile(self, source: str, filename: str):  # type: ignore[no-untyped-def] # noqa: ANN202
            self.compiled += 1
            return super()._compile(source, filename)

    def show() -> tuple[str, int]:
        environment = Counting(
            loader=FileSystemLoader(tmp_path), bytecode_cache=compiled.CompiledTemplates(), autoescape=True
        )
        return environment.get_template("a.j2").render(number=3), environment.compiled

    return show


def test_a_template_is_compiled_once(kept: Path, shown: Callable[[], tuple[str, int]]) -> None:
    assert [shown(), shown(), shown()] == [("3 cells", 1), ("3 cells", 0), ("3 cells", 0)]
    assert [path.suffix for path in kept.iterdir()] == [".jinja"]


def test_a_template_that_was_changed_is_compiled_again(
    kept: Path, shown: Callable[[], tuple[str, int]], tmp_path: Path
) -> None:
    shown()
    (tmp_path / "a.j2").write_text("{{ number }} nuclei", encoding="utf-8")
    assert [shown(), shown()] == [("3 nuclei", 1), ("3 nuclei", 0)]


@pytest.mark.parametrize("end", [0, 5, 30, -3])
def test_a_torn_file_is_written_anew(kept: Path, shown: Callable[[], tuple[str, int]], end: int) -> None:
    shown()
    (file,) = kept.iterdir()
    file.write_bytes(file.read_bytes()[:end])
    assert [shown(), shown()] == [("3 cells", 1), ("3 cells", 0)]


def test_where_nothing_may_be_written_nothing_is_kept(
    kept: Path, shown: Callable[[], tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.write_text("a file where the folder would be", encoding="utf-8")
    assert [shown(), shown()] == [("3 cells", 1), ("3 cells", 1)]
    kept.unlink()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert shown() == ("3 cells", 1)
    assert not kept.exists()
