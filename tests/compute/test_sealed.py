"""What workers unpickle is what was written for them, whoever can write into the folder meanwhile."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.compute.plan import RunPlan
from wsi_parse.compute.sealed import SealedFile
from wsi_parse.compute.worker import SlideContext
from wsi_parse.errors import StoreError
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings


class Harm:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    sealed = SealedFile.write(tmp_path / "plan.pickle", {"tiles": (1, 2)})
    assert pickle.loads(pickle.dumps(sealed)).load() == {"tiles": (1, 2)}
    (tmp_path / "plan.pickle").unlink()
    (tmp_path / "plan.pickle").mkdir()
    assert SealedFile.write(tmp_path / "plan.pickle", 3).load() == 3


@pytest.mark.parametrize("how", ["exchanged", "appended", "link", "pipe", "folder", "gone", "empty"])
def test_anything_else_is_refused_and_not_unpickled(how: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.pickle"
    sealed, harm = SealedFile.write(path, {"tiles": 1}), pickle.dumps(Harm(tmp_path / "harmed"))
    if how == "exchanged":
        path.write_bytes(harm)
    elif how == "appended":
        path.write_bytes(path.read_bytes() + harm)
    elif how == "empty":
        path.write_bytes(b"")
    else:
        content = path.read_bytes()
        path.unlink()
        if how == "link":
            # Even to the same bytes: what it leads to may change between looking and reading.
            (tmp_path / "elsewhere").write_bytes(content)
            path.symlink_to(tmp_path / "elsewhere")
        elif how == "pipe":
            os.mkfifo(path)
        elif how == "folder":
            path.mkdir()
    with pytest.raises(StoreError, match=r"plan\.pickle of this run") as caught:
        sealed.load()
    assert caught.value.remedy
    assert not (tmp_path / "harmed").exists()


@pytest.mark.whole
@pytest.mark.parametrize("kind", [RunPlan, SlideContext])
def test_a_run_whose_plan_is_exchanged_stops(kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As somebody could who may write into a shared folder: between the writing and the first task."""
    slide = write_slide(tmp_path / "s.svs", tissue_with_nuclei(500, 400)[0])
    written = SealedFile.write

    def write_and_exchange(path: Path, value: object) -> SealedFile:
        sealed = written(path, value)
        if isinstance(value, kind):
            path.write_bytes(pickle.dumps(Harm(tmp_path / "harmed")))
        return sealed

    monkeypatch.setattr(SealedFile, "write", write_and_exchange)
    settings = RunSettings(prompts="nuclei", model="stain", tissue={"detect": False}, compute={"workers": 1})
    # The tasks of prepared slides run on a worker only where the cluster is not of this machine.
    monkeypatch.setattr("wsi_parse.compute.cluster.Cluster.is_here", kind is RunPlan)
    with pytest.raises(StoreError, match="is not the one that was written for it"):
        run_slide(slide, tmp_path / "out", settings)
    assert not (tmp_path / "harmed").exists()
