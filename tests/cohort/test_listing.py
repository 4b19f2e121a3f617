"""The slides of a cohort, and everything that can be wrong with a list."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.cohort import Choice, CohortSlide, Listing, Outcome, list_cohort, selected_rows
from wsi_parse.errors import SlideOpenError, UsageError
from wsi_parse.settings import RunSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    pixels = tissue_with_nuclei(400, 400)[0]
    for name in ("a.svs", "b.svs", "a.tiff"):
        write_slide(folder / name, pixels)
    return folder


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def ids(listing: object) -> list[str]:
    return [row.id for row in listing.slides]  # type: ignore[attr-defined]


def test_a_folder_and_a_glob_name_slides_by_their_files(folder: Path, tmp_path: Path) -> None:
    assert ids(list_cohort([str(folder)], tmp_path)) == ["a-svs", "a-tiff", "b"]
    assert ids(list_cohort([f"{folder}/*.svs"], tmp_path)) == ["a", "b"]
    assert ids(list_cohort([f"{folder}/a.svs", str(folder / "b.svs")], tmp_path)) == ["a", "b"]


def test_a_list_holds_the_settings_of_each_slide(folder: Path, tmp_path: Path) -> None:
    text = "path,id,mpp,organ,prompts,roi,group\na.svs,one,0.25,colon,nuclei; glands,roi.geojson,x\nb.svs,,,,,,\n\n"
    listing = list_cohort([written(folder / "list.csv", text)], tmp_path)
    assert not listing.problems
    assert listing.slides[0] == CohortSlide(
        id="one",
        path=folder / "a.svs",
        mpp=0.25,
        organ="colon",
        prompts=("nuclei", "glands"),
        roi=folder / "roi.geojson",
        group="x",
    )
    assert listing.slides[1] == CohortSlide(id="b", path=folder / "b.svs")


def test_what_a_row_says_wins(folder: Path) -> None:
    common = RunSettings.load(prompts=("nuclei",), slide={"mpp": 0.5}, objects={"threshold": 0.4})
    row = CohortSlide(id="one", path=folder / "a.svs", mpp=0.25, organ="lung", prompts=("glands",))
    settings = row.settings(common)
    assert (settings.slide.mpp, settings.model.organ, settings.prompts) == (0.25, "lung", ("glands",))
    assert settings.objects.threshold == 0.4
    assert CohortSlide(id="two", path=folder / "a.svs").settings(common) == common


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_spreadsheets_write_csv_in_many_ways(folder: Path, tmp_path: Path, delimiter: str, start: str) -> None:
    lines = [["Path", "ID", "group"], ["a.svs", "7", "x"], ["b.svs", "8", ""]]
    text = start + "\r\n".join(delimiter.join(line) for line in lines)
    assert ids(list_cohort([written(folder / "odd.csv", text)], tmp_path)) == ["7", "8"]


def test_parquet_with_numbers_and_nothing(folder: Path, tmp_path: Path) -> None:
    table = pa.table({"path": ["a.svs", "b.svs"], "id": [7, 8], "mpp": [0.25, None], "group": [1, None]})
    pyarrow.parquet.write_table(table, folder / "list.parquet")
    first, second = list_cohort([str(folder / "list.parquet")], tmp_path).slides
    assert (first.id, first.mpp, first.group) == ("7", 0.25, "1")
    assert (second.id, second.mpp, second.group) == ("8", None, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slide,id\na.svs,1\n", "bad.csv has no column 'path'; its first line is: slide, id. Write the names"),
        ("id,group\n1,x\n", "no column 'path'"),
        ("a.svs\nb.svs\n", "no column 'path'; its first line is: a.svs."),
        ("pth,id\na.svs,1\n", "no column 'path'; its first line is: pth, id. .* Is it 'pth'?"),
        ("path,Path\na.svs,a.svs\n", "has the column 'path' twice"),
        ("path,id\n", "bad.csv has no rows. Add a row"),
        ("path,id\n,\n \n", "bad.csv has no rows. Add a row"),
        ("", "bad.csv is empty. Write a line"),
        ("\n \n", "bad.csv is empty. Write a line"),
        ("PK\x03\x04 xl/workbook.xml", "spreadsheet program, whatever its name"),
    ],
)
def test_an_invalid_list_is_refused(folder: Path, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        list_cohort([written(folder / "bad.csv", text)], tmp_path)


def test_an_unreadable_list_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "bad.parquet").write_bytes(b"PAR1 no")
    for name, words in (("bad.parquet", "cannot be read"), ("nowhere.csv", "There is no file")):
        with pytest.raises(UsageError, match=words):
            list_cohort([str(folder / name)], tmp_path)
    with pytest.raises(UsageError, match="No file matches"):
        list_cohort([str(folder / "*.ndpi")], tmp_path)
    with pytest.raises(SlideOpenError, match="no file"):
        list_cohort([str(folder / "none.svs")], tmp_path)


def test_all_invalid_rows_are_reported_together(folder: Path, tmp_path: Path) -> None:
    rows = ["a.svs,same,,", "b.svs,SAME,,", "a.svs,good,,", "b.svs,bad/id,,", "b.svs,m,-1,", "a.svs,n,many,", ",x,,"]
    listing = list_cohort([written(folder / "some.csv", "path,id,mpp,group\n" + "\n".join(rows))], tmp_path)
    assert ids(listing) == ["good"]
    errors = {problem.id: str(problem.error) for problem in listing.problems}
    assert "line 2 of some.csv, line 3 of some.csv" in errors["same"]
    assert errors["SAME"].startswith("The id 'SAME' occurs more than once")
    assert "is not a valid folder name" in errors["bad/id"]
    assert errors["m"].startswith("Line 6 of some.csv is not valid: mpp is -1: it must be between 0.02 and 64 µm")
    assert errors["n"].startswith("Line 7 of some.csv is not valid: mpp is many: it must be a number, such as 0.25.")
    assert errors["x"].startswith("Line 8 of some.csv names no slide.")


@given(st.text(max_size=130))
def test_an_id_names_a_folder_or_is_refused(name: str) -> None:
    try:
        row = CohortSlide(id=name, path=Path("a.svs"))
    except ValueError:
        return
    folder = Path("out") / row.id
    assert folder.parent == Path("out")
    assert folder.name == name


@pytest.mark.parametrize("name", ["cohort.csv", "COHORT.csv", "cohort.parquet"])
def test_a_list_is_not_replaced_by_the_table(tmp_path: Path, name: str) -> None:
    before = tmp_path / name
    before.write_text("path\na.svs\n")
    with pytest.raises(UsageError, match=rf"The table cohort\.\w+ of the cohort would overwrite the list {name}"):
        list_cohort(str(before), tmp_path)
    link = tmp_path / "mine.csv"
    link.symlink_to(before)
    with pytest.raises(UsageError, match=r"would overwrite the list mine\.csv"):
        list_cohort([link], tmp_path)
    assert before.read_text() == "path\na.svs\n"


def test_what_was_looked_for_is_said(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = {
        "$HOME/a.svs": "leads to no file: variables such as $HOME are not replaced",
        "${DATA}/a.svs": "variables such as ${DATA} are not replaced",
        "%DATA%/a.svs": "variables such as %DATA% are not replaced",
        "~/a.svs": "a.svs is not in the home folder, for which ~ stands; a file of that name lies beside the list",
        "scans/a.svs": "a.svs is not in the folder that the list names; a file of that name lies beside the list",
    }
    rows = "".join(f"{path},{number}\n" for number, path in enumerate(paths))
    listing = list_cohort(written(folder / "elsewhere.csv", f"path,id\n{rows}a.svs,good\nnone.svs,none\n"), tmp_path)
    assert ids(listing) == ["good", "none"]
    found = [Outcome.of_problem(problem).error or "" for problem in listing.problems]
    for error, words in zip(found, paths.values(), strict=True):
        assert words in error
        assert str(tmp_path) not in error


def test_an_id_of_any_length_is_cut_in_messages(folder: Path, tmp_path: Path) -> None:
    long = "A" * 100_000
    text = f"path,id\na.svs,{long}\na.svs,b\n"
    listing = list_cohort(written(folder / "long.csv", text), tmp_path)
    (problem,) = listing.problems
    assert problem.id == f"{'A' * 40}… (100,000 letters)"
    assert "is longer than 120 letters" in str(problem.error)
    assert len(str(problem.error)) < 400
    choice = Choice((long, *(f"b{number}" for number in range(10))))
    words = r"^There is no slide A{40}… \(100,000 letters\), b0, b1, b2, b3 and 6 more in this cohort"
    with pytest.raises(UsageError, match=words) as caught:
        selected_rows(Listing(), choice)
    assert len(str(caught.value)) < 400
