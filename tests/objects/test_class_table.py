"""The class table: one row for the sure and one for the unsure objects of each prompt."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Prompt

TUMOUR, GLANDS = Prompt.parse("tumour cells"), Prompt.parse("glands")
TABLE = ClassTable.of([GLANDS, TUMOUR])


def test_each_prompt_has_a_sure_and_a_paler_unsure_class() -> None:
    assert [(row.prompt, row.unsure, row.name, row.kind) for row in TABLE.rows] == [
        (GLANDS, False, "Gland", "region"),
        (GLANDS, True, "Gland: Unsure", "region"),
        (TUMOUR, False, "Tumor", "cell"),
        (TUMOUR, True, "Tumor: Unsure", "cell"),
    ]
    assert TABLE.rows[2].colour == (200, 0, 0)
    assert TABLE.rows[3].colour == (227, 127, 127)
    assert TABLE.prompts == (GLANDS, TUMOUR)
    assert TABLE.prompt_number.tolist() == [0, 0, 1, 1]
    assert TABLE.is_cell.tolist() == [False, False, True, True]


def test_rows_are_found_by_the_name_of_the_prompt() -> None:
    for number, row in enumerate(TABLE.rows):
        assert TABLE.index(row.prompt.name, row.unsure) == number
    # A model may hand on a prompt that it has changed; the class is that of the request.
    changed = replace(TUMOUR, kind="region", class_name="Other")
    assert TABLE.rows[TABLE.index(changed.name)].name == "Tumor"
    with pytest.raises(KeyError):
        TABLE.index("nuclei")


def test_counts_by_prompt_name_all_prompts_and_only_the_unsure_there_are() -> None:
    assert TABLE.by_prompt(np.array([0, 0, 5, 2])) == (
        {"glandular structure": 0, "neoplastic cells": 7},
        {"neoplastic cells": 2},
    )


def test_it_travels_to_workers() -> None:
    assert TABLE.index("neoplastic cells") == 2
    assert pickle.loads(pickle.dumps(TABLE)) == TABLE


def test_a_run_without_prompts_has_no_rows() -> None:
    empty = ClassTable.of([])
    assert (empty.prompts, empty.by_prompt(np.zeros(0, np.int64))) == ((), ({}, {}))
