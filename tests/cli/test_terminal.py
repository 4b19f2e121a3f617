"""-q, -v, --traceback, and notes: what a person sees, and how often."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.in_process import Ended, caller
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.cli import terminal
from wsi_parse.models.contract import Segmenter
from wsi_parse.models.stain import StainModel
from wsi_parse.progress import Hint, Limitation
from wsi_parse.registry import MODELS

Call = Callable[..., Ended]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slides") / "s.svs", tissue_with_nuclei(700, 600)[0])


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Call]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSI_PARSE_CACHE", str(tmp_path / "cache"))
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield caller(monkeypatch, capsys)
    root.setLevel(level)
    root.handlers[:] = handlers
    terminal.reset()


class Faulty(StainModel):
    """A model of somebody else that fails in its own way."""

    def predict(self, images: Any, scale_pass: Any, state: Any) -> Any:
        try:
            return {}[images.shape]
        except KeyError as error:
            raise RuntimeError("the plug-in is out of order") from error


@pytest.fixture
def faulty() -> Iterator[type[Segmenter]]:
    MODELS.add("faulty", Faulty)
    yield Faulty
    MODELS.remove("faulty")


def test_quiet_shows_nothing_of_a_run_that_is_well(call: Call, slide: Path, tmp_path: Path) -> None:
    ended = call(slide, "-p", "nuclei", "--model", "stain", "-o", "out", "-q")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert (tmp_path / "out" / "s" / "run.json").exists()
    loud = call(slide, "-p", "nuclei", "--model", "stain", "-o", "out")
    assert "annotations.geojson" in loud.err, "what was quiet is loud again"


def test_quiet_shows_errors_and_results(call: Call, slide: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.svs"
    bad.write_bytes(b"not a slide")
    ended = call("-q", bad, slide, "-p", "nuclei", "--model", "stain", "-o", "out")
    assert ended.code == 1
    assert ended.err.startswith("failed ")
    assert len(ended.err.splitlines()) == 1
    assert "mpp_x_um" in call("info", slide, "--json", "-q").out
    of_cohort = call("cohort", bad, slide, "-p", "nuclei", "--model", "stain", "-o", "c", "-q")
    assert of_cohort.code == 1
    assert len(of_cohort.err.splitlines()) == 1
    assert "bad" in of_cohort.err


def test_verbose_logs_what_is_done(call: Call, slide: Path) -> None:
    arguments = (slide, "-p", "nuclei", "--model", "stain")
    assert "INFO" not in call(*arguments, "-o", "a").err
    loud = call(*arguments, "-o", "b", "-v").err
    assert "INFO wsi_parse.progress: The stage tissue took" in loud
    assert "distributed" not in loud
    assert "DEBUG" not in loud
    assert len(call(*arguments, "-o", "c", "-vv").err) > len(loud)


@pytest.mark.parametrize("library", ["tifffile", "tiffslide", "openslide", "pydicom", "PIL.TiffImagePlugin", "zarr"])
def test_lines_of_libraries_are_shown_only_with_vv(
    capsys: pytest.CaptureFixture[str], call: Call, library: str
) -> None:
    for verbose, is_heard in ((0, False), (1, False), (2, True)):
        terminal.reset()
        terminal.configure(quiet=False, verbose=verbose, traceback=False)
        logging.getLogger(library).error("<tifffile.TiffPages @8> invalid offset")
        assert ("invalid offset" in capsys.readouterr().err) == is_heard


class TestTraceback:
    def test_without_it_one_line_that_names_the_file_of_the_traceback(
        self, call: Call, slide: Path, faulty: type[Segmenter], tmp_path: Path
    ) -> None:
        ended = call(slide, "-p", "nuclei", "--model", "faulty", "-o", "out")
        assert ended.code == 1
        assert "Traceback" not in ended.err
        failed = [line for line in ended.err.splitlines() if line.startswith("failed")]
        assert len(failed) == 1
        assert "RuntimeError: the plug-in is out of order" in failed[0]
        (kept,) = (tmp_path / "cache" / "errors").iterdir()
        assert f"(its traceback is in {kept})" in failed[0]
        assert kept.stat().st_mode & 0o777 == 0o600
        assert kept.parent.stat().st_mode & 0o777 == 0o700
        assert f'File "{__file__}"' in kept.read_text()
        assert "KeyError: " in kept.read_text()

    @pytest.mark.parametrize("more", [(), ("--json",)], ids=["text", "json"])
    def test_with_it_file_and_line_of_the_plug_in_and_of_the_cause(
        self, call: Call, slide: Path, faulty: type[Segmenter], more: tuple[str, ...]
    ) -> None:
        ended = call(slide, "-p", "nuclei", "--model", "faulty", "-o", "out", "--traceback", *more)
        assert ended.code == 1
        assert f'File "{__file__}"' in ended.err
        assert "raise RuntimeError(" in ended.err
        assert "KeyError: " in ended.err
        assert "traceback is in" not in ended.err

    @pytest.mark.whole
    def test_from_a_worker_process_too(self, slide: Path, tmp_path: Path) -> None:
        """Causes travel with the error, though Python's pickle leaves them out."""
        (tmp_path / "faulty.py").write_text(
            "from wsi_parse.models.stain import StainModel\n"
            "class Faulty(StainModel):\n"
            "    def predict(self, images, scale_pass, state):\n"
            "        try:\n            {}[1]\n"
            "        except KeyError as error:\n            raise RuntimeError('out of order') from error\n"
        )
        # Every process of this Python imports it when it starts.
        (tmp_path / "sitecustomize.py").write_text(
            "from wsi_parse.registry import MODELS\nMODELS._builtin['faulty'] = 'faulty:Faulty'\n"
        )
        folders = os.pathsep.join((str(tmp_path), str(ROOT)))
        arguments = [slide, "-p", "nuclei", "--model", "faulty", "-o", tmp_path / "out", "--workers", "1"]
        ended = subprocess.run(
            [sys.executable, "-m", "wsi_parse", *arguments, "--traceback"],
            env=os.environ | {"PYTHONPATH": folders},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 1
        assert f'File "{tmp_path / "faulty.py"}"' in ended.stderr
        assert "KeyError: 1" in ended.stderr
        assert "RuntimeError: out of order" in ended.stderr

    def test_of_an_error_of_ours(self, call: Call) -> None:
        plain, traced = call("info", "missing.svs"), call("info", "missing.svs", "--traceback")
        assert plain.err == "wsi-parse: There is no file missing.svs. Check the path.\n"
        assert traced.err.startswith(plain.err)
        assert "opening.py" in traced.err
        assert plain.code == traced.code == 1

    def test_in_a_cohort(self, call: Call, slide: Path, faulty: type[Segmenter], tmp_path: Path) -> None:
        arguments = ("cohort", slide, "-p", "nuclei", "--model", "faulty", "-o", "c", "--retry-failed")
        plain = call(*arguments)
        assert "Traceback" not in plain.err
        (kept,) = (tmp_path / "cache" / "errors").iterdir()
        assert f"its traceback is in {kept}" in plain.err
        assert f'File "{__file__}"' in kept.read_text()
        traced = call(*arguments, "--traceback")
        assert f'File "{__file__}"' in traced.err
        assert traced.code == 1

    def test_of_what_nobody_foresaw(
        self, call: Call, slide: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError("by nothing")

        monkeypatch.setattr("wsi_parse.slides.open_slide", broken)
        ended = call("info", slide)
        assert ended.code == 1
        (kept,) = (tmp_path / "cache" / "errors").iterdir()
        assert ended.err == f"wsi-parse: ZeroDivisionError: by nothing (its traceback is in {kept}; please report it)\n"
        assert "in broken" in kept.read_text()
        assert "in broken" in call("info", slide, "--traceback").err


class TestNotes:
    def test_a_hint_is_said_once_a_day(self, call: Call, slide: Path, tmp_path: Path) -> None:
        arguments = (slide, "-p", "neoplastic cells", "-o", "out", "--dry-run")
        hint = "The weights of biomedparse are not installed."
        for quiet in ("-q", "--json"):
            assert hint not in call(*arguments, quiet).err, "nobody saw it"
        assert hint in call(*arguments).err
        again = call(*arguments).err
        assert "Using mini." in again, "which model is used is said each time"
        assert hint not in again
        for mark in (tmp_path / "cache" / "said").iterdir():
            os.utime(mark, (time.time() - 90_000,) * 2)
        assert hint in call(*arguments).err

    def test_what_cannot_be_noted_is_said_each_time(self, call: Call, slide: Path, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("a file in the way")
        arguments = (slide, "-p", "neoplastic cells", "-o", "out", "--dry-run")
        for _ in range(2):
            assert "The weights of biomedparse are not installed." in call(*arguments).err

    def test_a_caution_is_one_line_with_the_command_that_shows_the_card(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        caution = Limitation.of("It guesses. In 3.5 % of the cells, it is wrong.", "other")
        terminal.say(terminal.messages(), caution)
        assert capsys.readouterr().err == "It guesses. Before you rely on the result: wsi-parse models other\n"

    def test_the_whole_caution_is_in_the_manifest_and_its_card_is_shown(self, call: Call, slide: Path) -> None:
        from wsi_parse.models.mini.facts import LIMITATION
        from wsi_parse.run.resolve import resolve
        from wsi_parse.settings import RunSettings

        request = resolve(RunSettings.load(prompts=("neoplastic cells",), model={"name": "mini"}))
        (limitation,) = request.limitations
        assert limitation in request.notes
        assert LIMITATION in limitation
        assert limitation.model == "mini"
        assert LIMITATION in " ".join(call("models", "mini").out.split())
        assert call("models", "mini").out == call("models", "show", "mini").out

    def test_kinds_of_notes_are_texts(self) -> None:
        assert Hint("a") == "a"
        assert Limitation.of("a", "m") == "a"
        assert np.array([Limitation.of("a", "m")])[0] == "a"


def test_python_m_and_main_are_the_same_program() -> None:
    import wsi_parse.__main__ as program
    from wsi_parse.cli.main import main

    assert program.main is main
