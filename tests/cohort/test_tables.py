"""The tables of a cohort: its columns, and its summary by slide."""

import csv
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from wsi_parse.cohort import Outcome
from wsi_parse.cohort.columns import FIRST, LAST
from wsi_parse.cohort.summary import summary
from wsi_parse.cohort.tables import table_of, write_tables

HOSTILE = ('=HYPERLINK("http://x","y")', "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\x1b[31mred", "a\0b", "a\u202eb")
MARKUP = ("<img src=x onerror=alert(1)>", "[bold]x[/bold]", "a|b", "`x`", "[x](javascript:alert(1))", "two\nlines")


def outcome(name: str, unsure_cells: int = 0, *limitations: str, **values: Any) -> Outcome:
    values = {
        "tissue_mm2": 2.0,
        "counts": {"neoplastic cells": 100},
        "per_mm2": {"neoplastic cells": 50.0},
        "unsure": {"neoplastic cells": unsure_cells} if unsure_cells else {},
        **values,
    }
    return Outcome(id=name, slide=f"{name}.svs", state="done", limitations=list(limitations), **values)


def dense(name: str, density: float, group: str | None = None) -> Outcome:
    counts = {"nuclei": round(density * 2)}
    return outcome(name, group=group, counts=counts, per_mm2={"nuclei": density})


CAUTION = {"code": "no-tissue", "text": "No tissue.", "number": 0.0, "remedy": "Look at it."}


