"""Settings: what they accept, and what of them decides the result."""

import ast
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from wsi_parse.errors import SettingsError
from wsi_parse.settings import ModelSettings, RunSettings

ROOT = Path(__file__).parent.parent


class TestSettings:
    def test_all_problems_are_reported_together(self) -> None:
        with pytest.raises(SettingsError) as caught:
            RunSettings.load(overrides=["tiles.overlp=0.2", "colour=red", "objects.threshold=7"])
        assert isinstance(caught.value, ValueError)
        for name in ("tiles.overlp", "colour", "objects.threshold"):
            assert name in str(caught.value)

    @pytest.mark.parametrize(
        ("override", "section", "key", "value"),
        [
            ("tiles.overlap=0.25", "tiles", "overlap", 0.25),
            (" tiles.block = 2", "tiles", "block", 2),
            ("objects.stains=true", "objects", "stains", True),
            ("export.formats=[geojson]", "export", "formats", ("geojson",)),
            ("export.frame=level0", "export", "frame", "level0"),
            ("compute.threads=null", "compute", "threads", None),
            ("slide.roi=a=b.geojson", "slide", "roi", Path("a=b.geojson")),
        ],
    )
    def test_override(self, override: str, section: str, key: str, value: object) -> None:
        assert getattr(getattr(RunSettings.load(overrides=[override]), section), key) == value

    def test_prompts_by_override(self) -> None:
        assert RunSettings.load(overrides=["prompts=[nuclei, glands]"]).prompts == ("nuclei", "glands")

    def test_a_name_is_enough_where_several_or_a_section_may_stand(self, tmp_path: Path) -> None:
        (tmp_path / "own.yaml").write_text(
            "prompts: nuclei\nmodel: stain\nexport: {formats: geojson, keep: predictions}"
        )
        expected = RunSettings(
            prompts=("nuclei",),
            model={"name": "stain"},
            export={"formats": ("geojson",), "keep": ("predictions",)},
        )
        assert RunSettings.load(tmp_path / "own.yaml") == expected
        export = {"formats": "geojson", "keep": "predictions"}
        assert RunSettings(prompts="nuclei", model="stain", export=export) == expected
        assert RunSettings.load(prompts="nuclei", model="stain", export=export) == expected
        overrides = ("prompts=nuclei", "model=stain", "export.formats=geojson", "export.keep=predictions")
        assert RunSettings.load(overrides=overrides) == expected
        assert RunSettings(prompts=["nuclei"], model=ModelSettings(name="stain"), export=export) == expected

    def test_a_name_given_directly_keeps_the_model_settings_of_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "own.yaml").write_text("model: {device: cpu, name: mini}")
        model = RunSettings.load(tmp_path / "own.yaml", model="stain").model
        assert (model.name, model.device) == ("stain", "cpu")

    def test_type_checkers_see_every_section(self) -> None:
        tree = ast.parse((ROOT / "wsi_parse" / "settings" / "run_settings.py").read_text(encoding="utf-8"))
        (kind,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "RunSettings")
        first, _ = (node for node in ast.walk(kind) if isinstance(node, ast.FunctionDef) and node.name == "__init__")
        assert [argument.arg for argument in first.args.kwonlyargs] == list(RunSettings.model_fields)

    def test_in_python_a_bad_setting_is_an_error_of_ours(self) -> None:
        for values in ({"modle": "stain"}, {"model": 3}, {"objects": {"threshold": 7}}, {"tiles": "many"}):
            with pytest.raises(SettingsError) as caught:
                RunSettings(**values)  # type: ignore[arg-type]
            assert next(iter(values)) in str(caught.value)
            assert "wsi-parse settings" in caught.value.remedy

    @pytest.mark.parametrize(
        "override",
        [
            "",
            "tiles.overlap",
            "=1",
            "tiles.=1",
            "prompts.first.second=1",
            "tiles=1",
            "tiles.block=[1",
            "tiles.overlap=nan",
        ],
    )
    def test_bad_override(self, override: str) -> None:
        with pytest.raises(SettingsError):
            RunSettings.load(overrides=["prompts=[nuclei]", override])

    @pytest.mark.parametrize(
        "content", [b"tiles: [", b"- tiles", b"just words", b"tiles: 3", b"\xff\xfe", b"1: 2", b"{a: b}: c"]
    )
    def test_bad_file(self, tmp_path: Path, content: bytes) -> None:
        config = tmp_path / "bad.yaml"
        config.write_bytes(content)
        with pytest.raises(SettingsError) as caught:
            RunSettings.load(config)
        assert caught.value.remedy

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"nonesuch\.yaml"):
            RunSettings.load(tmp_path / "nonesuch.yaml")

    def test_later_wins(self, tmp_path: Path) -> None:
        config = tmp_path / "some.yaml"
        config.write_text("slide: {mpp: 0.25, reader: openslide}\ntiles: {block: 2}\nprompts: [glands]\n")
        settings = RunSettings.load(
            config,
            ["tiles.block=3", "slide.mpp=0.3"],
            prompts=("nuclei",),
            slide={"mpp": 0.5, "reader": None},
        )
        assert (settings.slide.mpp, settings.slide.reader) == (0.5, "openslide")
        assert settings.tiles.block == 3
        assert settings.prompts == ("nuclei",)

    @pytest.mark.parametrize(
        "classes", ["{nuclei: {colour: [1, 2]}}", "{nuclei: {colour: [1, 2, 256]}}", "{a: {name: ''}}"]
    )
    def test_classes_that_qupath_would_refuse(self, classes: str) -> None:
        with pytest.raises(SettingsError, match=r"export\.classes"):
            RunSettings.load(overrides=[f"export.classes={classes}"])

    def test_frozen(self) -> None:
        with pytest.raises(ValueError, match="frozen"):
            RunSettings().tiles.block = 3  # type: ignore[misc]


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_presets_can_be_loaded(config: Path) -> None:
    settings = RunSettings.load(config)
    assert (settings == RunSettings()) == (config.name == "default.yaml")
    assert not settings.prompts, "a preset says how, not what"


