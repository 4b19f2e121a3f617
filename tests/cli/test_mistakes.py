"""Mistakes of somebody who has only the command line: each is named, with what was meant, also by a dry run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.in_process import Ended, caller
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.cli.mistakes import check_numbers
from wsi_parse.errors import UsageError

Call = Callable[..., Ended]


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slides") / "s.svs", tissue_with_nuclei(700, 600)[0])


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSI_PARSE_CACHE", str(tmp_path / "cache"))
    return caller(monkeypatch, capsys)


# What was typed, the exit code, and what the one line says.
MISTAKES: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "quotes": (
        ("SLIDE", "--prompt", "neoplastic", "cells"),
        2,
        ("no slide called 'cells'", '--prompt "neoplastic cells"'),
    ),
    "words before the slide": (
        ("neoplastic", "cells", "SLIDE"),
        2,
        ("no file and no folder called 'neoplastic cells'", '--prompt "neoplastic cells"'),
    ),
    "list of slides": (("list.csv", "-p", "nuclei"), 2, ("is a list", "wsi-parse cohort list.csv")),
    "output folder": (
        ("SLIDE", "-p", "nuclei", "--model", "stain", "-o", "file"),
        2,
        ("file is a file, not a folder", "--out"),
    ),
    "output folder below a file": (
        ("SLIDE", "-p", "nuclei", "--model", "stain", "-o", "file/out"),
        2,
        ("file is a file, not a folder", "--out"),
    ),
    "output folder of a cohort": (
        ("cohort", "SLIDE", "-p", "nuclei", "--model", "stain", "-o", "file"),
        2,
        ("file is a file, not a folder", "--out"),
    ),
    "column": (
        ("cohort", "list.csv", "-p", "nuclei"),
        2,
        ("unknown columns: 'prompt'", "Did you mean 'prompts'?"),
    ),
    "quotes, with =": (("--prompt=tumour", "cells", "SLIDE"), 2, ('--prompt "tumour cells"',)),
    "option for a value": (
        ("SLIDE", "-p", "nuclei", "--model", "--dry-run"),
        2,
        ("--model has no value: --dry-run follows it", "leave --model out"),
    ),
    "letter for a value": (("SLIDE", "-p", "nuclei", "-o", "-v"), 2, ("-o has no value: -v follows it",)),
    "option for a prompt": (("SLIDE", "--prompt", "--model=stain"), 2, ("--prompt has no value: --model=stain",)),
    "command": (("prevew", "SLIDE"), 2, ("no command and no file called 'prevew'", "Did you mean 'preview'?")),
    "prompt": (
        ("SLIDE", "-p", "neoplasic cells", "--model", "mini"),
        2,
        ("does not know 'neoplasic cells'", "Did you mean 'neoplastic cells'?"),
    ),
    "prompt, any model": (
        ("SLIDE", "-p", "nucleii"),
        2,
        ("No installed model knows 'nucleii'", "Did you mean 'nuclei'?"),
    ),
    "one empty prompt": (("SLIDE", "-p", "nuclei", "-p", ""), 2, ("One of the prompts is empty", "Leave it out")),
    "no prompt": (("SLIDE",), 2, ("There is no prompt.", '--prompt "nuclei"')),
    "model": (("SLIDE", "-p", "nuclei", "--model", "stian"), 2, ("no model called 'stian'", "Did you mean 'stain'?")),
    "organ": (
        ("SLIDE", "-p", "all", "--model", "biomedparse", "--organ", "brest"),
        2,
        ("'brest' is not in the list", "Did you mean 'breast'?"),
    ),
    "setting": (
        ("SLIDE", "-p", "nuclei", "--set", "objects.treshold=0.4"),
        2,
        ("no setting objects.treshold", "did you mean objects.threshold?"),
    ),
    "value": (
        ("SLIDE", "-p", "nuclei", "--threshold", "40"),
        2,
        ("objects.threshold is 40:", "less than 1", "did you mean 0.4?"),
    ),
    "format": (
        ("SLIDE", "-p", "nuclei", "--format", "geojsn"),
        2,
        ("no format called 'geojsn'", "Did you mean 'geojson'?"),
    ),
    "two letters of a format": (
        ("SLIDE", "-p", "nuclei", "--set", "export.formats=cvs"),
        2,
        ("no format called 'cvs'", "Did you mean 'csv'?"),
    ),
    "reader": (
        ("SLIDE", "-p", "nuclei", "--set", "slide.reader=openslid"),
        2,
        ("no reader called 'openslid'", "Did you mean 'openslide'?"),
    ),
    "cluster": (
        ("SLIDE", "-p", "nuclei", "--cluster", "slrum"),
        2,
        ("no cluster called 'slrum'", "Did you mean 'slurm'?"),
    ),
    "keep": (
        ("SLIDE", "-p", "nuclei", "--keep", "prediction"),
        2,
        ("export.keep is 'prediction'", "did you mean 'predictions'?"),
    ),
    "name": (("SLIDE", "OTHER", "-p", "nuclei", "--name", "case"), 2, ("2 slides", "--name 'case {id}'")),
    "file": (("missing.svs", "-p", "nuclei"), 1, ("There is no file missing.svs.",)),
    "weights": (
        ("SLIDE", "-p", "nuclei", "--model", "mini", "--weights", "missing.pt"),
        1,
        ("There is no file missing.pt.", "Check the path."),
    ),
    "weights of a model without": (
        ("SLIDE", "-p", "nuclei", "--model", "stain", "--weights", "SLIDE"),
        2,
        ("stain has no weights",),
    ),
    "region": (("SLIDE", "-p", "nuclei", "--model", "stain", "--roi", "missing.geojson"), 2, ("missing.geojson",)),
    "pixel size": (("SLIDE", "-p", "nuclei", "--model", "stain", "--mpp", "0.1"), 1, ("--override-mpp",)),
}


@pytest.mark.parametrize(("typed", "code", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_ends_in_one_line_also_with_dry_run(
    call: Call, slide: Path, tmp_path: Path, typed: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    other = tmp_path / "other.svs"
    other.write_bytes(slide.read_bytes())
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "list.csv").write_text("path,prompt\nother.svs,nuclei\n")
    arguments = [{"SLIDE": str(slide), "OTHER": str(other)}.get(word, word) for word in typed]
    folder = () if "-o" in arguments else ("-o", "out")
    done = [call(*arguments, *folder, *more) for more in ((), ("--dry-run",))]
    for ended in done:
        assert ended.code == code, ended.err
        assert all(part in " ".join(ended.err.split()) for part in words), ended.err
        assert "Traceback" not in ended.err
        assert "--traceback" not in ended.err, "nobody needs to see where a mistake was noticed"
    assert done[0].err.splitlines()[-1] == done[1].err.splitlines()[-1]
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("run.json"))


def test_a_mistyped_command_of_models_is_named(call: Call) -> None:
    ended = call("models", "gte", "mini")
    assert (ended.code, "Did you mean 'get'?" in ended.err) == (2, True), ended.err


def test_a_folder_of_runs_is_not_a_run_and_names_one(call: Call, slide: Path) -> None:
    assert call(slide, "-p", "nuclei", "--model", "stain", "-o", "out").code == 0
    ended = call("export", "out", "--format", "csv")
    assert (ended.code, f"Give the folder of one slide, such as {Path('out', 's')}." in ended.err) == (2, True), ended


def test_a_dry_run_says_what_need_not_be_predicted(call: Call, slide: Path) -> None:
    def said(*more: str, dry: bool = True) -> str:
        ended = call(slide, "-p", "nuclei", "--model", "stain", "-o", "out", *more, *["--dry-run"] * dry)
        assert ended.code == 0, ended.err
        return ended.err

    assert "· about " in said()
    said("--keep", "predictions", dry=False)
    for more in ((), ("--format", "csv")):
        assert "nothing to predict" in said(*more)
    changed = said("--threshold", "0.4")
    assert "Predicted maps of these settings are there" in changed
    assert "· at most " in changed


@pytest.mark.parametrize("command", ["run", "preview", "cohort"])
def test_every_command_with_prompts_notices_missing_quotes(call: Call, slide: Path, command: str) -> None:
    assert '-p "tumour cells"' in call(command, slide, "-p", "tumour", "cells", "-o", "out").err


def test_words_that_are_files_need_no_quotes(call: Call, slide: Path, tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "s.svs").write_bytes(slide.read_bytes())
    ended = call("-p", "nuclei", "cells", "--model", "stain", "-o", "out", "--dry-run")
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("models", "mni"), "There is no model called 'mni'. Did you mean 'mini'?"),
        (("models", "verfy"), "Did you mean 'verify'?"),
        (("models", "show", "stian"), "Did you mean 'stain'?"),
        (("-q", "prevew", "a.svs"), "Did you mean 'preview'?"),
        (("SLIDE", "--promt", "nuclei"), "--prompt"),
        (("SLIDE", "-p", "nuclei", "--cell-expansion", "wide"), "--cell-expansion"),
    ],
)
def test_other_mistyped_words(call: Call, slide: Path, typed: tuple[str, ...], words: str) -> None:
    ended = call(*(str(slide) if word == "SLIDE" else word for word in typed))
    assert ended.code == 2
    assert words in " ".join(ended.err.split())


def test_a_cohort_checks_the_same(call: Call, slide: Path, tmp_path: Path) -> None:
    for more in ((), ("--dry-run",)):
        assert (
            "Did you mean 'stain'?" in call("cohort", slide, "-o", "c", "-p", "nuclei", "--model", "stian", *more).err
        )
        assert call("cohort", slide, "-o", "c", "-p", "nuclei", "--format", "geojsn", *more).code == 2
        (tmp_path / "two").mkdir(exist_ok=True)
        for name in ("a", "b"):
            (tmp_path / "two" / f"{name}.svs").write_bytes(slide.read_bytes())
        assert "{id}" in call("cohort", "two", "-o", "c", "-p", "nuclei", "--name", "case", *more).err


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("lymphocytes", "'inflammatory cells', which is wider than what you asked for: the result also contains other"),
        ("tumour cells", "'tumour cells' is understood as 'neoplastic cells', which means the same."),
    ],
)
def test_a_wider_word_is_told_and_a_synonym_as_one(call: Call, slide: Path, prompt: str, words: str) -> None:
    ended = call(slide, "-p", prompt, "--model", "mini", "-o", "out", "--dry-run")
    assert ended.code == 0
    assert words in ended.err


def test_weights_that_are_not_installed_are_only_a_note_of_a_dry_run(call: Call, slide: Path) -> None:
    arguments: list[Any] = [slide, "-p", "glands", "--model", "biomedparse", "-o", "out"]
    dry, wet = call(*arguments, "--dry-run"), call(*arguments)
    assert "The weights of biomedparse are not installed." in dry.err
    assert "by the model's own figure" in dry.err
    assert dry.code == 0
    assert wet.code == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--threshold", "0,5"], "--threshold is '0,5', which is not a number. Did you mean --threshold 0.5?"),
        (["--threshold=50%"], "--threshold is '50%', which is not a number. Did you mean --threshold 0.5?"),
        (["--mpp", "0.25um"], "--mpp is '0.25um', which is not a number. Did you mean --mpp 0.25?"),
        (
            ["--workers", "1.5"],
            "--workers is '1.5', which is not a whole number. Write a whole number after --workers.",
        ),
    ],
)
def test_a_value_that_is_no_number(arguments: list[str], expected: str) -> None:
    numbers = {"--threshold": False, "--mpp": False, "--workers": True}
    with pytest.raises(UsageError) as caught:
        check_numbers(["a.svs", *arguments], numbers)
    assert str(caught.value) == expected
    check_numbers(["a.svs", "--threshold", "0.5", "--workers", "2", "--mpp=1e-1", "--mpp"], numbers)
