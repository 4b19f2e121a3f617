"""Whatever happens to the files that a killed run leaves, the next run ends with the bytes of a fresh one."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.small_slides import ONE_TILE_BLOCKS, tissue_with_nuclei, write_slide
from wsi_parse.compute.graph import remaining_work
from wsi_parse.errors import DamagedError, StoreError, WsiParseError
from wsi_parse.objects import chunk_objects
from wsi_parse.objects.chunk_objects import ChunkObjects
from wsi_parse.predict import tile_store
from wsi_parse.run.layout import lay_out
from wsi_parse.run.pipeline import run_slide
from wsi_parse.run.prepared import resolve_run
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import RunSettings

pytestmark = pytest.mark.whole

RUN_AND_DIE = """
import os, signal, sys
from pathlib import Path
from tests.run.test_torn_work import settings_of
from wsi_parse.progress import Silent
from wsi_parse.run.pipeline import run_slide

class Killer(Silent):
    outlined = 0

    def advance(self, stage, steps=1):
        self.outlined += stage == "outline"
        if self.outlined == 9:
            os.kill(os.getpid(), signal.SIGKILL)

run_slide(Path(sys.argv[1]), Path(sys.argv[2]), settings_of(), Killer())
"""


def settings_of(*more: str) -> RunSettings:
    return RunSettings.load(overrides=(*ONE_TILE_BLOCKS, *more), prompts=("nuclei",), model={"name": "stain"})


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slides") / "s.svs", tissue_with_nuclei(1000, 900)[0])


@pytest.fixture(scope="module")
def expected(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return run_slide(slide, tmp_path_factory.mktemp("fresh"), settings_of()).outputs


@pytest.fixture(scope="module")
def killed(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was killed while some chunks were done, and some were not."""
    out = tmp_path_factory.mktemp("killed") / "out"
    done = subprocess.run([sys.executable, "-c", RUN_AND_DIE, str(slide), str(out)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    return out


@pytest.fixture
def out(killed: Path, tmp_path: Path) -> Path:
    shutil.copytree(killed, tmp_path / "out", symlinks=True)
    return tmp_path / "out"


#: Pattern of each kind of file below .work.
KINDS = {
    "zarr.json": "maps-*/*/*/zarr.json",
    "shard": "maps-*/*/*/c/*/*",
    "marker": "maps-*/*/done/*.json",
    "description": "maps-*/*/maps.json",
    "plan": "objects-*/plan.pickle",
    "objects": "objects-*/*/*.npz",
    "crash mark": "objects-*/crash_marks/*",
}


def files_of(out: Path, kind: str) -> list[Path]:
    return sorted(path for path in (out / ".work").glob(KINDS[kind]) if path.is_file())


def test_the_kinds_are_all_that_a_killed_run_leaves(killed: Path) -> None:
    known = {path for kind in KINDS for path in files_of(killed, kind)}
    # What was being written has a temporary name, under which nobody looks for it.
    there = {path for path in (killed / ".work").rglob("*") if path.is_file() and path.suffix != ".part"}
    assert known == there
    for kind in set(KINDS) - {"crash mark"}:
        assert files_of(killed, kind), kind


def emptied(path: Path, _: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path, _: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbage(path: Path, _: Path) -> None:
    path.write_bytes(random.Random(str(path)).randbytes(max(60, path.stat().st_size)))


def flipped(path: Path, _: Path) -> None:
    data = bytearray(path.read_bytes() or b"x")
    data[len(data) // 3] ^= 0x10
    path.write_bytes(bytes(data))


def swapped(path: Path, neighbour: Path) -> None:
    mine, theirs = path.read_bytes(), neighbour.read_bytes()
    path.write_bytes(theirs)
    neighbour.write_bytes(mine)


def removed(path: Path, _: Path) -> None:
    path.unlink()


def folder(path: Path, _: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("x")


def pipe(path: Path, _: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path, neighbour: Path) -> None:
    path.unlink()
    path.symlink_to(neighbour)


HARMS: tuple[Callable[[Path, Path], None], ...] = (
    emptied, cut, garbage, flipped, swapped, removed, folder, pipe, link,
)  # fmt: skip


def harm_all(out: Path, kind: str, harm: Callable[[Path, Path], None]) -> None:
    files = files_of(out, kind)
    # Swapping every second one with the next swaps all.
    for path, neighbour in list(zip(files, [*files[1:], *files[:1]], strict=True))[:: 2 if harm is swapped else 1]:
        harm(path, neighbour)


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_all_files_of_a_kind(
    kind: str, harm: Callable[[Path, Path], None], out: Path, slide: Path, expected: dict[str, str]
) -> None:
    harm_all(out, kind, harm)
    assert run_slide(slide, out, settings_of()).outputs == expected
    assert not (out / ".work").exists()


@pytest.mark.parametrize("seed", range(6))
def test_any_mixture(seed: int, out: Path, slide: Path, expected: dict[str, str]) -> None:
    rng = random.Random(seed)
    harmed = 0
    for kind in KINDS:
        files = files_of(out, kind)
        for path in files:
            if path.is_file() and not path.is_symlink() and rng.random() < 0.4:
                neighbour = rng.choice(files)
                harm = rng.choice([one for one in HARMS if neighbour.is_file() or one is not swapped])
                harm(path, neighbour)
                harmed += 1
    assert harmed > 10
    assert run_slide(slide, out, settings_of()).outputs == expected


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("harm", ["a file", "a link", "a pipe", "missing"])
def test_folders_too(harm: str, seed: int, out: Path, slide: Path, expected: dict[str, str], tmp_path: Path) -> None:
    """Nothing that a link leads to is changed."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "0.0.npz").write_text("of somebody else")
    (elsewhere / "zarr.json").write_text("of somebody else")
    folders = sorted(path for path in (out / ".work").rglob("*") if path.is_dir())
    for path in random.Random(seed).sample(folders, 5):
        if path.exists():
            shutil.rmtree(path)
            if harm == "a file":
                path.write_text("x")
            elif harm == "a link":
                path.symlink_to(elsewhere)
            elif harm == "a pipe":
                os.mkfifo(path)
    assert run_slide(slide, out, settings_of()).outputs == expected
    assert {path.name: path.read_text() for path in elsewhere.iterdir()} == {
        "0.0.npz": "of somebody else",
        "zarr.json": "of somebody else",
    }


class TestWhatTheSystemRefuses:
    """Too many open files, no memory, a failing disk: nothing is known of the file, and nothing is removed."""

    @pytest.fixture(params=[errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EACCES, errno.ESTALE])
    def refusing(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> set[str]:
        endings: set[str] = set()
        real = tile_store.read_regular

        def read(path: Path) -> bytes:
            if path.suffix in endings or path.name in endings:
                raise OSError(request.param, os.strerror(request.param), str(path))
            return real(path)

        monkeypatch.setattr(tile_store, "read_regular", read)
        monkeypatch.setattr(chunk_objects, "read_regular", read)
        return endings

    @pytest.mark.parametrize("what", [".npz", "zarr.json", "0.0.json", "0"])
    def test_is_no_damage(
        self, what: str, out: Path, slide: Path, expected: dict[str, str], refusing: set[str]
    ) -> None:
        def content() -> dict[str, bytes]:
            kept = [path for kind in ("zarr.json", "shard", "marker", "objects") for path in files_of(out, kind)]
            return {str(path): path.read_bytes() for path in kept}

        before = content()
        refusing.add(what)
        with pytest.raises(WsiParseError) as caught:
            run_slide(slide, out, settings_of())
        assert "\n" not in str(caught.value)
        assert caught.value.remedy
        assert not isinstance(caught.value, DamagedError)
        assert content() == before
        refusing.clear()
        assert run_slide(slide, out, settings_of()).outputs == expected


def test_results_of_other_settings_are_not_taken_for_those_of_these(
    slide: Path, killed: Path, tmp_path: Path, expected: dict[str, str]
) -> None:
    """A file carries the digest of its stage, also where its place fits."""
    other = tmp_path / "other"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wsi_parse.run.stages.write_outputs", _stop)
        with pytest.raises(StoreError):
            run_slide(slide, other, settings_of("objects.threshold=0.7"))
    shutil.copytree(killed, tmp_path / "out")
    for theirs in files_of(other, "objects"):
        (mine,) = (tmp_path / "out" / ".work").glob(f"objects-*/{theirs.parent.name}")
        shutil.copy(theirs, mine / theirs.name)
    assert run_slide(slide, tmp_path / "out", settings_of()).outputs == expected


def _stop(*_: Any, **__: Any) -> None:
    raise StoreError("stopped")


def test_only_what_is_torn_is_made_anew(out: Path, slide: Path) -> None:
    def left() -> tuple[int, int]:
        prepared = resolve_run(slide, resolve(settings_of()).for_folder(out))
        with prepared.slide:
            blocks, chunks = remaining_work(lay_out(prepared, prepared.tissue(), out))
        return sum(map(len, blocks)), sum(map(len, chunks))

    blocks, chunks = left()
    cut(files_of(out, "shard")[0], out)
    assert left() == (blocks + 1, chunks)
    files_of(out, "zarr.json")[0].write_text("{}")
    assert left() == (blocks + 1, chunks), "a description that is written anew keeps the shards"
    first, second, *_ = files_of(out, "objects")
    swapped(first, second)
    assert left() == (blocks + 1, chunks + 2)
    with pytest.raises(DamagedError, match="another chunk"):
        ChunkObjects.load(first)
