"""A package with plug-ins, installed by pip beside this one: all four kinds work by entry points alone.

Its folder is tests/plugin. It goes into an environment of its own, on top of the one that runs the tests.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.small_slides import tissue_with_nuclei

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tests" / "plugin"
SMALL = ("tiles.block=2", "objects.chunk_px=256", "export.overlay_px=0", "export.report=false", "compute.threads=2")
FAILURE = "ZeroDivisionError: division by zero"


@dataclass
class Installed:
    """An environment with the plug-ins, and a home of its own for weights."""

    python: Path
    home: Path

    def run(self, *command: object, fails: str = "") -> subprocess.CompletedProcess[str]:
        # This tree comes first, wherever the environment below has its copy of the package.
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "WSI_PARSE_CACHE": str(self.home),
            "WSI_PARSE_EXAMPLE_FAILS": fails,
            "COLUMNS": "200",
        }
        return subprocess.run(
            [self.python, *map(str, command)],
            env=environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def wsi_parse(self, *arguments: object, check: int = 0, fails: str = "") -> subprocess.CompletedProcess[str]:
        done = self.run("-m", "wsi_parse", *arguments, fails=fails)
        assert done.returncode == check, done.stdout + done.stderr
        return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    below = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    asked = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    # A plain path would leave out the .pth files in it, by which editable packages are found.
    lines = [f"import site; site.addsitedir({path!r})\n" for path in below]
    (Path(asked.stdout.strip()) / "below.pth").write_text("".join(lines))
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", PACKAGE]
    subprocess.run(pip, check=True, cwd=folder)
    (folder / "home").mkdir()
    return Installed(python, folder / "home")


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide that is a folder, in a folder of slides."""
    folder = tmp_path_factory.mktemp("slides") / "case 1"
    folder.mkdir()
    with (folder / "pixels.exs").open("wb") as file:
        np.save(file, tissue_with_nuclei(500, 400)[0])
    (folder / "slide.json").write_text(json.dumps({"mpp": 0.5}))
    return folder


@pytest.fixture(scope="module")
def with_weights(installed: Installed) -> Installed:
    installed.wsi_parse("models", "get", "example-model")
    return installed


def overrides() -> list[str]:
    return [part for override in SMALL for part in ("--set", override)]


def one_line(text: str) -> str:
    """The error is one line, however the terminal breaks it; returns it."""
    lines = [line for line in text.splitlines() if line.startswith(("wsi-parse:", "failed"))]
    assert "Traceback" not in text
    assert len(lines) == 1, text
    return " ".join(text[text.index(lines[0]) :].split())


def test_it_keeps_all_contracts(installed: Installed) -> None:
    done = installed.run("-m", "pytest", "-q", "-p", "no:cacheprovider", PACKAGE / "test_contract.py")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout


class TestBeforeItsWeightsAreThere:
    def test_models_lists_it_and_says_how_to_get_it(self, installed: Installed) -> None:
        listed = installed.wsi_parse("models")
        text = " ".join(listed.stdout.split())
        assert "example-model" in text
        assert "finds nuclei, blue discs, blue fields" in text
        assert "The weights of example-model are not installed. Get them: wsi-parse models get example-model" in text

    def test_a_broken_model_is_one_warning_with_its_cause(self, installed: Installed) -> None:
        listed = installed.wsi_parse("models")
        warning = (
            "The model example-broken of the package wsi-parse-example cannot be loaded (ModuleNotFoundError: No "
            "module named 'a_package_that_nobody_has'). Update or uninstall wsi-parse-example. It is skipped."
        )
        assert " ".join(listed.stderr.split()).count(warning) == 1
        shown = installed.wsi_parse("models", "show", "example-broken", check=1)
        assert "No module named 'a_package_that_nobody_has'" in one_line(shown.stderr)

    def test_facts_of_all_models_are_json(self, installed: Installed) -> None:
        listed = json.loads(installed.wsi_parse("models", "--json").stdout)
        assert {"example-model", "mini", "stain"} <= {facts["name"] for facts in listed}

    def test_auto_takes_the_next_one_and_names_it(self, installed: Installed, slide: Path) -> None:
        done = installed.wsi_parse(slide, "-p", "nuclei", "--dry-run")
        text = " ".join(done.stderr.split())
        assert "Using mini" in text
        assert "wsi-parse models get example-model" in text


def test_the_help_lists_what_is_registered(installed: Installed) -> None:
    text = " ".join(installed.wsi_parse("run", "--help-all").stdout.split())
    assert "geojson" in text
    assert "example-list" in text
    assert "example-cluster" in text


def test_info_opens_a_folder_that_is_a_slide(installed: Installed, slide: Path) -> None:
    facts = json.loads(installed.wsi_parse("info", slide, "--json").stdout)
    assert (facts["name"], facts["reader"], facts["mpp_x_um"]) == ("case 1", "example-reader", 0.5)


