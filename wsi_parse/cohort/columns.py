"""The columns of a list of slides, and those of a cohort's table: which names there are, and how a clash is avoided."""

import re
from collections.abc import Iterable, Sequence

#: Columns of a list that mean something; only `path` is required. All others travel to the table.
LIST_COLUMNS = ("path", "id", "mpp", "organ", "prompts", "roi", "group")
#: Columns of the table before those of the prompts, and after them, with their types (names of :mod:`pyarrow`).
FIRST = {
    "id": "string",
    "group": "string",
    "slide": "string",
    "state": "string",
    "cautions": "string",
    "mpp": "float64",
    "mpp_source": "string",
    "tissue_mm2": "float64",
    "search_mm2": "float64",
    "tiles": "int64",
    "n_unsure": "int64",
    "median_nuclear_area_um2": "float64",
}
LAST = {
    "seconds": "float64",
    "peak_memory_mb": "float64",
    "model": "string",
    "ended_utc": "string",
    "error": "string",
    "error_stage": "string",
    "error_place": "string",
}
#: Columns of each prompt: what stands before its name, and the type.
OF_PROMPT = {"count": "int64", "per_mm2": "float64", "unsure": "int64"}
#: Stands before a column of a list that has the name of one of ours.
PREFIX = "list_"


def snake_case(text: str) -> str:
    """Write text as the name of a column: letters and numbers in lower case, joined by underscores.

    >>> snake_case("Ki-67 positive cells"), snake_case("*")
    ('ki_67_positive_cells', 'prompt')
    """
    return "_".join(re.findall(r"[^\W_]+", text.lower())) or "prompt"


def prompt_names(prompts: Iterable[str]) -> dict[str, str]:
    """Return, for each prompt, its name in columns; no two are equal.

    >>> prompt_names(["nuclei", "tumour cells", "tumour-cells"])
    {'nuclei': 'nuclei', 'tumour cells': 'tumour_cells', 'tumour-cells': 'tumour_cells_2'}
    """
    names: dict[str, str] = {}
    for prompt in prompts:
        names.setdefault(prompt, _unique(snake_case(prompt), names.values()))
    return names


def extra_names(columns: Sequence[str]) -> list[str]:
    """Return the names that other columns of a list have in the table: their own, if none of ours has it.

    >>> extra_names(["patient", "State", "count_nuclei", "Patient"])
    ['patient', 'list_State', 'list_count_nuclei', 'Patient_2']
    """
    names: list[str] = []
    for column in columns:
        name = f"{PREFIX}{column}" if _is_ours(column) else column
        names.append(_unique(name, names))
    return names


def _is_ours(column: str) -> bool:
    name = column.strip().lower()
    return name in FIRST or name in LAST or name.startswith(tuple(f"{start}_" for start in OF_PROMPT))


def _unique(name: str, taken: Iterable[str]) -> str:
    """Number a name that another one has already; some programs ignore the case of letters."""
    others = {other.casefold() for other in taken}
    number, unique = 1, name
    while unique.casefold() in others:
        number += 1
        unique = f"{name}_{number}"
    return unique
