"""Outputs appear whole or not at all."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wsi_parse.files import atomic, real_folder, remove, tree_sha256, write_text


def fail_half_way(path: Path, error: type[BaseException]) -> None:
    path.write_text("half")
    raise error


def fail_in_a_folder(path: Path) -> None:
    path.mkdir()
    raise ValueError("half")


class TestAtomic:
    def test_appears_whole(self, tmp_path: Path) -> None:
        target = tmp_path / "größe 🔬.txt"
        with atomic(target) as temporary:
            temporary.write_text("half")
            assert not target.exists()
            assert temporary.parent == target.parent
            temporary.write_text("whole")
        assert [path.name for path in tmp_path.iterdir()] == [target.name]
        assert target.read_text() == "whole"

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_or_not_at_all(self, tmp_path: Path, error: type[BaseException]) -> None:
        target = tmp_path / "result"
        write_text(target, "before")
        with pytest.raises(error), atomic(target) as temporary:
            fail_half_way(temporary, error)
        assert [path.name for path in tmp_path.iterdir()] == ["result"]
        assert target.read_text() == "before"

    def test_a_folder_appears_whole_or_not_at_all(self, tmp_path: Path) -> None:
        target = tmp_path / "folder"
        for names in (("a", "b"), ("b", "c")):
            with atomic(target) as temporary:
                (temporary / "sub").mkdir(parents=True)
                for name in names:
                    (temporary / "sub" / name).write_text(name)
            assert sorted(path.name for path in (target / "sub").iterdir()) == [*names]
        with pytest.raises(ValueError, match="half"), atomic(target) as temporary:
            fail_in_a_folder(temporary)
        assert sorted(path.name for path in (target / "sub").iterdir()) == ["b", "c"]
        assert [path.name for path in tmp_path.iterdir()] == ["folder"]

    def test_a_file_does_not_take_the_place_of_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "work").write_text("of years")
        with pytest.raises(OSError, match="mine"):
            write_text(tmp_path / "mine", "ours")
        assert (tmp_path / "mine" / "work").read_text() == "of years"
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]

    def test_a_hash_of_a_folder_knows_names_and_contents(self, tmp_path: Path) -> None:
        def hashed(**files: str) -> str:
            folder = tmp_path / "folder"
            remove(folder)
            folder.mkdir()
            for name, text in files.items():
                (folder / name).write_text(text)
            return tree_sha256(folder)

        assert hashed(a="1", b="2") == hashed(b="2", a="1")
        different = {hashed(a="1", b="2"), hashed(a="2", b="1"), hashed(a="1"), hashed(a="1", c="2"), hashed(a="12")}
        assert len(different) == 5

    def test_text_is_utf8(self, tmp_path: Path) -> None:
        write_text(tmp_path / "unit", "µm²")
        assert (tmp_path / "unit").read_bytes() == "µm²".encode()


def test_a_folder_of_ours_is_made_by_several_at_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine").write_text("mine")

    def make(number: int) -> None:
        folder = real_folder(tmp_path / f"folder{number // 8}")
        (folder / str(number)).write_text("x")

    for number in range(0, 20, 3):
        (tmp_path / f"folder{number}").symlink_to(tmp_path / "elsewhere")
    for number in range(1, 20, 3):
        (tmp_path / f"folder{number}").write_text("in the way")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(160)))
    assert len(list(tmp_path.glob("folder*/*"))) == 160
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["mine"]
