"""The summary of a cohort: what a person reads of it."""

from wsi_parse.cohort.outcome import Outcome
from wsi_parse.cohort.tables import summary


def outcome(name: str, unsure: int, *cautions: str) -> Outcome:
    return Outcome(
        id=name,
        slide=f"{name}.svs",
        state="done",
        tissue_mm2=2.0,
        counts={"neoplastic cells": 100},
        unsure={"neoplastic cells": unsure} if unsure else {},
        cautions=list(cautions),
    )


def test_counts_are_told_with_what_is_unsure_and_a_caution_once() -> None:
    text = summary([outcome("a", 30, "Beware."), outcome("b", 12, "Beware.")])
    assert "200 (50/mm², 42 of them unsure)" in text
    assert text.count("Beware.") == 1


def test_nothing_is_said_of_what_is_sure() -> None:
    text = summary([outcome("a", 0)])
    assert "100 (50/mm²)" in text
    assert "unsure" not in text
