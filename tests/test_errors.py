"""Errors read as what is wrong and what to do."""

from wsi_parse.errors import SettingsError, UnknownNameError


def test_errors_read_as_message_and_remedy() -> None:
    assert str(SettingsError("It is wrong.", "Do it right.")) == "It is wrong. Do it right."
    assert str(UnknownNameError.of("model", "x", ["b", "a"])) == "There is no model called 'x'. Use one of: a, b."
    assert str(SettingsError("It is wrong.", " ")) == "It is wrong."


def test_an_unknown_name_comes_with_the_one_that_was_meant() -> None:
    error = UnknownNameError.of("model", "Stian", ["mini", "stain"])
    assert str(error) == "There is no model called 'Stian'. Did you mean 'stain'? Use one of: mini, stain."