class TestWithWeights:
    def test_get_calls_its_install_and_verify_its_checks(self, installed: Installed, tmp_path: Path) -> None:
        got = installed.wsi_parse("models", "get", "example-model")
        assert "no bytes at all" in got.stderr or "Installed in" in got.stderr
        pixels = tissue_with_nuclei(400, 300)[0]
        for kind, picture in (("images", pixels), ("masks", pixels[..., 2].astype(int) - pixels[..., 0] >= 30)):
            (tmp_path / kind).mkdir()
            Image.fromarray(picture).save(tmp_path / kind / "a.png")
        labelled = ("--labelled", tmp_path, "--prompt", "blue dots", "--mpp", "0.5")
        verified = " ".join(installed.wsi_parse("models", "verify", "example-model", *labelled).stdout.split())
        for words in ("threshold 30", "prompt blue discs", "labelled fields 6", "dice mean 1.0", "MIT"):
            assert words in verified
        shown = installed.wsi_parse("models", "show", "example-model").stdout
        assert "every example is blue" in shown

    def test_auto_takes_it_by_rank_for_its_own_words(self, with_weights: Installed, slide: Path) -> None:
        for prompt in ("nuclei", "Blue dots", "blue fields"):
            done = with_weights.wsi_parse(slide, "-p", prompt, "--dry-run")
            assert "Using example-model" in " ".join(done.stderr.split())

    def test_a_run_with_all_of_it(self, with_weights: Installed, slide: Path, tmp_path: Path) -> None:
        formats = ("--format", "example-list", "--format", "geojson")
        done = with_weights.wsi_parse(
            slide.parent,
            "-p",
            "blue dots",
            "-o",
            tmp_path,
            *formats,
            *overrides(),
            "--set",
            "compute.cluster=example-cluster",
        )
        manifest = json.loads((tmp_path / "case 1" / "run.json").read_text())
        assert manifest["state"] == "done"
        assert manifest["model"]["name"] == "example-model"
        assert manifest["slide"]["reader"] == "example-reader"
        assert manifest["versions"]["wsi-parse-example"] == "1.0"
        assert manifest["counts"]["blue discs"] > 20
        assert manifest["prompts"][0]["class"] == "Disc"
        count = manifest["counts"]["blue discs"]
        assert manifest["formats"]["example-list"] == {
            "files": ["example.txt.qupath"],
            "how_to_open": "read it aloud",
            "lines": count,
        }
        listed = (tmp_path / "case 1" / "example.txt.qupath").read_text().splitlines()
        assert len(listed) == count + 2
        features = json.loads((tmp_path / "case 1" / "annotations.geojson").read_text())["features"]
        assert {feature["properties"]["classification"]["name"] for feature in features} == {"Disc"}
        assert features[0]["properties"]["classification"]["color"] == [0, 0, 200]
        printed = " ".join(done.stderr.split())
        assert "tiles are partly blue." in printed
        assert f"The example lists {count} objects." in printed
        assert "example.txt.qupath (read it aloud;" in printed

    def test_all_means_its_targets(self, with_weights: Installed, slide: Path, tmp_path: Path) -> None:
        with_weights.wsi_parse(slide, "-p", "all", "--model", "example-model", "-o", tmp_path, *overrides())
        manifest = json.loads((tmp_path / "case 1" / "run.json").read_text())
        assert list(manifest["counts"]) == ["nuclei", "blue discs", "blue fields"]
        assert [prompt["kind"] for prompt in manifest["prompts"]] == ["cell", "cell", "region"]
        with_weights.wsi_parse("export", tmp_path / "case 1", "--format", "example-list")
        listed = (tmp_path / "case 1" / "example.txt.qupath").read_text().splitlines()
        assert len(listed) == sum(manifest["counts"].values()) + 2

    def test_a_cohort_finds_its_slides(self, with_weights: Installed, slide: Path, tmp_path: Path) -> None:
        with_weights.wsi_parse("cohort", slide.parent, "-p", "blue discs", "-o", tmp_path, *overrides())
        manifest = json.loads((tmp_path / "case 1" / "run.json").read_text())
        assert (manifest["state"], manifest["model"]["name"]) == ("done", "example-model")


class TestFailures:
    @pytest.mark.parametrize(
        ("fails", "name", "more"),
        [
            ("open", "The reader example-reader failed", ()),
            ("read", "The reader example-reader failed", ()),
            ("predict", "The model example-model failed", ()),
            ("predict", "The model example-model failed", ("--set", "compute.workers=1")),
            ("summarise", "The model example-model failed", ()),
            ("write", "The exporter example-list failed", ()),
            ("start", "The cluster example-cluster failed", ("--set", "compute.cluster=example-cluster")),
        ],
    )
    def test_an_exception_ends_in_one_line_that_names_the_plug_in(
        self, with_weights: Installed, slide: Path, tmp_path: Path, fails: str, name: str, more: tuple[str, ...]
    ) -> None:
        command = (slide, "-p", "blue discs", "-o", tmp_path, "--format", "example-list", *overrides(), *more)
        line = one_line(with_weights.wsi_parse(*command, check=1, fails=fails).stderr)
        assert f"{name}: {FAILURE}" in line

    @pytest.mark.parametrize(
        ("fails", "file", "text"),
        [
            ("read", "reader.py", FAILURE),
            ("predict", "model.py", FAILURE),
            # A class that cannot be sent from the worker's process.
            ("predict-oddly", "model.py", "OddError: an odd error"),
            ("write", "exporter.py", FAILURE),
        ],
    )
    def test_with_traceback_its_file_and_line_are_shown(
        self, with_weights: Installed, slide: Path, tmp_path: Path, fails: str, file: str, text: str
    ) -> None:
        command = (slide, "-p", "blue discs", "-o", tmp_path, "--format", "example-list", *overrides())
        processes = ("--set", "compute.workers=1")
        shown = with_weights.wsi_parse(*command, *processes, "--traceback", check=1, fails=fails).stderr
        assert text in shown
        folder = Path("wsi_parse_example")
        place = f'{folder / file}", line '
        assert place in shown
        line = shown.split(place)[1].split(",")[0]
        source = (PACKAGE / "src" / folder / file).read_text().splitlines()[int(line) - 1]
        assert f'fail("{fails.removesuffix("-oddly")}")' in source
