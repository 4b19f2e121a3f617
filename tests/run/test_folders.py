"""Folders of results are named after slides."""

from pathlib import Path

import pytest

from wsi_parse.run.folders import output_folders


@pytest.mark.parametrize(
    ("slides", "names"),
    [
        (["x/a.svs", "x/b.svs"], ["a", "b"]),
        (["x/a.svs", "x/a.ndpi"], ["a-svs", "a-ndpi"]),
        (["x/study/1.dcm"], ["study"]),
        (["x/a.ome.tif", "x/a.b.svs"], ["a", "a.b"]),
    ],
)
def test_folders_are_named_after_slides(slides: list[str], names: list[str]) -> None:
    assert [path.name for path in output_folders([Path(slide) for slide in slides], Path("out"))] == names


def test_slides_of_one_name_are_told_apart_in_any_order() -> None:
    slides = [Path("x/a.svs"), Path("y/a.svs"), Path("x/b.svs")]
    folders = output_folders(slides, Path("out"))
    assert len(set(folders)) == 3
    assert output_folders(slides[::-1], Path("out")) == folders[::-1]
