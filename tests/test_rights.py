"""What the system refuses to read is said in a sentence with a remedy, by every entrance."""

from pathlib import Path

import pytest

from tests.rights import run_as_ordinary_user

pytestmark = pytest.mark.whole

ENTRANCES = {
    "region": ("from wsi_parse.annotations.roi import read_roi", "read_roi(path, (0, 0))"),
    "annotations": ("from wsi_parse.evaluate import evaluate", "evaluate(path, path)"),
    "pairs": ("from wsi_parse.evaluate.inputs import file_pairs", "file_pairs(path, path)"),
    "list": ("from wsi_parse.cohort.listing import list_cohort", "list_cohort([str(path)], Path('out'))"),
    "glob": ("from wsi_parse.cohort.listing import list_cohort", "list_cohort([f'{path}*'], Path('out'))"),
    "weights": ("from wsi_parse.models.weights import Weights", "Weights.of_file(path)"),
    "network": ("from wsi_parse.models.mini.weights import load_network", "load_network(path)"),
    "checkpoint": ("from wsi_parse.models.biomedparse.convert import read_converted", "read_converted(path)"),
    "settings": ("from wsi_parse.settings import RunSettings", "RunSettings.load(path)"),
    "slide": ("from wsi_parse.slides import open_slide", "open_slide(path)"),
}
CODE = """
import sys
from pathlib import Path
from wsi_parse.errors import WsiParseError
{first}
path = Path(sys.argv[1])
try:
    {then}
except WsiParseError as error:
    print(f"{{error.message}}|{{error.remedy}}")
"""


@pytest.mark.parametrize("closed", ["file", "folder"])
@pytest.mark.parametrize("entrance", ENTRANCES)
def test_what_may_not_be_read_is_an_error_of_ours(tmp_path: Path, entrance: str, closed: str) -> None:
    if (entrance, closed) in {("glob", "file"), ("pairs", "file")}:
        # Names may be read, whatever the files are.
        closed = "folder"
    first, then = ENTRANCES[entrance]
    path = tmp_path / "inside" / {"list": "a.csv"}.get(entrance, "a.svs")
    path.parent.mkdir()
    path.write_text("path\na.svs\n")
    (path if closed == "file" else path.parent).chmod(0)
    told = run_as_ordinary_user(CODE.format(first=first, then=then), path)
    path.parent.chmod(0o700)
    assert not told.stderr
    message, _, remedy = told.stdout.partition("|")
    if entrance == "glob":
        assert "Nothing matches" in message or "cannot be read" in message
    else:
        assert "annot" in message
        assert "read" in message
        assert "ermission denied" in message
    assert remedy.strip()


@pytest.mark.parametrize("closed", ["weights.json", "."])
def test_installed_weights_that_may_not_be_read_are_not_called_missing(tmp_path: Path, closed: str) -> None:
    folder = tmp_path / "models" / "other"
    folder.mkdir(parents=True)
    (folder / "weights.json").write_text("{}")
    (folder / closed).chmod(0)
    code = CODE.format(
        first=f"import os; os.environ['WSI_PARSE_CACHE'] = {str(tmp_path)!r}; from wsi_parse.models import weights",
        then="weights.installed('other')",
    )
    told = run_as_ordinary_user(code, folder)
    folder.chmod(0o700)
    assert not told.stderr
    assert told.stdout.startswith("The installed weights of other cannot be read: Permission denied.|Get permission")
