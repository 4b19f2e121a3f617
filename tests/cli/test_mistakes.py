"""Mistakes of somebody who has only the command line: each is named, with what was meant, also by a dry run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.in_process import Ended, caller
from tests.small_slides import tissue_with_nuclei, write_slide

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
    "quotes, with =": (("--prompt=tumour", "cells", "SLIDE"), 2, ('--prompt "tumour cells"',)),
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
    "value": (("SLIDE", "-p", "nuclei", "--threshold", "40"), 2, ("objects.threshold", "less than 1")),
    "format": (
        ("SLIDE", "-p", "nuclei", "--format", "geojsn"),
        2,
        ("no format called 'geojsn'", "Did you mean 'geojson'?"),
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
    "keep": (("SLIDE", "-p", "nuclei", "--keep", "prediction"), 2, ("export.keep", "'predictions'")),
    "name": (("SLIDE", "OTHER", "-p", "nuclei", "--name", "case"), 2, ("2 slides", "--name 'case {id}'")),
    "file": (("missing.svs", "-p", "nuclei"), 1, ("There is no file missing.svs.",)),
    "weights": (
        ("SLIDE", "-p", "nuclei", "--model", "mini", "--weights", "missing.pt"),
        1,
        ("missing.pt cannot be read", "Check --weights."),
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
    arguments = [{"SLIDE": str(slide), "OTHER": str(other)}.get(word, word) for word in typed]
    done = [call(*arguments, "-o", "out", *more) for more in ((), ("--dry-run",))]
    for ended in done:
        assert ended.code == code, ended.err
        assert all(part in " ".join(ended.err.split()) for part in words), ended.err
        assert "Traceback" not in ended.err
        assert "--traceback" not in ended.err, "nobody needs to see where a mistake was noticed"
    assert done[0].err.splitlines()[-1] == done[1].err.splitlines()[-1]
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("run.json"))


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
