"""The notebook of the documentation: executed in a folder that holds the slide, without traces of the machine.

`python -m tests.docs.notebook FOLDER` executes docs/notebook.ipynb in a folder with CMU-1-Small-Region.svs, and writes
what the cells say into it.
"""

import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from tests.docs.blocks import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
_SECONDS = 600


def executed(folder: Path) -> Any:
    """Execute the notebook in a folder, and return it with what its cells say.

    What is written to the error stream, such as progress, is left out, and so are times and the version of Python.
    """
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=_SECONDS, kernel_name="python3", resources=resources).execute()
    for number, cell in enumerate(notebook.cells, 1):
        cell.id, cell.metadata = f"cell-{number}", {}
        if cell.cell_type == "code":
            cell.outputs = [_one_kind(output) for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    return notebook


def _one_kind(output: Any) -> Any:
    """Leave of several forms of one output the one that is shown, and of pictures the smaller."""
    data = output.get("data", {})
    for kind in ("image/jpeg", "image/png", "text/html"):
        if kind in data:
            output.data = {kind: data[kind]}
            break
    return output


def told(notebook: Any) -> list[list[str]]:
    """What each cell of code says: text, and the kinds of what is not text."""
    found: list[list[str]] = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        said = []
        for output in cell.outputs:
            data = output.get("data", {"text/plain": output.get("text", "")})
            said += [str(value) if kind.startswith("text/") else kind for kind, value in data.items()]
        found.append(said)
    return found


if __name__ == "__main__":
    nbformat.write(executed(Path(sys.argv[1])), NOTEBOOK)
