"""Folders of results are named after slides."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse import segment_slide
from wsi_parse.errors import UsageError
from wsi_parse.run.folders import COHORT_FILES, check_outside, folder_name_problem, output_folders, safe_name
from wsi_parse.run.outlook import Outlook
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import RunSettings


@pytest.mark.parametrize(
    ("slides", "names"),
    [
        (["x/a.svs", "x/b.svs"], ["a", "b"]),
        (["x/a.svs", "x/a.ndpi"], ["a-svs", "a-ndpi"]),
        (["x/study/1.dcm"], ["study"]),
        (["x/a.ome.tif", "x/a.b.svs"], ["a", "a.b"]),
        (["x/A.svs", "y/a.ndpi"], ["A-svs", "a-ndpi"]),
        (["x/...tif"], ["slide"]),
        (["x/..tif"], ["slide"]),
        (["x/.tif"], ["tif"]),
        (["x/a:b?.svs", "x/nul.svs", "x/summary.md.svs"], ["a_b_", "nul_", "summary.md_"]),
        (["x/a\u202eb\x1b.svs", "x/\udcff.svs"], ["a_b_", "_"]),
        ([f"x/{'L' * 200}.svs", f"x/{'ü' * 100}.svs"], ["L" * 100, "ü" * 50]),
        ([f"x/{'L' * 200}1.svs", f"x/{'L' * 200}2.ndpi"], [f"{'L' * 100}-svs", f"{'L' * 100}-ndpi"]),
    ],
)
def test_folders_are_named_after_slides(slides: list[str], names: list[str]) -> None:
    assert [path.name for path in output_folders([Path(slide) for slide in slides], Path("out"))] == names


def test_slides_of_one_name_are_told_apart_in_any_order() -> None:
    slides = [Path("x/a.svs"), Path("y/a.svs"), Path("x/b.svs")]
    folders = output_folders(slides, Path("out"))
    assert len(set(folders)) == 3
    assert output_folders(slides[::-1], Path("out")) == folders[::-1]


def test_a_slide_that_is_given_twice_has_one_folder() -> None:
    first, second = output_folders([Path("x/a.svs"), Path("x/a.svs")], Path("out"))
    assert first == second


@given(st.text(max_size=300))
def test_a_name_becomes_one_that_a_folder_can_have(name: str) -> None:
    safe = safe_name(name)
    assert folder_name_problem(safe) == ""
    assert (Path("out") / safe).parent == Path("out")
    assert safe_name(safe) == safe


@given(st.text(max_size=130))
def test_a_name_without_problem_stays(name: str) -> None:
    if not folder_name_problem(name) and len(name.encode()) <= 100 and name.isascii():
        assert safe_name(name) == name


@pytest.mark.parametrize(
    "name", [*COHORT_FILES, "SUMMARY.md", "con", "LPT1.x", "", ".", "..", "a/b", "a\\b", "a ", "a\0"]
)
def test_names_that_no_folder_has(name: str) -> None:
    assert folder_name_problem(name).startswith("is not a valid folder name: ")


class TestResultsNeverLieInTheInput:
    def test_a_dicom_folder_beside_its_results(self, tmp_path: Path) -> None:
        study = tmp_path / "X"
        study.mkdir()
        (study / "1.dcm").touch()
        (tmp_path / "X.svs").touch()
        folders = output_folders([study / "1.dcm", tmp_path / "X.svs"], tmp_path)
        assert [folder.name for folder in folders] == ["X-dcm", "X-svs"]
        assert output_folders([study / "1.dcm"], tmp_path) == [tmp_path / "X-dcm"]
        assert output_folders([tmp_path / "x" / ".." / "X" / "1.dcm"], tmp_path) == [tmp_path / "X-dcm"]

    def test_a_dicom_file_without_an_ending(self, tmp_path: Path) -> None:
        (tmp_path / "X").mkdir()
        (tmp_path / "X" / "IM1").write_bytes(bytes(128) + b"DICM")
        assert output_folders([tmp_path / "X" / "IM1"], tmp_path / "out") == [tmp_path / "out" / "X"]
        with pytest.raises(UsageError, match="into the folder of the slide"):
            check_outside(tmp_path / "X" / "out" / "X", tmp_path / "X" / "IM1")

    def test_a_slide_with_a_folder_of_its_name(self, tmp_path: Path) -> None:
        (tmp_path / "a.mrxs").touch()
        (tmp_path / "a").mkdir()
        assert output_folders([tmp_path / "a.mrxs"], tmp_path) == [tmp_path / "a-mrxs"]
        with pytest.raises(UsageError, match="into the folder of the slide"):
            check_outside(tmp_path / "a" / "a", tmp_path / "a.mrxs")

    def test_a_slide_without_an_ending(self, tmp_path: Path) -> None:
        (tmp_path / "a").touch()
        (folder,) = output_folders([tmp_path / "a"], tmp_path)
        assert folder.name == "a-slide"
        with pytest.raises(UsageError, match="would be written over"):
            check_outside(tmp_path / "a", tmp_path / "a")

    def test_links_and_letters_do_not_hide_it(self, tmp_path: Path) -> None:
        (tmp_path / "X").mkdir()
        (tmp_path / "link").symlink_to("X")
        for folder in (tmp_path / "link" / "a", tmp_path / "x" / "a", tmp_path / "Y" / ".." / "X"):
            with pytest.raises(UsageError, match="into the folder of the slide"):
                check_outside(folder, tmp_path / "X" / "1.dcm")
        check_outside(tmp_path / "Y" / "1", tmp_path / "X" / "1.dcm")

    def test_every_way_to_run_a_slide_refuses_it(self, tmp_path: Path) -> None:
        study = tmp_path / "study"
        study.mkdir()
        path = write_slide(study / "1.dcm", tissue_with_nuclei(300, 300)[0])
        with pytest.raises(UsageError, match="into the folder of the slide"):
            segment_slide(path, study / "results", prompts="nuclei", model="stain")
        request = resolve(RunSettings(prompts="nuclei", model="stain"))
        with pytest.raises(UsageError, match="into the folder of the slide"):
            Outlook.of(path, study / "results", request)
        assert [one.name for one in study.iterdir()] == ["1.dcm"]
