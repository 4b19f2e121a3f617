"""The notebook of the documentation says what it would say if it were executed now."""

import os
import re
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import nbformat
import pytest

from tests.docs.notebook import NOTEBOOK, told
from tests.shared import shared_data_root

SLIDE = "CMU-1-Small-Region.svs"
_NUMBER = re.compile(r"\d[\d,]*\.?\d*")


def numbers(text: str) -> list[float]:
    return [float(one.replace(",", "")) for one in _NUMBER.findall(text)]


@pytest.mark.whole
def test_the_notebook_says_what_it_said(tmp_path: Path) -> None:
    shutil.copyfile(shared_data_root() / "slides" / "aperio" / SLIDE, tmp_path / SLIDE)
    shutil.copyfile(NOTEBOOK, tmp_path / NOTEBOOK.name)
    # In a process of its own: a kernel leaves sockets and threads.
    code = "import sys, nbformat; from tests.docs.notebook import executed; from pathlib import Path; "
    code += "nbformat.write(executed(Path(sys.argv[1])), sys.argv[1] + '/now.ipynb')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    before, now = (told(nbformat.read(path, as_version=4)) for path in (NOTEBOOK, tmp_path / "now.ipynb"))
    assert [len(said) for said in before] == [len(said) for said in now]
    assert sum(map(len, before)) >= 8
    for one, other in zip(chain(*before), chain(*now), strict=True):
        assert _NUMBER.sub("#", one) == _NUMBER.sub("#", other)
        # The last digits of a network depend on the processor.
        assert numbers(one) == pytest.approx(numbers(other), rel=0.1, abs=0.05)


def test_the_notebook_was_executed_and_names_no_machine() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [cell.source for cell in cells if not cell.outputs]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert not re.findall(r"/(?:work|home|tmp|root|Users)/|site-packages", text)
    assert len(text) < 300_000
