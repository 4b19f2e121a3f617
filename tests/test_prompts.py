"""Prompts: synonyms meet in one name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsi_parse.prompts import (
    TARGETS,
    Prompt,
    class_name_fault,
    class_setting_fault,
    is_narrower,
    safe_class_name,
    suggest_prompt,
)


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


@pytest.mark.parametrize("name", ["", " ", "\t", "a\nb", ": X", "A::B", "A:", "A: ", "\u2003: A"])
def test_class_names_that_qupath_refuses_are_known(name: str) -> None:
    assert class_name_fault(name)
    assert class_setting_fault(name)


@pytest.mark.parametrize("name", ["A", "Tumor: Positive", "a:b", "Region*", "Größe 5 µm", "\u00a0"])
def test_class_names_that_qupath_takes(name: str) -> None:
    assert class_name_fault(name) is None


@given(st.text())
def test_any_words_become_a_class_that_qupath_takes_and_counts(words: str) -> None:
    name = safe_class_name(words)
    assert class_setting_fault(name) is None
    assert ":" not in name
    assert not name.endswith("*")
    assert safe_class_name(name) == name
    if words.strip():
        assert class_setting_fault(Prompt.parse(words).class_name) is None
