"""The command line as a person meets it: one line of error with a remedy, exit codes, JSON for machines."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.cli.run import _print_result, written_line
from wsi_parse.run.manifest import RunManifest
from wsi_parse.settings import RunSettings

pytestmark = pytest.mark.whole


def wsi_parse(*arguments: object, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [sys.executable, "-m", "wsi_parse.cli.main", *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    if check is not None:
        assert result.returncode == check, result.stderr
    return result


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slides") / "a slide (1).svs", tissue_with_nuclei(1200, 900)[0])


def test_a_slide_and_a_prompt_are_enough(slide: Path, tmp_path: Path) -> None:
    result = wsi_parse(slide, "--prompt", "nuclei", "-o", tmp_path / "out")
    printed = " ".join(result.stderr.split())
    assert "annotations.geojson" in printed
    assert "research use only" in printed
    assert "per mm²" in printed
    assert (tmp_path / "out" / "a slide (1)" / "annotations.geojson").exists()


def manifest_of(*outputs: str) -> RunManifest:
    return RunManifest(
        wsi_parse="",
        state="done",
        slide={},
        settings={},
        model={},
        prompts=[],
        outputs=dict.fromkeys(outputs, ""),
    )


def test_a_model_says_its_own_sentence_of_a_slide() -> None:
    """The command line knows no key of a model but the one of the contract."""
    manifest = manifest_of("annotations.geojson").model_copy(
        update={
            "model": {"name": "other", "licence": "MIT"},
            "tissue_mm2": 1.0,
            "existence": {"nuclei": {"sentence": "Most [nuclei] are pale."}, "glands": {"seen": 3}, "cells": {}},
        }
    )
    text = io.StringIO()
    _print_result(manifest, Path("out"), Console(file=text, width=200))
    assert "nuclei: Most [nuclei] are pale." in text.getvalue()
    assert "glands:" not in text.getvalue()


def test_the_last_line_says_what_was_written_and_what_to_do_with_it() -> None:
    notice = "research use only, not for clinical decisions"
    parts = ("annotations_01.geojson", "annotations_02.geojson", "annotations_index.json")
    for formats, outputs, words in (
        (
            {"parquet": {"files": ["objects.parquet"]}, "other": {"files": ["a.x"], "how_to_open": "open it in Other"}},
            ("objects.parquet", "a.x"),
            f"a.x  (open it in Other; {notice})",
        ),
        ({"dicom": {"files": ["annotations.dcm"]}}, ("annotations.dcm", "tissue.geojson"), None),
        (
            {"geojson": {"files": list(parts), "how_to_open": "the first of 2 parts: drag each"}},
            (*parts, "objects.parquet"),
            f"annotations_01.geojson  (the first of 2 parts: drag each; {notice})",
        ),
    ):
        manifest = manifest_of(*outputs).model_copy(update={"formats": formats})
        expected = words or f"{', '.join(outputs)}  ({notice})"
        assert written_line(manifest, Path("out")) == f"→ {Path('out')}{os.sep}{expected}"


def test_a_format_that_is_named_twice_counts_once() -> None:
    assert RunSettings.load(None, export={"formats": ("parquet", "geojson", "parquet")}).export.formats == (
        "parquet",
        "geojson",
    )


def test_options_may_come_first_and_json_is_one_line_a_slide(slide: Path, tmp_path: Path) -> None:
    result = wsi_parse("-p", "nuclei", "-o", tmp_path, "--json", slide)
    reported = json.loads(result.stdout)
    assert reported["state"] == "done"
    assert reported["counts"]["nuclei"] > 100
    assert Path(reported["folder"]) == tmp_path / "a slide (1)"
    again = json.loads(wsi_parse("-p", "nuclei", "-o", tmp_path, "--json", slide).stdout)
    assert again["outputs"] == reported["outputs"]


def test_cells_frame_and_classes_are_as_asked(slide: Path, tmp_path: Path) -> None:
    classes = 'export.classes={nucleus: {name: "Tumor: Positive", colour: [1, 2, 3]}, glands: {name: Other}}'
    asked = (
        "-p",
        "nuclei",
        "--cell-expansion",
        3,
        "--frame",
        "level0",
        "--set",
        classes,
        "--set",
        "export.formats=[geojson]",
    )
    result = wsi_parse(slide, *asked, "-o", tmp_path)
    assert "The class of 'glandular structure' in export.classes is not used" in " ".join(result.stderr.split())
    collection = json.loads((tmp_path / "a slide (1)" / "annotations.geojson").read_bytes())
    assert collection["wsi_parse"]["frame"] == "level0"
    assert len(collection["features"]) > 100
    for feature in collection["features"]:
        assert feature["properties"]["classification"] == {"name": "Tumor: Positive", "color": [1, 2, 3]}
        assert feature["properties"]["objectType"] == "cell"
    printed = wsi_parse(slide, "-p", "nuclei", "--frame", "moon", check=2).stderr
    assert "export.frame" in printed


def test_a_dry_run_writes_nothing(slide: Path, tmp_path: Path) -> None:
    result = wsi_parse(slide, "-p", "nuclei", "-o", tmp_path / "out", "--dry-run")
    assert "tiles" in result.stderr
    assert not (tmp_path / "out").exists()
    reported = json.loads(wsi_parse(slide, "-p", "nuclei", "-o", tmp_path / "out", "--dry-run", "--json").stdout)
    assert reported["tiles"] > 0
    assert reported["expected_seconds"] > 0


def test_a_bad_slide_fails_and_the_others_are_done(slide: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.svs"
    bad.write_bytes(b"not a slide")
    result = wsi_parse(bad, slide, "-p", "nuclei", "-o", tmp_path / "out", "--json", check=1)
    states = [json.loads(line)["state"] for line in result.stdout.splitlines()]
    assert states == ["failed", "done"]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("missing.svs", "-p", "nuclei"), (1, 2), "missing.svs"),
        (("SLIDE",), (2,), "--prompt"),
        (("SLIDE", "-p", "unicorns", "--model", "stain"), (2,), "nuclei"),
        (("SLIDE", "-p", "nuclei", "--model", "nonsense"), (2,), "stain"),
        (("SLIDE", "-p", "nuclei", "--set", "tiles.overlap=2"), (2,), "tiles.overlap"),
        (("SLIDE", "-p", "nuclei", "--set", "nonsense"), (2,), "section.key=value"),
        (("SLIDE", "-p", "nuclei", "--config", "missing.yaml"), (2,), "missing.yaml"),
        (("SLIDE", "-p", "nuclei", "--mpp", "0.1"), (1,), "--override-mpp"),
        (("SLIDE", "-p", "nuclei", "--nonsense"), (2,), "nonsense"),
    ],
)
def test_what_cannot_be_is_said_in_words(
    slide: Path, tmp_path: Path, arguments: tuple[str, ...], code: tuple[int, ...], words: str
) -> None:
    given = [str(slide) if argument == "SLIDE" else argument for argument in arguments]
    result = wsi_parse(*given, "-o", tmp_path / "out", check=None)
    assert result.returncode in code
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_an_output_folder_that_cannot_be_written_is_refused_and_one_of_several_slides_stops_no_other(
    slide: Path, tmp_path: Path
) -> None:
    blocked = tmp_path / "a slide (1)"
    blocked.write_text("in the way")
    refused = wsi_parse(slide, "-p", "nuclei", "-o", blocked, check=2)
    assert "is a file, not a folder. Choose another folder with --out." in refused.stderr
    assert "Traceback" not in refused.stderr
    for more in ((), ("--dry-run",)):
        result = wsi_parse(slide, "-p", "nuclei", "-o", tmp_path, *more, check=2)
        assert "a slide (1) is a file, not a folder. Choose another folder with --out." in result.stderr
        assert "Traceback" not in result.stderr
    other = tmp_path / "other.svs"
    other.write_bytes(slide.read_bytes())
    result = wsi_parse(slide, other, "-p", "nuclei", "--model", "stain", "-o", tmp_path, check=1)
    assert "a slide (1) is a file, not a folder. Choose another folder with --out." in result.stderr
    assert "1 of 2 slides failed." in result.stderr
    assert (tmp_path / "other" / "annotations.geojson").is_file(), "the other slide is done"


def test_info_preview_models_and_settings_answer(slide: Path, tmp_path: Path) -> None:
    assert json.loads(wsi_parse("info", slide, "--json").stdout)["mpp_x_um"] == 0.5
    assert "0.5" in wsi_parse("info", slide).stdout
    reported = json.loads(wsi_parse("preview", slide, "-o", tmp_path, "--json").stdout)
    assert reported["tiles"] > 0
    assert Path(reported["picture"]).stat().st_size > 1000
    assert "stain" in wsi_parse("models").stdout
    assert "max_cell_radius_um" in wsi_parse("settings").stdout


def test_printed_settings_can_be_read_back(tmp_path: Path) -> None:
    from wsi_parse.settings import RunSettings

    path = tmp_path / "settings.yaml"
    path.write_text(wsi_parse("settings", "--set", "tiles.overlap=0.25").stdout)
    assert RunSettings.load(path) == RunSettings.load(None, ["tiles.overlap=0.25"])


def test_each_command_has_help_by_two_names() -> None:
    commands = ("run", "preview", "info", "cohort", "check", "evaluate", "settings", "demo", "models")
    for command in ((), *((name,) for name in commands), ("models", "show"), ("models", "get"), ("models", "verify")):
        result = wsi_parse(*command, "-h")
        assert result.stdout == wsi_parse(*command, "--help").stdout
        assert "Usage" in result.stdout
        assert "\N{GREEK SMALL LETTER MU}" not in result.stdout, "µ is the micro sign everywhere"


def test_python_m_wsi_parse_is_the_command(slide: Path) -> None:
    command = [sys.executable, "-m", "wsi_parse"]
    shown = subprocess.run([*command, "info", slide, "--json"], capture_output=True, text=True, check=True).stdout
    assert json.loads(shown)["mpp_x_um"] == 0.5
    assert subprocess.run([*command, "--version"], capture_output=True, check=True).stdout.startswith(b"wsi-parse ")
    assert subprocess.run([*command, "info", "missing.svs"], capture_output=True).returncode == 1


def test_a_terminal_without_micro_sign_and_arrows_gets_question_marks(slide: Path, tmp_path: Path) -> None:
    for arguments in (("run", "--help"), (str(slide), "-p", "nuclei", "-o", str(tmp_path), "--dry-run")):
        command = [sys.executable, "-m", "wsi_parse", *arguments]
        ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
        result = subprocess.run(command, capture_output=True, env=ascii_only)
        assert result.returncode == 0, result.stderr
        assert b"?m" in result.stdout + result.stderr


def test_no_warning_is_muted_and_none_appears(slide: Path, tmp_path: Path) -> None:
    program = (
        "import sys, warnings\n"
        "import wsi_parse.slides as slides\n"
        "from wsi_parse.cli.main import main\n"
        "open_slide = slides.open_slide\n"
        "def warns(*arguments):\n"
        "    warnings.warn('of a library', UserWarning)\n"
        "    return open_slide(*arguments)\n"
        "slides.open_slide = warns\n"
        f"sys.argv = ['wsi-parse', 'info', {str(slide)!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        # Libraries add filters of their own when they are imported; none of them is for everything.
        "assert not [one for one in warnings.filters if one[0] == 'ignore' and one[1:4] == (None, Warning, None)]"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "UserWarning: of a library" in result.stderr
    plain = wsi_parse(slide, "-p", "nuclei", "-o", tmp_path)
    assert "Warning" not in plain.stderr + plain.stdout


def test_help_and_import_load_no_heavy_library() -> None:
    heavy = "{'torch', 'dask', 'distributed', 'openslide', 'tiffslide', 'zarr', 'skimage', 'scipy', 'numpy'}"
    program = (
        "import sys\n"
        "import wsi_parse.cli.main as main\n"
        "sys.argv = ['wsi-parse', '--help']\n"
        "try:\n    main.main()\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', sorted({heavy} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "LOADED []"
    assert "--prompt" in printed


def test_info_loads_nothing_that_only_a_run_needs(slide: Path) -> None:
    heavy = {"torch", "dask", "distributed", "pyarrow", "zarr", "skimage", "scipy", "shapely", "matplotlib", "jinja2"}
    heavy |= {f"wsi_parse.{stage}" for stage in ("settings", "compute", "tissue", "report", "objects", "predict")}
    program = (
        f"import sys; sys.argv = ['wsi-parse', 'info', {str(slide)!r}]\n"
        "from wsi_parse.cli.main import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    print('LOADED', sorted({heavy} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "LOADED []" in printed
