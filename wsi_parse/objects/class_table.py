"""ClassTable: the classes of a run, one for the sure and one for the unsure objects of each prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wsi_parse.prompts import UNSURE, Kind, Prompt, Rgb


@dataclass(frozen=True, slots=True)
class ObjectClass:
    """The class of a prompt's sure objects, or of its unsure ones.

    Parameters
    ----------
    prompt : Prompt
    unsure : bool
        Whether the model is not sure of the class of these objects.
    name : str
        Name of the class in QuPath.
    colour : (int, int, int)
        RGB, 0..255.
    """

    prompt: Prompt
    unsure: bool
    name: str
    colour: Rgb

    @property
    def kind(self) -> Kind:
        """Whether the objects are cells or regions."""
        return self.prompt.kind


@dataclass(frozen=True)
class ClassTable:
    """All classes of a run. An object holds the index of its row, and nothing else, to say what it is.

    Parameters
    ----------
    rows : tuple of ObjectClass
        For each prompt of :attr:`prompts` the class of its sure objects, followed by that of its unsure ones.
    """

    rows: tuple[ObjectClass, ...]

    @classmethod
    def of(cls, prompts: Sequence[Prompt]) -> "ClassTable":
        """Give each prompt its class, and a derived, paler one for objects whose class is unsure.

        >>> [row.name for row in ClassTable.of([Prompt.parse("tumour cells")]).rows]
        ['Tumor', 'Tumor: Unsure']
        """
        rows: list[ObjectClass] = []
        for prompt in prompts:
            red, green, blue = ((value + 255) // 2 for value in prompt.colour)
            rows += [
                ObjectClass(prompt, False, prompt.class_name, prompt.colour),
                # In QuPath a name with a colon makes a derived class.
                ObjectClass(prompt, True, prompt.class_name + UNSURE, (red, green, blue)),
            ]
        return cls(tuple(rows))

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts, in the order of the request."""
        return tuple(row.prompt for row in self.rows[::2])

    def index(self, prompt_name: str, unsure: bool = False) -> int:
        """Return the row of a prompt's sure or unsure objects; raises KeyError if the table lacks the prompt.

        Prompts are told apart by name, which no two prompts of a run share: a model may hand on a prompt that it has
        changed otherwise.
        """
        return self._index[prompt_name, unsure]

    def by_prompt(self, counts: NDArray[np.integer]) -> tuple[dict[str, int], dict[str, int]]:
        """Sum counts of objects (rows,) by prompt.

        Returns
        -------
        counts : dict of prompt name to number of objects
            Of all prompts.
        unsure : dict of prompt name to number of unsure objects
            Of the prompts that have any.
        """
        names = [prompt.name for prompt in self.prompts]
        sure, unsure = counts[0::2].tolist(), counts[1::2].tolist()
        total = {name: some + others for name, some, others in zip(names, sure, unsure, strict=True)}
        return total, {name: count for name, count in zip(names, unsure, strict=True) if count}

    @cached_property
    def _index(self) -> dict[tuple[str, bool], int]:
        return {(row.prompt.name, row.unsure): number for number, row in enumerate(self.rows)}

    @cached_property
    def prompt_number(self) -> NDArray[np.int16]:
        """For each row the number of its prompt in :attr:`prompts`; int array (rows,)."""
        return (np.arange(len(self.rows)) // 2).astype(np.int16)

    @cached_property
    def is_cell(self) -> NDArray[np.bool_]:
        """For each row whether its objects are cells; bool array (rows,)."""
        return np.array([row.kind == "cell" for row in self.rows], bool)