def test_default_preset_is_what_the_command_prints() -> None:
    """To renew it: wsi-parse settings > configs/default.yaml ."""
    from wsi_parse.cli.settings import as_yaml

    assert (ROOT / "configs" / "default.yaml").read_text(encoding="utf-8") == as_yaml(RunSettings())


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("objects.treshold=0.4", "objects.threshold"),
        ("threshold=0.4", "objects.threshold"),
        ("object.threshold=0.4", "objects"),
        ("model.formats=[geojson]", "export.formats"),
        ("slide.mp=0.25", "slide.mpp"),
        ("tissue.mp=0.25", "tissue.mpp"),
    ],
)
def test_a_mistyped_setting_is_named_with_the_one_that_was_meant(override: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=rf"there is no setting [\w.]+ \(did you mean {re.escape(meant)}\?\)"):
        RunSettings.load(None, [override])


def test_a_setting_like_no_other_is_only_refused() -> None:
    with pytest.raises(SettingsError, match=r"there is no setting foo\."):
        RunSettings.load(None, ["foo.bar=1"])


@pytest.mark.parametrize("name", ["", " ", "a\nb", ": X", "A::B", "A:", "Tumor\u202e", "\ud800", "\0"])
def test_a_class_that_qupath_refuses_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=r"export\.classes\.nuclei\.name") as caught:
        RunSettings(prompts="nuclei", export={"classes": {"nuclei": {"name": name}}})
    assert str(caught.value).isprintable()


def numbers() -> dict[str, object]:
    """Return each setting that is a number, with its bounds."""
    found = {}
    for section, field in RunSettings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for key, one in kind.model_fields.items():
                if any(name in str(one.annotation) for name in ("int", "float")) and "dict" not in str(one.annotation):
                    found[f"{section}.{key}"] = one
    return found


@pytest.mark.parametrize("name", numbers())
def test_every_number_has_bounds(name: str) -> None:
    for value in (-1, 1e308, 10**12, -(10**12)):
        with pytest.raises(SettingsError, match=name.replace(".", r"\.")):
            RunSettings.load(overrides=[f"{name}={value:d}" if isinstance(value, int) else f"{name}={value}"])


@pytest.mark.parametrize(
    ("mpp", "hint"),
    [
        ("0.00025", "(0.00025 looks like millimetres: 0.25 µm?)"),
        ("250", "(250 looks like nanometres: 0.25 µm?)"),
        ("2.5e-7", "(2.5e-07 looks like metres: 0.25 µm?)"),
        ("1e300", "between 0.02 and 64 µm per pixel"),
    ],
)
def test_a_number_in_another_unit(mpp: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(hint)):
        RunSettings.load(overrides=[f"slide.mpp={mpp}"])


