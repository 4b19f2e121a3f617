"""Prompts: synonyms meet in one name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsi_parse.prompts import TARGETS, Prompt


class TestPrompts:
    @pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
    def test_synonyms_meet_in_one_name(self, target) -> None:  # noqa: ANN001
        for words in (target.name, *target.synonyms):
            prompt = Prompt.parse(f"  {words.upper().replace(' ', '   ')} ")
            assert prompt.known
            assert (prompt.name, prompt.kind, prompt.class_name) == (
                target.name,
                target.kind,
                target.class_name,
            )

    def test_no_words_mean_two_targets(self) -> None:
        words = [word for target in TARGETS for word in (target.name, *target.synonyms)]
        assert len(words) == len(set(words))
        assert len({target.class_name for target in TARGETS}) == len(TARGETS)
        assert len({target.colour for target in TARGETS}) == len(TARGETS)

    def test_unknown_words_stay(self) -> None:
        prompt = Prompt.parse("Blue  dots")
        assert not prompt.known
        assert (prompt.text, prompt.name) == ("Blue  dots", "blue dots")

    @given(st.text(max_size=30))
    def test_names_are_stable(self, text: str) -> None:
        name = Prompt.parse(text).name
        assert Prompt.parse(name).name == name
