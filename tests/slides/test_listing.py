"""Files and folders are expanded to slides, and a copied slide keeps its fingerprint."""

import os
import sys
from pathlib import Path

import pytest

from tests.rights import run_as_ordinary_user
from wsi_parse.errors import SlideOpenError, UnknownNameError, UsageError
from wsi_parse.slides import SlideOptions, list_slides, open_slide
from wsi_parse.synthetic import IDENTIFIERS, SyntheticSlide, write_svs_like

DICOM = "dicom/CMU-1-Small-Region"


def test_all_files_of_a_dicom_slide_are_one_slide(slides: Path) -> None:
    fingerprints = {open_slide(path).info.fingerprint for path in sorted((slides / DICOM).iterdir())}
    assert len(fingerprints) == 1
    assert len(list_slides([slides / DICOM])) == 1


def test_unknown_readers_missing_files_and_empty_folders_are_reported(tmp_path: Path, painted: Path) -> None:
    with pytest.raises(UnknownNameError, match="openslide"):
        open_slide(painted / "a.svs", SlideOptions(reader="nonsense"))
    with pytest.raises(SlideOpenError, match="no file"):
        open_slide(tmp_path / "missing.svs")
    with pytest.raises(UsageError, match="contains no slide"):
        list_slides([tmp_path])
    with pytest.raises(SlideOpenError, match=r"missing\.svs"):
        list_slides([tmp_path / "missing.svs"])
    assert [path.name for path in list_slides([painted])] == ["a.ome.tif", "a.scn", "a.svs", "a.tif"]


@pytest.fixture
def two_series(tmp_path: Path, slides: Path) -> Path:
    for file in (slides / DICOM).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    for name in ("boxes_0.dcm", "boxes_1.dcm"):
        (tmp_path / name).write_bytes((slides / "odd/openslide-python" / name).read_bytes())
    return tmp_path


def test_two_dicom_slides_in_one_folder_are_two(two_series: Path) -> None:
    assert [path.name for path in list_slides([two_series])] == ["01.dcm", "boxes_0.dcm"]
    assert [path.name for path in list_slides(sorted(two_series.iterdir()))] == ["01.dcm", "boxes_0.dcm"]


def test_the_fingerprint_of_a_dicom_slide_knows_nothing_of_its_neighbours(two_series: Path, slides: Path) -> None:
    alone = open_slide(slides / DICOM / "03.dcm").info.fingerprint
    (two_series / "02.dcm").rename(two_series / "renamed")
    assert open_slide(two_series / "03.dcm").info.fingerprint == alone
    assert open_slide(two_series / "boxes_0.dcm").info.fingerprint != alone


def test_a_folder_of_dicom_folders_is_a_folder_of_slides(slides: Path) -> None:
    assert [path.parent.name for path in list_slides([slides / "dicom"])] == ["CMU-1-Small-Region"]


def test_hidden_files_and_parts_of_slides_are_not_slides(tmp_path: Path) -> None:
    for name in ("._a.svs", ".hidden.tif", "b.svs", "notes.txt", "d.PNG"):
        (tmp_path / name).touch()
    assert [path.name for path in list_slides([tmp_path])] == ["b.svs", "d.PNG"]
    for name in ("c.vms", "c_map2.jpg"):
        (tmp_path / name).touch()
    assert [path.name for path in list_slides([tmp_path])] == ["b.svs", "c.vms"]


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes")
def test_what_lies_in_a_folder_and_cannot_be_opened_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "a.svs").touch()
    (tmp_path / "gone.svs").symlink_to("nothing")
    (tmp_path / "loop.svs").symlink_to("loop.svs")
    os.mkfifo(tmp_path / "pipe.svs")
    (tmp_path / "folder.svs").mkdir()
    assert [path.name for path in list_slides([tmp_path])] == ["a.svs", "gone.svs", "loop.svs", "pipe.svs"]


def test_a_folder_that_may_not_be_read_does_not_keep_back_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "a.svs").touch()
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "lost+found").chmod(0)
    code = "import sys; from wsi_parse.slides import list_slides; print([p.name for p in list_slides(sys.argv[1:])])"
    ended = run_as_ordinary_user(code, tmp_path)
    assert ended.stdout.strip() == "['a.svs']", ended.stderr
    assert "lost+found is left out: Permission denied." in ended.stderr


def test_a_slide_named_twice_is_done_once(painted: Path) -> None:
    again = painted / ".." / painted.name / "a.svs"
    assert list_slides([painted / "a.svs", str(again), painted])[0] == painted / "a.svs"
    assert len(list_slides([painted / "a.svs", again, painted])) == 4


def test_slide_info_contains_no_patient_data(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    write_svs_like(path, SyntheticSlide(600, 500, seed=3), identifiers=IDENTIFIERS)
    with open_slide(path) as slide:
        assert "planted" not in repr(slide.info) + repr(slide)
        assert str(tmp_path) not in repr(slide.info) + repr(slide)
