"""The tour of the Python front door (docs/python.md): each of its blocks runs, in an empty folder."""

import doctest
import re
from pathlib import Path

import pytest

TOUR = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.mark.whole
def test_the_tour_runs_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # An expectation ends at an empty line; a fence would be expected, too.
    text = re.sub(r"^```.*$", "", TOUR.read_text(encoding="utf-8"), flags=re.MULTILINE)
    tour = doctest.DocTestParser().get_doctest(text, {}, TOUR.name, str(TOUR), 0)
    said: list[str] = []
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.REPORT_NDIFF
    failed, tried = doctest.DocTestRunner(optionflags=flags).run(tour, out=said.append)
    assert not failed, "".join(said)
    assert tried > 40


def test_every_block_of_python_is_one_that_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", TOUR.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 12
    assert all(block.startswith(">>> ") for block in blocks)