def written(outcomes: list[Outcome], out: Path) -> list[dict[str, str]]:
    write_tables(outcomes, out)
    with (out / "cohort.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class TestSummary:
    def test_counts_name_unsure_objects_and_a_limitation_stands_once(self) -> None:
        text = summary([outcome("a", 30, "Beware."), outcome("b", 12, "Beware.")])
        assert "| all | 2 | 2 (n = 2) | 200 (42 of them unsure) | 50 (n = 2) |" in text
        assert text.count("Beware.") == 1

    def test_sure_objects_are_not_mentioned(self) -> None:
        text = summary([outcome("a")])
        assert "| all | 1 | 2 (n = 1) | 100 | 50 (n = 1) |" in text
        assert "unsure" not in text

    def test_densities_are_summarised_by_slide_and_not_pooled(self) -> None:
        small = [dense(str(number), density, "x") for number, density in enumerate((10, 20, 30, 40))]
        large = dense("large", 1000, "x").model_copy(update={"tissue_mm2": 900.0, "counts": {"nuclei": 900_000}})
        text = summary([*small, large, dense("other", 500, "y"), dense("alone", 5)])
        assert "| x | 5 | 2 (2 to 2, n = 5) | 900,200 | 30 (20 to 40, n = 5) |" in text
        assert "| y | 1 | 2 (n = 1) | 1,000 | 500 (n = 1) |" in text
        assert "| (none) | 1 |" in text
        assert "| all | 7 |" in text
        assert "900,200 (" not in text

    def test_cautions_are_listed_with_their_slides(self) -> None:
        text = summary([outcome("a", cautions=[CAUTION]), outcome("b", cautions=[CAUTION]), outcome("c")])
        assert "## Cautions\n\nLook at these slides before you use the results: no-tissue (2)." in text
        assert "| a | No tissue. Look at it. |\n| b | No tissue. Look at it. |" in text
        assert "Cautions" not in summary([outcome("c")])

    @pytest.mark.parametrize("text", [*HOSTILE, *MARKUP])
    def test_text_from_outside_is_no_markup(self, text: str) -> None:
        failed = Outcome(id="f", slide=text, group=text, state="failed", error=text, error_stage=text)
        done = outcome(text, group=text, counts={text: 1}, per_mm2={text: 1.0}, model=text)
        cautioned = outcome("c", cautions=[CAUTION | {"code": text, "text": text}])
        found = summary([failed, done, cautioned])
        assert not {"\x1b", "\0", "\u202e", "\t", "\r"} & set(found)
        bare = found.replace("\\<", "").replace("\\[", "").replace("\\`", "")
        assert not {"<", "["} & set(bare)
        rows = [line.replace("\\|", "") for line in found.splitlines() if line.startswith("|")]
        assert {row.count("|") for row in rows} <= {3, 4, 8}


class TestColumns:
    def test_names_are_in_snake_case_and_unique(self) -> None:
        prompts = ["neoplastic cells", "neoplastic-cells", "Ki-67 +", "细胞"]
        numbers = dict.fromkeys(prompts, 1)
        table = table_of([outcome("a", counts=numbers, per_mm2=numbers, unsure={"Ki-67 +": 1})])
        assert table.column_names == [
            *FIRST,
            *("count_neoplastic_cells", "per_mm2_neoplastic_cells"),
            *("count_neoplastic_cells_2", "per_mm2_neoplastic_cells_2"),
            *("count_ki_67", "per_mm2_ki_67", "unsure_ki_67"),
            *("count_细胞", "per_mm2_细胞"),
            *LAST,
        ]
        assert table.schema.field("count_ki_67").metadata == {b"prompt": b"Ki-67 +"}

    def test_what_a_manifest_says_is_there(self, tmp_path: Path) -> None:
        values = {"mpp": 0.25, "mpp_source": "aperio metadata", "search_mm2": 2.5, "median_nuclear_area_um2": 31.5}
        two = [CAUTION, CAUTION | {"code": "mostly-unsure"}]
        (row,) = written([outcome("a", 30, cautions=two, **values)], tmp_path)
        assert {name: row[name] for name in (*values, "n_unsure", "cautions", "tissue_mm2")} == {
            "mpp": "0.25",
            "mpp_source": "aperio metadata",
            "search_mm2": "2.5",
            "median_nuclear_area_um2": "31.5",
            "n_unsure": "30",
            "cautions": "no-tissue; mostly-unsure",
            "tissue_mm2": "2.0",
        }

    def test_other_columns_of_the_list_come_last(self, tmp_path: Path) -> None:
        outcomes = [
            outcome("a", extra={"Patient": "p", "age": 61, "score": -1.5, "mixed": 1}),
            outcome("b", extra={"age": 7, "mixed": "x", "more": "-1,5"}),
            Outcome(id="c", slide="c", state="failed", extra={"Patient": "q"}),
        ]
        rows = written(outcomes, tmp_path)
        assert list(rows[0])[-5:] == ["Patient", "age", "score", "mixed", "more"]
        assert [row["Patient"] for row in rows] == ["p", "", "q"]
        assert [row["age"] for row in rows] == ["61", "7", ""]
        table = pyarrow.parquet.read_table(tmp_path / "cohort.parquet")
        assert table["age"].to_pylist() == [61, 7, None]
        assert table["score"].to_pylist() == [-1.5, None, None]
        assert table["mixed"].to_pylist() == ["1", "x", None]
        assert rows[1]["more"] == "-1,5"

    @pytest.mark.parametrize("text", HOSTILE)
    def test_no_cell_is_a_formula_or_moves_the_cursor(self, tmp_path: Path, text: str) -> None:
        extra = {text: text}
        failed = Outcome(id=text, slide=text, group=text, state="failed", error=text, error_stage=text, extra=extra)
        write_tables([failed, outcome("b", counts={text: 1}, model=text)], tmp_path)
        with (tmp_path / "cohort.csv").open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
        assert not {"\x1b", "\0", "\u202e"} & set("".join(cells))
        # The other table is for programs, which take text as text.
        assert pyarrow.parquet.read_table(tmp_path / "cohort.parquet")["id"][0].as_py() == text

    @pytest.mark.parametrize("number", ["-1.5", "7", "-1e-3", "-0,25", "-12%", ".5"])
    def test_numbers_stay_numbers(self, tmp_path: Path, number: str) -> None:
        (row,) = written([outcome("a", extra={"change": number})], tmp_path)
        assert row["change"] == number

    def test_names_that_are_not_utf8(self, tmp_path: Path) -> None:
        (row,) = written([Outcome(id="a", slide=os.fsdecode(b"\xff.svs"), state="open")], tmp_path)
        assert row["slide"] == r"\udcff.svs"
