"""Whatever a path leads to, a slide opens or one sentence says why not; nothing waits, and nothing else is raised."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rights import run_as_ordinary_user
from wsi_parse.errors import SlideOpenError
from wsi_parse.slides import list_slides, open_slide

DICOM = "dicom/CMU-1-Small-Region"


def _pipe(folder: Path) -> str:
    os.mkfifo(folder / "a.svs")
    return str(folder / "a.svs")


def _socket(folder: Path) -> str:
    here = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("a.svs")
    finally:
        os.fchdir(here)
        os.close(here)
    return str(folder / "a.svs")


def _loop(folder: Path) -> str:
    (folder / "a.svs").symlink_to(folder / "b.svs")
    (folder / "b.svs").symlink_to(folder / "a.svs")
    return str(folder / "a.svs")


def _device(folder: Path) -> str:
    (folder / "a.svs").symlink_to("/dev/zero")
    return str(folder / "a.svs")


def _dangling(folder: Path) -> str:
    (folder / "a.svs").symlink_to(folder / "gone.svs")
    return str(folder / "a.svs")


def _below_a_file(folder: Path) -> str:
    (folder / "a.svs").touch()
    return str(folder / "a.svs" / "b.svs")


@pytest.mark.parametrize("ask", [open_slide, lambda path: [open_slide(one) for one in list_slides([path])]])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_pipe, "is a pipe"),
        (_socket, "is a socket"),
        (_device, "is a device"),
        (_loop, "cannot be read: Too many levels"),
        (_dangling, "link to a file that does not exist"),
        (_below_a_file, "There is no file"),
        (lambda folder: "/dev/null", "is a device"),
        (lambda folder: str(folder / ("n" * 300)), r"n… \(300 letters\) cannot be read: File name too long"),
        (lambda folder: str(folder / "a\0.svs"), "is not the name of a file"),
        (lambda folder: str(folder / "a\ud800.svs"), "is not the name of a file"),
        (lambda folder: str(folder / "a\udcff.svs"), "There is no file"),
        (lambda folder: "", "is a folder|contains no slide"),
    ],
)
def test_a_path_that_leads_to_no_slide_is_one_sentence(
    tmp_path: Path,
    ask: Callable[[str], object],
    make: Callable[[Path], str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = make(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises((SlideOpenError, ValueError), match=words):
        ask(path)


def test_a_file_whose_name_is_no_utf8_is_read(tmp_path: Path, painted: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.svs"))
    path.write_bytes((painted / "a.svs").read_bytes())
    with open_slide(path) as slide:
        assert slide.dimensions == (1536, 1120)
    assert list_slides([tmp_path]) == [path]


def test_a_pipe_among_the_files_of_a_dicom_slide_is_not_waited_for(slides: Path, tmp_path: Path) -> None:
    for file in (slides / DICOM).iterdir():
        shutil.copy(file, tmp_path)
    open_slide(tmp_path / "03.dcm").close()
    os.mkfifo(tmp_path / "another")
    with pytest.raises(SlideOpenError, match=r"another is a pipe, and not a file of the slide 03\.dcm"):
        open_slide(tmp_path / "03.dcm")


def test_a_pipe_among_the_files_of_other_formats_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.mrxs").write_bytes(b"head")
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a" / "Slidedat.ini")
    (tmp_path / "b.vms").write_text("[Virtual Microscope Specimen]\nImageFile=b.jpg\n")
    os.mkfifo(tmp_path / "b.jpg")
    for name, part in (("a.mrxs", r"Slidedat\.ini"), ("b.vms", r"b\.jpg")):
        with pytest.raises(SlideOpenError, match=rf"{part} is a pipe, and not a file of the slide {name}"):
            open_slide(tmp_path / name)


UNREADABLE = """
import sys
from pathlib import Path
from wsi_parse.errors import SlideOpenError
from wsi_parse.slides import open_slide
try:
    open_slide(Path(sys.argv[1]))
except SlideOpenError as error:
    print(error)
"""


@pytest.mark.parametrize("part", ["04.dcm", "a/Data0001.dat"])
def test_a_part_of_a_slide_that_may_not_be_read_is_named(slides: Path, tmp_path: Path, part: str) -> None:
    for file in (slides / DICOM).iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "a.mrxs").write_bytes(b"head")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Data0001.dat").write_bytes(b"pixels")
    (tmp_path / part).chmod(0)
    reported = run_as_ordinary_user(UNREADABLE, tmp_path / ("03.dcm" if part.endswith(".dcm") else "a.mrxs"))
    assert not reported.stderr
    assert f"{part} cannot be read: Permission denied" in reported.stdout
