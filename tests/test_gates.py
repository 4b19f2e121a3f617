"""The gates: only regular files that can be read come in; no output is an input, another output, or somebody's work."""

import os
import unicodedata
from datetime import date
from pathlib import Path

import pytest

from tests.rights import run_as_ordinary_user
from wsi_parse.errors import SettingsError, UsageError
from wsi_parse.gates import check_input, check_outputs, exists, is_same, keep_aside, suggestions


def test_a_file_comes_in_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x")
    (tmp_path / "link.csv").symlink_to(path)
    assert check_input(str(path), "a list") == path
    assert check_input(tmp_path / "link.csv", "a list") == tmp_path / "link.csv"
    assert check_input(tmp_path, "a slide", folder=True) == tmp_path


def test_what_is_refused_and_how(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "slides.csv").write_text("12345")
    (tmp_path / "dead").symlink_to(tmp_path / "nothing")
    for path, message in {
        tmp_path / "slide.csv": "There is no file .*slide.csv. Did you mean 'slides.csv'",
        tmp_path / "slides.csv" / "x": "There is no file",
        tmp_path / "pipe": "is a pipe, and not a list",
        tmp_path / "dead": "is a link to a file that does not exist",
        tmp_path: "is a folder, and not a list",
        Path("/dev/zero"): "is a device, and not a list",
        Path("a\0b"): "is not the name of a file",
        Path("\udcff" * 9): "There is no file",
        tmp_path / ("x" * 300): r"x{40}… \(300 letters\) cannot be read: File name too long",
        tmp_path / "slides.csv": "is too large for a list: it has 5 bytes, and at most 4 bytes are read",
    }.items():
        with pytest.raises(SettingsError, match=message):
            check_input(path, "a list", error=SettingsError, max_bytes=4)
        assert exists(path) == (path in {tmp_path, tmp_path / "pipe", tmp_path / "slides.csv", Path("/dev/zero")})


def test_what_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "a.svs").write_text("x")
    (tmp_path / "b.svs").write_text("x")
    (tmp_path / "b.svs").chmod(0)
    (tmp_path / "closed").chmod(0)
    code = (
        "import sys\nfrom wsi_parse.gates import check_input, exists\nfrom wsi_parse.errors import UsageError\n"
        "for path in sys.argv[1:]:\n    try:\n        check_input(path, 'a slide', folder=True)\n"
        "    except UsageError as error:\n        print(error)\n"
    )
    ended = run_as_ordinary_user(code, tmp_path / "closed" / "a.svs", tmp_path / "b.svs", tmp_path / "closed")
    (tmp_path / "closed").chmod(0o700)
    assert ended.stdout.count("cannot be read: Permission denied. Check the path, and whether you have permission") == 3


def test_outputs_are_no_inputs(tmp_path: Path) -> None:
    truth = tmp_path / "truth.geojson"
    truth.write_text("{}")
    (tmp_path / "hard.geojson").hardlink_to(truth)
    (tmp_path / "soft.geojson").symlink_to(truth)
    (tmp_path / "around").symlink_to(tmp_path)
    for name in (
        "truth.geojson",
        "hard.geojson",
        "soft.geojson",
        "TRUTH.geojson",
        "around/truth.geojson",
        "./truth.geojson",
    ):
        with pytest.raises(UsageError, match=r"--json would overwrite the truth: .*Choose another name"):
            check_outputs({"--json": tmp_path / name}, {"the truth": truth})
    check_outputs({"--json": tmp_path / "other.json", "--csv": tmp_path / "other.csv"}, {"the truth": truth})
    with pytest.raises(UsageError, match="--csv and --json name the same file"):
        check_outputs({"--json": tmp_path / "a", "--csv": tmp_path / "A"}, {})
    with pytest.raises(UsageError, match="--json would overwrite a file of the slide"):
        check_outputs({"--json": truth}, {"the slide": tmp_path})


def test_unicode_forms_of_a_name_are_one_name() -> None:
    composed, decomposed = (unicodedata.normalize(form, "Größe.json") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert is_same(Path(composed), Path(decomposed))
    assert not is_same(Path("a"), Path("b"))
    assert is_same(Path("a\0"), Path("a\0"))


def test_what_is_kept_aside_keeps_its_content_and_all_its_endings(tmp_path: Path) -> None:
    today = date.today().isoformat()
    for number, expected in enumerate(("", "-2", "-3")):
        (tmp_path / "a.geojson.gz").write_text(str(number))
        kept = keep_aside(tmp_path / "a.geojson.gz")
        assert kept.name == f"a.edited-{today}{expected}.geojson.gz"
        assert kept.read_text() == str(number)
        assert not (tmp_path / "a.geojson.gz").exists()
    (tmp_path / "p.ome.zarr").mkdir()
    (tmp_path / "p.ome.zarr" / "x").write_text("y")
    assert (keep_aside(tmp_path / "p.ome.zarr") / "x").read_text() == "y"
    (tmp_path / ".hidden").write_text("z")
    assert keep_aside(tmp_path / ".hidden").name == f".hidden.edited-{today}"


def test_a_similar_name_is_looked_for_where_it_helps(tmp_path: Path) -> None:
    (tmp_path / "slide_1.svs").touch()
    with pytest.raises(UsageError, match=r"no file \S+slide_2\.svs\. Did you mean 'slide_1\.svs'\?"):
        check_input(tmp_path / "slide_2.svs", "a slide")
    with suggestions(wanted=False), pytest.raises(UsageError, match=r"no file \S+slide_2\.svs\. Check the path\."):
        check_input(tmp_path / "slide_2.svs", "a slide")
    with pytest.raises(UsageError, match="Did you mean"):
        check_input(tmp_path / "slide_2.svs", "a slide")
