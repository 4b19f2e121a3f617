"""The last lines of a test run: what was skipped, and what would make it run."""

from tests.skips import summary


def test_each_reason_is_told_once_the_most_frequent_first() -> None:
    assert summary(
        [
            ("a.py::test_1", "Skipped: root may read everything"),
            ("a.py::test_2", "Skipped: no shared data at data: set WSI_PARSE_DATA"),
            ("a.py::test_3", "Skipped: no shared data at data: set WSI_PARSE_DATA"),
        ]
    ) == [
        "Skipped: 3 tests",
        "     2  no shared data at data: set WSI_PARSE_DATA",
        "     1  root may read everything -> run the tests as another user than root",
    ]


def test_a_file_skipped_as_a_whole_counts_once() -> None:
    assert summary([("b.py", "Skipped: why"), ("b.py", "Skipped: why")]) == ["Skipped: 1 test", "     1  why"]


def test_nothing_skipped_is_told() -> None:
    assert summary([]) == ["Skipped: 0 tests"]
