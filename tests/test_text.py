"""Text from outside is harmless wherever it goes, and ordinary text stays as it is."""

import csv
import html
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsi_parse.text import for_csv, for_html, for_markdown, for_terminal

ANY = st.text(st.characters(), max_size=40)
ORDINARY = ("Größe 5 µm", "case 7", "naïve", "病理", "a.svs", "-1.5", "1e-5", "12 %")


@given(ANY)
def test_nothing_controls_a_terminal(text: str) -> None:
    shown = for_terminal(text)
    assert not {unicodedata.category(letter) for letter in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert for_terminal(shown) == shown
    shown.encode("utf-8")


@given(ANY)
def test_no_cell_is_a_formula(text: str) -> None:
    cell = for_csv(text)
    if cell.lstrip()[:1] in {"=", "+", "-", "@"}:
        float(cell.strip().rstrip("%").replace(",", "."))
    stream = io.StringIO()
    csv.writer(stream).writerow([cell, "next"])
    assert list(csv.reader(io.StringIO(stream.getvalue(), newline=""))) == [[cell, "next"]]


@given(ANY)
def test_html_gives_the_text_back_and_nothing_else(text: str) -> None:
    made = for_html(text)
    assert html.unescape(made) == for_terminal(text)
    assert not set(made) & set("<>\"'")


@given(ANY)
def test_markdown_has_no_markup_left(text: str) -> None:
    made = for_markdown(text)
    bare = made.replace("\\\\", "")
    for letter in "<>`*|[]":
        assert bare.count(letter) == bare.count(f"\\{letter}")


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays(text: str) -> None:
    assert for_terminal(text) == for_csv(text) == text


@pytest.mark.parametrize("text", ['=HYPERLINK("x")', "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1", " =1"])
def test_a_formula_is_text(text: str) -> None:
    assert not for_csv(text).lstrip().startswith(("=", "+", "-", "@"))