@pytest.mark.parametrize(
    "text",
    [
        "root:$6$secret:19000:0:99999:7:::\nother:$6$secret2:1",
        "password = 'secret'\n  token: [secret",
        "- secret\n- other",
        "secret",
        "a: &a [secret]\nb: *a\n",
        "[" * 5000 + "secret",
        "secret: \x00",
        "objects: {threshold: 2020-01-01}",
    ],
)
def test_nothing_of_a_wrong_file_is_shown(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.txt"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        RunSettings.load(path)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 400
    path.write_bytes(b"\xff\xfe secret")
    with pytest.raises(SettingsError, match="not text in UTF-8"):
        RunSettings.load(path)


def test_a_file_that_grows_is_refused(tmp_path: Path) -> None:
    """Nine lines of aliases would be a billion values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    with pytest.raises(SettingsError, match="line 2 holds an alias"):
        RunSettings.load(tmp_path / "bomb.yaml")
    (tmp_path / "large.yaml").write_text("#" * 1_000_001)
    with pytest.raises(SettingsError, match="too large for a file of settings"):
        RunSettings.load(tmp_path / "large.yaml")


@pytest.mark.parametrize("name", ["a/b", "..\\b", "{foo}", "{id", "{id} {", " ", "a\x1bb", "a\nb", "a\u202eb"])
def test_a_name_of_a_slide_is_a_name(name: str) -> None:
    with pytest.raises(SettingsError, match=r"slide\.name") as caught:
        RunSettings(slide={"name": name})
    assert str(caught.value).isprintable()
    assert RunSettings(slide={"name": "case {id} (1)"}).slide.name == "case {id} (1)"


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("objects:\n  stains: true\nobjects:\n  threshold: 0.9\n")
    with pytest.raises(SettingsError, match="line 3 holds a key for the second time"):
        RunSettings.load(path)
    path.write_text("objects: {threshold: 0.9, threshold: 0.8}\n")
    with pytest.raises(SettingsError, match="line 1 holds a key for the second time"):
        RunSettings.load(path)


def test_numbers_and_dates_mean_what_they_look_like() -> None:
    settings = RunSettings.load(overrides=["objects.chunk_px=01000", "slide.name=2024-01-01"])
    assert settings.objects.chunk_px == 1000
    assert settings.slide.name == "2024-01-01"
    for override, meant in {
        "tissue.min_area_um2=1:30": "it must be a number",
        "objects.threshold=0,5": "it must be a number (did you mean 0.5?)",
        "objects.threshold=50%": "it must be a number (did you mean 0.5?)",
        "objects=3": "it must be a section",
        "export.classes={nuclei: {colour: '#ff0000'}}": "it must be a list, such as [200, 0, 0] for a colour",
    }.items():
        with pytest.raises(SettingsError, match=re.escape(meant)):
            RunSettings.load(overrides=[override])


def test_a_manifest_is_no_file_of_settings(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema_version": 2, "settings": {}}')
    with pytest.raises(SettingsError, match=r"run\.json is the manifest of a run"):
        RunSettings.load(tmp_path / "run.json")


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("tcp://[::1", "its host or its port is not valid"),
        ("tcp://node:99999", "its host or its port is not valid"),
        ("tcp://node:port", "its host or its port is not valid"),
        ("tcp://node:0", "its port is 0"),
        ("tcp://", "it has no host"),
        ("tcp://:8786", "it has no host"),
        ("tls://node", "it has no port"),
        ("http://node:8786", "it begins with http://"),
        ("://node:8786", "it begins with ://"),
        ("tcp://node:8786/x", "it has more than a host and a port"),
        ("tcp://me@node:8786", "it has more than a host and a port"),
        ("tcp://a node:8786", "it has more than a host and a port"),
    ],
)
def test_what_is_not_the_address_of_a_scheduler_is_no_setting(address: str, problem: str) -> None:
    with pytest.raises(SettingsError, match="it is not the address of a scheduler") as caught:
        RunSettings(compute={"cluster": address})
    assert f"{problem}; write it as tcp://HOST:PORT" in str(caught.value)


@pytest.mark.parametrize("address", ["tcp://node:8786", "tls://10.0.0.1:8786", "tcp://[::1]:8786", "inproc://1/2/3"])
def test_the_address_of_a_scheduler_is_a_setting(address: str) -> None:
    assert RunSettings(compute={"cluster": address}).compute.cluster == address
