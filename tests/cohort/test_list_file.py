"""Lists of slides as people have them: every program's CSV is read, what is odd is said, one bad row stays one."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rights import run_as_ordinary_user
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.cohort import Listing, Outcome, list_cohort
from wsi_parse.errors import SlideOpenError, UsageError

List = Callable[..., Listing]


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slide") / "b.tif", tissue_with_nuclei(400, 400)[0])


@pytest.fixture
def folder(slide: Path, tmp_path: Path) -> Path:
    """A folder with the slides that lists name, as links."""
    (tmp_path / "d1").mkdir()
    for name in ("b.tif", "d1/b.tif", "größe.tif", f"{'L' * 130}.tif", "my, slide.tif"):
        os.link(slide, tmp_path / name)
    return tmp_path


@pytest.fixture
def listed(folder: Path) -> List:
    def listed(content: bytes | str, name: str = "list.csv") -> Listing:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return list_cohort(folder / name, folder / "out")

    return listed


def only(listing: Listing) -> dict[str, object]:
    """The one row of a list that has no problem."""
    assert not listing.problems, [str(problem.error) for problem in listing.problems]
    (row,) = listing.slides
    return row.model_dump(exclude_defaults=True) | {"path": row.path.name}


B = {"id": "b", "path": "b.tif"}


class TestHowTablesAreWritten:
    @pytest.mark.parametrize(
        ("content", "row"),
        [
            ("path,mpp,label,patient_id\nb.tif,,1,p\n", B | {"extra": {"label": "1", "patient_id": "p"}}),
            ("\ufeffpath;mpp\r\nb.tif;0,25\r\n;\r\n", B | {"mpp": 0.25}),
            ('path,group\nb.tif,"two\nlines"\n', B | {"group": "two\nlines"}),
            ("path,group\nb.tif,a\x0bb\u2028c\n", B | {"group": "a\x0bb\u2028c"}),
            ("path,group\nb.tif,a\x1cb\x85c\n", B | {"group": "a\x1cb\x85c"}),
            (",path\n0,b.tif\n", B),
            ("Unnamed: 0,path\n0,b.tif\n", B),
            ("path\nb.tif\nb.tif\n", B),
            ("sep=;\r\npath;mpp\r\nb.tif;0.25\r\n", B | {"mpp": 0.25}),
            ('"sep=|"\r\npath|mpp\r\nb.tif|0.25\r\n', B | {"mpp": 0.25}),
            ("path\rb.tif\r", B),
            ("\ufeff\ufeffpath\nb.tif\n", B),
            ("path,mpp\nb.tif,٠.٥\n", B | {"mpp": 0.5}),
            ("\n\n,,\npath , MPP \n\n b.tif , 0.5 \n", B | {"mpp": 0.5}),
            ("path\tprompts\nb.tif\tnuclei; glands\n", B | {"prompts": ("nuclei", "glands")}),
            ('path;prompts\nb.tif;"nuclei; glands"\n', B | {"prompts": ("nuclei", "glands")}),
            ("path,mpp,\nb.tif,0.5,,,\n", B | {"mpp": 0.5}),
            ("path,mpp\nb.tif\n", B),
            ("path,mpp\nb.tif,0.5 µm\n", B | {"mpp": 0.5}),
            ("path,mpp\nb.tif,0.5 um/px\n", B | {"mpp": 0.5}),
            ("path,mpp\nb.tif,2.5e-1\n", B | {"mpp": 0.25}),
            ("path,mpp\nb.tif,.25\n", B | {"mpp": 0.25}),
            ("path\nmy, slide.tif\n", {"id": "my, slide", "path": "my, slide.tif"}),
            ("path,Path \nb.tif,\n", None),
        ],
    )
    def test_one_row(self, listed: List, content: str, row: dict[str, object] | None) -> None:
        if row is None:
            with pytest.raises(UsageError, match="twice"):
                listed(content)
        else:
            assert only(listed(content)) == row

    @pytest.mark.parametrize("name", ["list.tsv", "list.txt", "LIST.CSV"])
    def test_the_name_of_the_file_decides_nothing(self, listed: List, name: str) -> None:
        assert only(listed("path\tmpp\nb.tif\t0,5\n", name)) == B | {"mpp": 0.5}

    @pytest.mark.parametrize("missing", ["", "NA", "N/A", "#N/A", "nan", "NaN", "NULL", "null", "None", "-", " - "])
    def test_nothing_is_written_in_many_ways(self, listed: List, missing: str) -> None:
        text = (
            f"path,mpp,roi,id,organ,prompts,note\nb.tif,{missing},{missing},{missing},{missing},{missing},{missing}\n"
        )
        assert only(listed(text)) == B | {"extra": {"note": missing.strip() or None}}

    def test_a_group_may_be_called_na(self, listed: List) -> None:
        assert only(listed("path,group\nb.tif,NA\n")) == B | {"group": "NA"}

    @pytest.mark.parametrize(
        ("encoding", "said"),
        [
            ("utf-8", ""),
            ("utf-8-sig", ""),
            (
                "cp1252",
                "list.csv is not UTF-8; it was read as Windows-1252. If letters look wrong, save it as CSV UTF-8.",
            ),
            ("utf-16", "list.csv was read as UTF-16."),
            ("utf-16-le", "list.csv was read as UTF-16-LE."),
            ("utf-16-be", "list.csv was read as UTF-16-BE."),
            ("utf-32", "list.csv was read as UTF-32."),
        ],
    )
    def test_encodings(self, listed: List, encoding: str, said: str) -> None:
        listing = listed("path,group\r\ngröße.tif,Größe\r\n".encode(encoding))
        assert only(listing) == {"id": "größe", "path": "größe.tif", "group": "Größe"}
        assert "".join(listing.notes) == said

    def test_a_torn_file_keeps_its_encoding(self, listed: List) -> None:
        first, torn = listed("path\nb.tif\nb".encode("utf-16")[:-1]).slides
        assert (first.id, torn.id) == ("b", "\ufffd")

    @pytest.mark.parametrize("content", [b"\xff\xfe", b"\xef\xbb\xbf\n", b" \n\t"])
    def test_nothing_in_any_encoding(self, listed: List, content: bytes) -> None:
        with pytest.raises(UsageError, match="is empty"):
            listed(content)

    @pytest.mark.parametrize(
        ("content", "said"),
        [('"path" "mpp"\n"b.tif" 1\n', "closes a quote within a field"), ('"path,mpp\nb.tif,1\n', "never closed")],
    )
    def test_a_first_line_that_is_no_csv(self, listed: List, content: str, said: str) -> None:
        with pytest.raises(UsageError, match=f"The first line of list.csv .*{said}"):
            listed(content)

    def test_a_zero_byte_in_utf8_is_no_utf16(self, listed: List) -> None:
        assert only(listed(b"path,group\nb.tif,a\0b\n")) == B | {"group": "a\0b"}

    def test_parquet_keeps_types_and_drops_the_index(self, folder: Path) -> None:
        table = pa.table({"path": ["b.tif"], "age": [61], "score": [-1.5], "__index_level_0__": [0]})
        pyarrow.parquet.write_table(table, folder / "list.parquet")
        row = only(list_cohort(folder / "list.parquet", folder / "out"))
        assert row == B | {"extra": {"age": 61, "score": -1.5}}


class TestPathsOfLists:
    @pytest.mark.skipif(os.name == "nt", reason="there, these are paths")
    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("s3://bucket/a.svs", "is an address (s3://), and wsi-parse reads files of this machine. Download"),
            ("https://x.org/a.svs", "is an address (https://)"),
            ("file:///data/a.svs", "Give the path without file://."),
            ("C:\\data\\a.svs", "is a path of Windows, which this machine does not have."),
            ("\\\\server\\share\\a.svs", "is a path of Windows, which this machine does not have."),
            ("~nosuch/x.svs", "cannot be found: there is no user nosuch."),
            ("*.tif", "is a pattern, and a list names single slides."),
            ("d2", "The folder d2 contains no slide."),
        ],
    )
    def test_what_cannot_be_here_is_said_with_its_line(self, folder: Path, listed: List, path: str, said: str) -> None:
        (folder / "d2").mkdir()
        (folder / "d2" / "notes.docx").touch()
        listing = listed(f"path\nb.tif\n{path}\n")
        assert [row.id for row in listing.slides] == ["b"]
        (problem,) = listing.problems
        assert str(problem.error).startswith("Line 3 of list.csv")
        assert said in str(problem.error).replace(f"{folder}/", "")

    @pytest.mark.parametrize("path", ["d1\\b.tif", ".\\d1\\b.tif", "d1/../d1/b.tif"])
    def test_separators_of_windows(self, folder: Path, listed: List, path: str) -> None:
        (row,) = listed(f"path\n{path}\n").slides
        assert row.path.samefile(folder / "d1" / "b.tif")
        assert row.id == "b"

    def test_letters_in_another_form(self, listed: List) -> None:
        (row,) = listed("path\ngro\u0308ße.tif\n").slides
        assert row.path.exists()

    def test_a_home_folder(self, folder: Path, listed: List, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(folder / "d1"))
        (row,) = listed("path\n~/b.tif\n").slides
        assert row.path == folder / "d1" / "b.tif"

    def test_a_long_name_gets_a_safe_id(self, folder: Path, listed: List) -> None:
        (row,) = listed(f"path\n{'L' * 130}.tif\n").slides
        assert row.id == "L" * 100
        (folder / "out" / row.id).mkdir(parents=True)

    def test_a_folder_that_is_one_slide(self, folder: Path, listed: List) -> None:
        (row,) = listed("path\nd1\n").slides
        assert row.path == folder / "d1" / "b.tif"
        shutil.copy(folder / "b.tif", folder / "d1" / "c.tif")
        (problem,) = listed("path\nd1\n").problems
        assert "holds 2 slides. Write a row for each of them" in str(problem.error)

    def test_a_dicom_folder_is_one_slide(self, folder: Path, listed: List) -> None:
        (folder / "study").mkdir()
        for name, series in (("1", b"1.2"), ("2", b"1.2")):
            header = b"\x20\x00\x0e\x00UI" + len(series).to_bytes(2, "little") + series
            (folder / "study" / f"{name}.dcm").write_bytes(bytes(128) + b"DICM" + header)
        (row,) = listed("path,group\nstudy,x\n").slides
        assert (row.id, row.path.name, row.group) == ("study", "1.dcm", "x")
        for sources in ([folder / "study"], [folder / "study" / "1.dcm", folder / "study" / "2.dcm"]):
            (row,) = list_cohort(sources, folder / "out").slides
            assert row.id == "study"


class TestRows:
    def test_a_bad_row_is_one_problem_with_its_line(self, listed: List) -> None:
        listing = listed(
            "path,mpp,id\nb.tif,0,25,x\nb.tif,0.00025,y\nb.tif,250,z\nb.tif,1 km,k\n"
            '"b"x.tif,,\nb.tif,,good\nb.tif,"0.5,q\n'
        )
        assert [row.id for row in listing.slides] == ["good"]
        assert [str(problem.error) for problem in listing.problems] == [
            "Line 2 of list.csv has 4 fields, but the first line names 3: a value that contains the separator must "
            "stand in quotes. Correct the list.",
            "Line 3 of list.csv is not valid: mpp is 0.00025: it must be between 0.02 and 64 µm per pixel (0.00025 "
            "looks like millimetres: 0.25 µm?). Correct the list.",
            "Line 4 of list.csv is not valid: mpp is 250: it must be between 0.02 and 64 µm per pixel (250 looks like "
            "nanometres: 0.25 µm?). Correct the list.",
            "Line 5 of list.csv is not valid: mpp is 1 km: it must be a number, such as 0.25. Correct the list.",
            "Line 6 of list.csv closes a quote within a field. Correct the list.",
            "Line 8 of list.csv opens a quote that is never closed, so that nothing after it could be read. Correct "
            "the list.",
        ]

    def test_ids_that_are_one_folder_somewhere(self, listed: List) -> None:
        listing = listed("path,id\nb.tif,\u00e9\nd1/b.tif,E\u0301\nb.tif,good\n")
        assert [row.id for row in listing.slides] == ["good"]
        assert len(listing.problems) == 2

    def test_lines_are_those_of_the_file(self, listed: List) -> None:
        listing = listed('sep=,\npath,group\nb.tif,"one\ntwo"\n\nb.tif,x,y\n')
        assert str(listing.problems[0].error).startswith("Line 6 of list.csv")

    def test_the_same_row_twice_is_said(self, listed: List) -> None:
        listing = listed("path,id\nb.tif,one\nd1/../b.tif,two\nb.tif,one\n")
        assert [row.id for row in listing.slides] == ["one", "two"]
        assert listing.notes == ["Line 4 of list.csv says the same as line 2 of list.csv; it is taken once."]

    def test_one_slide_with_several_settings(self, listed: List) -> None:
        rows = ["b.tif,0.5,nuclei", "b.tif,0.25,nuclei", "b.tif,0.5,glands"]
        first = listed("path,mpp,prompts\n" + "\n".join(rows))
        ids = {row.id: (row.mpp, row.prompts) for row in first.slides}
        assert len(ids) == 3
        assert not first.problems
        assert all(name.startswith("b-tif-") for name in ids)
        again = listed("path,mpp,prompts\n" + "\n".join(rows[::-1]))
        assert {row.id: (row.mpp, row.prompts) for row in again.slides} == ids

    @pytest.mark.parametrize(
        "name",
        [
            "cohort.csv",
            "Summary.MD",
            "cohort.parquet",
            "a/b",
            "..",
            ".hidden",
            "a.",
            "nul",
            "x" * 121,
            "a\u202eb",
            "ü" * 61,
        ],
    )
    def test_an_id_that_is_no_folder_fails_its_row(self, listed: List, name: str) -> None:
        listing = listed(f"path,id\nb.tif,{name}\nb.tif,good\n")
        assert [row.id for row in listing.slides] == ["good"]
        (problem,) = listing.problems
        assert "is not a valid folder name: " in str(problem.error)

    def test_results_in_the_folder_of_a_slide_fail_their_row(self, folder: Path, slide: Path) -> None:
        (folder / "study").mkdir()
        (folder / "study" / "1.dcm").touch()
        (folder / "list.csv").write_text("path,id\nstudy/1.dcm,study\nstudy/1.dcm,other\nstudy/1.dcm,\n")
        listing = list_cohort(folder / "list.csv", folder)
        assert [row.id for row in listing.slides] == ["other", "study-dcm"]
        (problem,) = listing.problems
        assert "would be written into the folder of the slide" in str(problem.error)
        # The tables would lie there, too.
        with pytest.raises(UsageError, match="into the folder of the slide"):
            list_cohort(folder / "list.csv", folder / "study" / "results")


class TestColumns:
    def test_a_column_that_may_be_mistyped_is_said(self, listed: List) -> None:
        listing = listed("path,mpp_x,diagnosis,pid,subgroup\nb.tif,0.5,x,7,y\n")
        assert only(listing)["extra"] == {"mpp_x": "0.5", "diagnosis": "x", "pid": "7", "subgroup": "y"}
        assert listing.notes == [
            f"The column {column!r} of list.csv changes nothing, and is copied to the table. Did you mean {meant!r}?"
            for column, meant in (("mpp_x", "mpp"), ("pid", "id"), ("subgroup", "group"))
        ]

    @pytest.mark.parametrize("column", ["prompt", "Prompst", "organs", "gruppe", "ids", "rois"])
    def test_a_slip_of_the_pen_is_refused(self, listed: List, column: str) -> None:
        with pytest.raises(UsageError, match=f"unknown columns: '{column}'. Did you mean"):
            listed(f"path,{column}\nb.tif,x\n")

    def test_a_column_of_ours_gets_a_prefix(self, listed: List) -> None:
        listing = listed("path,State,count_nuclei,error\nb.tif,BY,7,none\n")
        assert only(listing)["extra"] == {"list_State": "BY", "list_count_nuclei": "7", "list_error": "none"}
        assert len(listing.notes) == 3
        assert listing.notes[0].startswith("The column 'State' of list.csv is called 'list_State' in the table")


class TestFilesThatAreNoLists:
    @pytest.mark.parametrize("name", ["a.xlsx", "a.xls", "a.ods", "A.XLSX"])
    def test_spreadsheets(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(b"PK\x03\x04")
        with pytest.raises(UsageError, match=r"spreadsheet program.*Save the sheet as CSV"):
            list_cohort(tmp_path / name, tmp_path)

    @pytest.fixture
    def odd(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        os.mkfifo(tmp_path / "pipe.csv")
        (tmp_path / "loop.csv").symlink_to("loop.csv")
        (tmp_path / "gone.csv").symlink_to("nothing")
        (tmp_path / "zero.csv").symlink_to("/dev/zero")
        with (tmp_path / "large.csv").open("wb") as file:
            file.truncate(65_000_000)
        with socket.socket(socket.AF_UNIX) as listening:
            # The name of a socket may not be long.
            monkeypatch.chdir(tmp_path)
            listening.bind("socket.csv")
            yield tmp_path

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("pipe.csv", "is a pipe"),
            ("loop.csv", "cannot be read"),
            ("gone.csv", "is a link to a file that does not exist"),
            ("zero.csv", "is a device"),
            ("large.csv", "is too large"),
            ("socket.csv", "is a socket"),
            (f"{'n' * 300}.csv", "cannot be read: File name too long"),
            ("a\0b.csv", "is not the name of a file"),
        ],
    )
    def test_they_are_one_sentence(self, odd: Path, name: str, words: str) -> None:
        with pytest.raises(UsageError, match=words):
            list_cohort(odd / name, odd / "out")

    def test_a_list_that_may_not_be_read(self, tmp_path: Path) -> None:
        path = tmp_path / "list.csv"
        path.write_text("path\na.svs\n")
        path.chmod(0)
        code = "import sys; from wsi_parse.cohort import list_cohort; list_cohort(sys.argv[1], 'out')"
        ended = run_as_ordinary_user(code, path)
        assert ended.stderr.splitlines()[-1].endswith(
            "cannot be read: Permission denied. Check the path, and whether you have permission to read it."
        )

    def test_addresses_and_patterns_on_the_command_line(self, tmp_path: Path) -> None:
        for source, words in (("s3://bucket/a.svs", "is an address"), (f"{tmp_path}/**y", "is not a pattern")):
            with pytest.raises(UsageError, match=words):
                list_cohort(source, tmp_path)


class TestHostileLists:
    @given(st.binary(max_size=300))
    def test_any_bytes(self, content: bytes) -> None:
        self._is_listed_or_refused(b"path,mpp\n" + content)
        self._is_listed_or_refused(content)

    @given(st.text("path,;\t|\"'\n\r\x0b\u2028 \0=.~/\\:*?01mpp\ufeff", max_size=200))
    def test_any_text(self, content: str) -> None:
        self._is_listed_or_refused(content.encode())
        self._is_listed_or_refused(f"id;path;mpp\n{content}".encode())

    def _is_listed_or_refused(self, content: bytes) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder, "list.csv")
            path.write_bytes(content)
            try:
                listing = list_cohort(path, Path(folder, "out"))
            except UsageError:
                return
            assert listing.slides or listing.problems
            for problem in listing.problems:
                Outcome.of_problem(problem).model_dump_json()
                assert str(problem.error).startswith(("Line ", "The id "))
            for row in listing.slides:
                assert Path("out", row.id).parent == Path("out")

    def test_messages_do_not_grow_with_the_list(self, listed: List) -> None:
        listing = listed("path,id\n" + "".join(f"s{number}.svs,same\n" for number in range(1000)))
        assert len(listing.problems) == 1000
        assert len(str(listing.problems[0].error)) < 300
        assert "line 6 of list.csv and 995 more. Give" in str(listing.problems[0].error)
        listing = listed("path\n" + "b.tif\n" * 1000)
        assert len(listing.slides) == 1
        assert len(listing.notes) == 6

    def test_too_many_rows_are_refused_while_they_are_read(self, listed: List) -> None:
        with pytest.raises(UsageError, match="more than 200,000 rows"):
            listed("path\n" + "a\n" * 1_000_000)

    def test_long_fields(self, folder: Path, listed: List) -> None:
        long = "x" * 100_000
        (problem,) = listed(f"path,id\n{long},{long}\n").problems
        assert max(map(len, (str(problem.error), problem.id, problem.slide))) < 500
        assert listed(f"path\n{'x' * 200_000}\nb.tif\n").slides
        table = pa.table({"path": ["b.tif"] * 100, "note": ["x" * 1_000_000] * 100})
        pyarrow.parquet.write_table(table, folder / "long.parquet", compression="zstd")
        assert len(list_cohort(folder / "long.parquet", folder / "out").problems) == 100

    def test_a_quote_that_swallows_the_rest(self, listed: List) -> None:
        listing = listed('path,group\nb.tif,x\nd1/b.tif,"y\nb.tif,z\n')
        assert len(listing.slides) == 1
        assert "Line 3 of list.csv opens a quote" in str(listing.problems[0].error)


class TestPathsOfTheCommandLine:
    def test_a_path_that_leads_nowhere_is_a_problem_beside_others(self, folder: Path) -> None:
        (folder / "dangling.tif").symlink_to("nothing")
        (folder / "loop.tif").symlink_to("loop.tif")
        for sources in ([folder / "b.tif", folder / "none.tif"], [f"{folder}/[bdl]*.tif"]):
            listing = list_cohort(sources, folder / "out")
            assert [row.id for row in listing.slides] == ["b"]
            assert listing.problems
        with pytest.raises(SlideOpenError, match="There is no file"):
            list_cohort([folder / "none.tif"], folder / "out")

    def test_a_slide_that_is_named_twice_is_one_row(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        (folder / "list.csv").write_text("path\nb.tif\n")
        listing = list_cohort(["list.csv", "b.tif", folder / "b.tif"], "out")
        assert [row.id for row in listing.slides] == ["b"]
