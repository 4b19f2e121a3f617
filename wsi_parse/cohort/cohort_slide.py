"""CohortSlide: one row of a cohort; Problem: a row that cannot be processed."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from wsi_parse.errors import WsiParseError
from wsi_parse.gates import pixel_size_problem
from wsi_parse.run.folders import folder_name_problem
from wsi_parse.settings import RunSettings
from wsi_parse.text import for_terminal

# A number as people write it: with a decimal comma, with its unit.
_NUMBER = re.compile(
    r"([+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:e[+-]?\d+)?)\s*(?:[uµμ]m|microns?)?(?:\s*(?:/|per)\s*(?:px|pixel))?",
    re.IGNORECASE,
)

# A longer cell is cut in messages; an id of so many letters is valid.
_MAX_SHOWN = 120


class CohortSlide(BaseModel):
    """One row of a cohort.

    Parameters
    ----------
    id : str
        The name of its output folder.
    path : Path
    mpp : float, optional
        Microns per level-0 pixel, if the file has no pixel size.
    organ : str, optional
    prompts : tuple of str
        Replace those of the cohort; separated by semicolons in a list.
    roi : Path, optional
    group : str, optional
        The summary shows each group on its own: a patient, an arm, a centre.
    extra : dict
        Other columns of the list, which are copied to the table.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    id: str
    path: Path
    mpp: float | None = None
    organ: str | None = None
    prompts: tuple[str, ...] = ()
    roi: Path | None = None
    group: str | None = None
    extra: dict[str, Any] = {}

    @field_validator("id")
    @classmethod
    def _names_a_folder(cls, value: str) -> str:
        if problem := folder_name_problem(value):
            raise ValueError(problem)
        return value

    @field_validator("mpp", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:  # noqa: ANN401 - what a list holds
        if not isinstance(value, str):
            return value
        found = _NUMBER.fullmatch(value.strip())
        if found is None:
            raise ValueError("it must be a number, such as 0.25")
        return float(found[1].replace(",", "."))

    @field_validator("mpp")
    @classmethod
    def _pixel_size(cls, value: float | None) -> float | None:
        if value is not None and (problem := pixel_size_problem(value)):
            raise ValueError(problem)
        return value

    @field_validator("prompts", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:  # noqa: ANN401 - what a list holds
        return tuple(part.strip() for part in value.split(";") if part.strip()) if isinstance(value, str) else value

    def settings(self, common: RunSettings) -> RunSettings:
        """Return the settings of the cohort with those of this row.

        Raises
        ------
        SettingsError
            A value of the row is not valid.
        """
        return RunSettings(
            **{
                **common.model_dump(),
                "prompts": self.prompts or common.prompts,
                "slide": common.slide.model_dump() | _given(mpp=self.mpp, roi=self.roi),
                "model": common.model.model_dump() | _given(organ=self.organ),
            }
        )


@dataclass(frozen=True)
class Problem:
    """A row that cannot be processed.

    Parameters
    ----------
    id : str
        Of the row, or its position in the list if it has none.
    error : WsiParseError
    slide : str
        Name of the file.
    group : str, optional
    extra : dict
        Other columns of the list.
    paths : tuple of str
        Paths that the error may name; their folders are written nowhere.
    """

    id: str
    error: WsiParseError
    slide: str = ""
    group: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    paths: tuple[str, ...] = ()

    @classmethod
    def of(cls, row: CohortSlide, error: WsiParseError) -> "Problem":
        """Make the problem of a row that is valid in itself."""
        paths = tuple(str(path) for path in (row.path, row.roi) if path)
        return cls(row.id, error, row.path.name, row.group, row.extra, paths)


def cut(text: str) -> str:
    """Return a cell of a list, of any length, so that a message can show it.

    >>> cut("S-1"), cut("A" * 100_000)
    ('S-1', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA… (100,000 letters)')
    """
    return text if len(text) <= _MAX_SHOWN else f"{text[:40]}… ({len(text):,} letters)"


def reasons(error: ValidationError) -> str:
    """Say what is wrong with a row, column by column."""
    return "; ".join(_reason(item) for item in error.errors())


def _reason(item: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    column = str(item["loc"][0]) if item["loc"] else "the row"
    if item["type"] == "missing":
        return f"the column {column} is empty"
    must = str(item["ctx"]["error"]) if item["type"] == "value_error" else item["msg"]
    must = re.sub("^(Input|String|Value) should ", "it must ", must)
    shown = for_terminal(cut(str(item["input"])))
    if column == "id":
        return f"the id '{shown}' {must}"
    return f"{column} is {shown}: {must}"


def _given(**values: Any) -> dict[str, Any]:  # noqa: ANN401 - settings of any type
    return {name: value for name, value in values.items() if value is not None}
