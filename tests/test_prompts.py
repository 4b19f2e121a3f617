"""Prompts: synonyms meet in one name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsi_parse.prompts import TARGETS, Prompt, is_narrower, suggest_prompt


class TestPrompts:
    @pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
    def test_synonyms_meet_in_one_name(self, target) -> None:  # noqa: ANN001
        for words in target.words:
            prompt = Prompt.parse(f"  {words.upper().replace(' ', '   ')} ")
            assert prompt.known
            assert (prompt.name, prompt.kind, prompt.class_name) == (
                target.name,
                target.kind,
                target.class_name,
            )

    def test_no_words_mean_two_targets(self) -> None:
        words = [word for target in TARGETS for word in target.words]
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

    @pytest.mark.parametrize("text", ["lymphocytes", "Fibroblasts", "stroma", "carcinoma cells in breast pathology"])
    def test_some_words_name_only_a_part(self, text: str) -> None:
        assert is_narrower(text)

    @pytest.mark.parametrize("text", ["tumour cells", "immune cells", "glands in colon", "nuclei", "blue dots"])
    def test_synonyms_and_other_words_do_not(self, text: str) -> None:
        assert not is_narrower(text)

    @pytest.mark.parametrize(
        ("text", "meant"),
        [("neoplasic cells", "neoplastic cells"), ("Nucleii", "nuclei"), ("lymphocites", "lymphocytes")],
    )
    def test_a_slip_of_the_pen_is_noticed(self, text: str, meant: str) -> None:
        assert suggest_prompt(text) == f"Did you mean {meant!r}?"

    @pytest.mark.parametrize("text", ["neoplastic cells", "tumours", "mitoses", "purple haze", "collagen"])
    def test_what_is_known_or_like_nothing_is_left_alone(self, text: str) -> None:
        assert suggest_prompt(text) == ""
