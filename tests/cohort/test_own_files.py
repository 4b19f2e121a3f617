"""Tables that are written again and again: what a person made of them, or brought, is kept aside and said."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from wsi_parse.cohort.own_files import replace_own
from wsi_parse.cohort.tables import CSV_TABLE, write_tables
from wsi_parse.files import file_sha256


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "cohort.csv"


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.edited-*"))


def test_a_remark_in_the_table_is_kept(tmp_path: Path) -> None:
    assert write_tables([], tmp_path) == []
    assert write_tables([], tmp_path) == []
    with (tmp_path / CSV_TABLE).open("a") as file:
        file.write("a remark")
    (note,) = write_tables([], tmp_path)
    name = f"cohort.edited-{date.today().isoformat()}.csv"
    assert note == f"cohort.csv was changed since it was written, or is not from here; it is kept as {name}."
    assert (tmp_path / name).read_text().endswith("a remark")
    assert write_tables([], tmp_path) == []


def test_what_was_there_before_is_kept(tmp_path: Path, table: Path) -> None:
    table.write_text("of somebody")
    assert replace_own(table, b"1", tmp_path / "marks")
    table.unlink()
    table.symlink_to(kept(tmp_path)[0])
    assert replace_own(table, b"1", tmp_path / "marks")
    assert not table.is_symlink()
    assert (tmp_path / kept(tmp_path)[0]).read_text() == "of somebody"


def test_marks_do_not_pile_up(tmp_path: Path, table: Path) -> None:
    marks = tmp_path / "marks"
    for number in range(20):
        replace_own(table, str(number).encode(), marks)
        for mark in marks.iterdir():
            os.utime(mark, (0, 0))
    replace_own(table, b"last", marks)
    assert [path.name for path in marks.iterdir()] == [f"cohort-csv.{file_sha256(table)[:32]}"]
    before = table.stat().st_mtime_ns
    replace_own(table, b"last", marks)
    assert table.stat().st_mtime_ns == before


def test_one_that_cannot_be_written_does_not_keep_back_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes, marks: Path) -> str:
        if path.name == CSV_TABLE:
            raise PermissionError(13, "Permission denied")
        return replace_own(path, content, marks)

    monkeypatch.setattr("wsi_parse.cohort.tables.replace_own", refuse)
    with pytest.raises(PermissionError):
        write_tables([], tmp_path)
    assert {"cohort.parquet", "summary.md"} <= {path.name for path in tmp_path.iterdir()}


def test_several_processes_may_write_the_same_table(tmp_path: Path, table: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from wsi_parse.cohort.own_files import replace_own; "
        "print([note for n in range(60) if (note := replace_own(Path(sys.argv[1], 'cohort.csv'), "
        "str(n % 3).encode(), Path(sys.argv[1], 'marks')))])"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    assert [writer.communicate(timeout=120)[0].strip() for writer in writers] == ["[]"] * 3
    assert not kept(tmp_path)
    assert table.read_text() in ("0", "1", "2")
