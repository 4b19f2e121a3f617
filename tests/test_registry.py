"""Plug-ins are found by their names."""

import pytest

from wsi_parse import registry
from wsi_parse.errors import UnknownNameError
from wsi_parse.registry import CLUSTERS, EXPORTERS, MODELS, Registry


class TestRegistry:
    @pytest.mark.parametrize("kind", [MODELS, EXPORTERS, CLUSTERS], ids=lambda kind: str(kind.kind))
    def test_unknown_name_lists_the_known(self, kind: Registry) -> None:
        with pytest.raises(UnknownNameError) as caught:
            kind.get("nonesuch")
        assert isinstance(caught.value, KeyError)
        assert kind.names()
        for part in (kind.kind, "nonesuch", *kind.names()):
            assert part in str(caught.value)

    @pytest.mark.parametrize(
        ("kind", "name"),
        [(kind, name) for kind in (MODELS, EXPORTERS, CLUSTERS) for name in kind._builtin],
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

    def test_entry_points(self, monkeypatch: pytest.MonkeyPatch) -> None:
        groups = []

        class Point:
            name = "theirs"

            def load(self) -> type:
                return float

        def found(*, group: str) -> list[Point]:
            groups.append(group)
            return [Point()]

        monkeypatch.setattr(registry, "entry_points", found)
        own = Registry("exporter", {"ours": "builtins:int"})
        assert own.names() == ["ours", "theirs"]
        assert own.get("theirs") is float
        assert own.get("ours") is int
        assert set(groups) == {"wsi_parse.exporters"}
