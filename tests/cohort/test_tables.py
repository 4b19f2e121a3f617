"""The summary of a cohort."""

from wsi_parse.cohort.outcome import Outcome
from wsi_parse.cohort.tables import summary


def outcome(name: str, unsure: int, *limitations: str) -> Outcome:
    return Outcome(
        id=name,
        slide=f"{name}.svs",
        state="done",
        tissue_mm2=2.0,
        counts={"neoplastic cells": 100},
        unsure={"neoplastic cells": unsure} if unsure else {},
        limitations=list(limitations),
    )


def test_counts_name_unsure_objects_and_a_caution_stands_once() -> None:
    text = summary([outcome("a", 30, "Beware."), outcome("b", 12, "Beware.")])
    assert "200 (50/mm², 42 of them unsure)" in text
    assert text.count("Beware.") == 1


def test_sure_objects_are_not_mentioned() -> None:
    text = summary([outcome("a", 0)])
    assert "100 (50/mm²)" in text
    assert "unsure" not in text
