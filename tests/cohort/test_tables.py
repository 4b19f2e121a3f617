"""The summary of a cohort."""

from wsi_parse.cohort.outcome import Outcome
from wsi_parse.cohort.summary import summary


def outcome(name: str, unsure: int, *limitations: str) -> Outcome:
    return Outcome(
        id=name,
        slide=f"{name}.svs",
        state="done",
        tissue_mm2=2.0,
        counts={"neoplastic cells": 100},
        per_mm2={"neoplastic cells": 50.0},
        unsure={"neoplastic cells": unsure} if unsure else {},
        limitations=list(limitations),
    )


def test_counts_name_unsure_objects_and_a_caution_stands_once() -> None:
    text = summary([outcome("a", 30, "Beware."), outcome("b", 12, "Beware.")])
    assert "| all | 2 | 2 (n = 2) | 200 (42 of them unsure) | 50 (n = 2) |" in text
    assert text.count("Beware.") == 1


def test_sure_objects_are_not_mentioned() -> None:
    text = summary([outcome("a", 0)])
    assert "| all | 1 | 2 (n = 1) | 100 | 50 (n = 1) |" in text
    assert "unsure" not in text
