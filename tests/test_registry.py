"""Plug-ins are found by their names."""

from types import SimpleNamespace

import pytest

from wsi_parse import registry
from wsi_parse.errors import PluginError, SlideError, UnknownNameError
from wsi_parse.registry import CLUSTERS, EXPORTERS, MODELS, READERS, Registry, plugin_named

KINDS = (READERS, MODELS, EXPORTERS, CLUSTERS)


class TestRegistry:
    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.kind))
    def test_unknown_name_lists_the_known(self, kind: Registry) -> None:
        with pytest.raises(UnknownNameError) as caught:
            kind.get("nonesuch")
        assert isinstance(caught.value, KeyError)
        assert kind.names()
        for part in (kind.kind, "nonesuch", *kind.names()):
            assert part in str(caught.value)

    @pytest.mark.parametrize(
        ("kind", "name"),
        [(kind, name) for kind in KINDS for name in kind._builtin],
        ids=lambda value: getattr(value, "kind", value),
    )
    def test_built_in_can_be_had(self, kind: Registry, name: str) -> None:
        assert callable(kind.get(name)) if kind is CLUSTERS else isinstance(kind.get(name), type)

    def test_added_in_the_process(self) -> None:
        own = Registry("model", {})
        own.add("mine", int)
        assert own.get("mine") is int
        assert own.names() == ["mine"]
        assert "mine" not in MODELS.names()
        with pytest.raises(UnknownNameError, match=r"no model called 'mien'\. Did you mean 'mine'"):
            own.remove("mien")
        own.remove("mine")
        assert own.names() == []

    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.kind))
    def test_built_in_plugins_keep_the_contract(self, kind: Registry) -> None:
        plugins, warnings = kind.usable()
        assert set(plugins) >= set(kind._builtin)
        assert not warnings
        for name in kind._builtin:
            assert all(hasattr(kind.get(name), attribute) for attribute in kind._required), name

    def test_entry_points(self, monkeypatch: pytest.MonkeyPatch) -> None:
        groups = offer(monkeypatch, Point("theirs", float))
        own = Registry("exporter", {"ours": "builtins:int"})
        assert own.names() == ["ours", "theirs"]
        assert own.get("theirs") is float
        assert own.get("ours") is int
        assert set(groups) == {"wsi_parse.exporters"}

    def test_other_packages_are_asked_only_for_other_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        groups = offer(monkeypatch, Point("theirs", float))
        own = Registry("exporter", {"ours": "builtins:int"})
        own.add("mine", int)
        assert "ours" in own
        assert "mine" in own
        assert not groups
        assert "theirs" in own
        assert "nobody's" not in own

    def test_the_package_of_a_plugin_has_its_version(self, monkeypatch: pytest.MonkeyPatch) -> None:
        offer(monkeypatch, Point("theirs", float), Point("ours", float))
        own = Registry("exporter", {"ours": "builtins:int"})
        own.add("mine", int)
        found = [own.package_of(name) for name in ("theirs", "ours", "mine", "nobody's")]
        assert found == ["their-package 1.5", "", "", ""]

    def test_a_name_of_ours_cannot_be_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        offer(monkeypatch, Point("ours", float))
        own = Registry("exporter", {"ours": "builtins:int"})
        assert own.names() == ["ours"]
        assert own.get("ours") is int

    def test_what_cannot_be_loaded_is_named_with_its_cause_and_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        offer(monkeypatch, Point("broken", ImportError("No module named 'nonesuch'")), Point("odd", 3), Point("z", "x"))
        own = Registry("model", {"ours": "builtins:str"}, ("upper",))
        with pytest.raises(PluginError) as caught:
            own.get("broken")
        assert str(caught.value) == (
            "The model broken of the package their-package cannot be loaded (ImportError: No module named 'nonesuch'). "
            "Update or uninstall their-package."
        )
        assert isinstance(caught.value.__cause__, ImportError)
        with pytest.raises(PluginError, match=r"odd of the package their-package cannot be loaded.*it has no upper"):
            own.get("odd")
        plugins, warnings = own.usable()
        assert plugins == {"ours": str, "z": "x"}
        assert [warning.endswith("It is skipped.") for warning in warnings] == [True, True]


class Point:
    """An entry point of another package; an error is raised when it is loaded."""

    dist = SimpleNamespace(name="their-package", version="1.5")

    def __init__(self, name: str, value: object) -> None:
        self.name, self.value = name, value

    def load(self) -> object:
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


def offer(monkeypatch: pytest.MonkeyPatch, *points: Point) -> list[str]:
    """Let other packages offer these; returns the groups that are asked for."""
    groups: list[str] = []

    def found(*, group: str) -> list[Point]:
        groups.append(group)
        return list(points)

    monkeypatch.setattr(registry, "entry_points", found)
    return groups


class TestErrors:
    def test_an_unexpected_error_names_the_plugin(self) -> None:
        with pytest.raises(PluginError) as caught, plugin_named("model", "theirs"):
            _ = 1 / 0
        assert str(caught.value) == (
            "The model theirs failed: ZeroDivisionError: division by zero. Report this error to the author of the "
            "model; --traceback shows where it happened."
        )
        assert isinstance(caught.value.__cause__, ZeroDivisionError)

    @pytest.mark.parametrize(
        "error", [SlideError("x"), OSError("disk"), MemoryError(), type("OutOfMemoryError", (RuntimeError,), {})()]
    )
    def test_errors_with_an_explanation_of_their_own_pass(self, error: Exception) -> None:
        with pytest.raises(type(error)) as caught, plugin_named("model", "theirs"):
            raise error
        assert caught.value is error
