"""Work folders are private, and removing takes nothing that is not ours: no links, no names but our own."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.rights import ANOTHER_USER, need_another_user, run_as_another_user
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.cohort import list_cohort, run_cohort
from wsi_parse.errors import StageError, StoreError, UsageError, WsiParseError
from wsi_parse.files import is_shared_with_group, private_folder, remove_parts, shared_with_group
from wsi_parse.run.locks import claim
from wsi_parse.run.pipeline import run_slide
from wsi_parse.run.work import has_work, maps_of, open_work, remove_void, remove_work, staging
from wsi_parse.settings import RunSettings

SETS = ("tissue.detect=false", "export.overlay_px=0", "export.report=false")
SMALL = ("tiles.block=1", "objects.chunk_px=256")


def settings_of(*more: str) -> RunSettings:
    return RunSettings.load(overrides=(*SETS, *more), prompts=("nuclei",), model={"name": "stain"})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder of the user's own, with names like ours; nothing in it may change."""
    folder = tmp_path / "elsewhere"
    for name in ("maps-0-0", "objects-0-0", "outputs-0", "jobs", "mine"):
        (folder / name).mkdir(parents=True)
        (folder / name / "mine.txt").write_text("mine")
    (folder / "prepare.pickle").write_text("mine")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    yield folder
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that other users may enter; pytest takes the rights of its own away whenever it starts."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slides") / "s.svs", tissue_with_nuclei(500, 400)[0])


class TestRights:
    @pytest.mark.parametrize("before", [None, 0o755, 0o777, 0o700, 0o500])
    def test_only_the_owner_may_open_it_also_where_it_was_there(self, before: int | None, tmp_path: Path) -> None:
        work = tmp_path / ".work"
        if before is not None:
            work.mkdir()
            work.chmod(before)
        assert open_work(tmp_path) == work
        assert mode(work) == 0o700

    def test_the_umask_does_not_matter(self, tmp_path: Path) -> None:
        earlier = os.umask(0)
        try:
            assert mode(private_folder(tmp_path / "a" / ".work")) == 0o700
        finally:
            os.umask(earlier)

    @pytest.mark.parametrize("what", ["link", "file", "dangling link", "pipe"])
    def test_what_is_no_folder_of_ours_is_refused(self, what: str, tmp_path: Path, elsewhere: Path) -> None:
        work = tmp_path / ".work"
        if what == "file":
            work.write_text("mine")
        elif what == "pipe":
            os.mkfifo(work)
        else:
            work.symlink_to(elsewhere if what == "link" else tmp_path / "nowhere")
        with pytest.raises(UsageError, match=r"is a link|is a file") as caught:
            open_work(tmp_path)
        assert caught.value.remedy
        assert not (tmp_path / "nowhere").exists()

    def test_the_folder_of_another_user_is_refused(self, reachable: Path) -> None:
        """It may have been put there, open for all, to have files of ours in it."""
        need_another_user()
        reachable.chmod(0o777)
        work = reachable / ".work"
        done = run_as_another_user(
            "import pathlib, sys", "p = pathlib.Path(sys.argv[1]); p.mkdir(); p.chmod(0o777)", work
        )
        assert done.returncode == 0, done.stderr
        assert work.stat().st_uid == ANOTHER_USER
        with pytest.raises(UsageError, match="belongs to another user"):
            open_work(reachable)
        assert mode(work) == 0o777

    @pytest.mark.whole
    def test_another_user_sees_nothing_of_a_run(self, slide: Path, reachable: Path) -> None:
        """Neither names nor contents, of a run and of a cohort, while they are at work."""
        need_another_user()
        seen: list[subprocess.CompletedProcess[str]] = []
        look = (
            "for root in sys.argv[1:]:\n"
            "    for path in [pathlib.Path(root), pathlib.Path(root) / 'plan.pickle']:\n"
            "        for act in (os.listdir, lambda p: open(p).read(), lambda p: open(p / 'x', 'w')):\n"
            "            try: act(path); print('in:', path)\n"
            "            except PermissionError: pass\n"
            "            except OSError as error: print(type(error).__name__, path)\n"
        )
        from wsi_parse.run import stages

        def looking(*given: object) -> int:
            (objects,) = (reachable / "out" / "s" / ".work").glob("objects-*")
            work = objects.parent
            folders = (work, objects, *work.glob("maps-*"), reachable / "out" / ".cohort")
            seen.append(run_as_another_user("import os, pathlib, sys", look, *folders))
            raise StoreError("seen")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stages, "predict_and_extract", looking)
            (outcome,) = run_cohort(list_cohort(slide, reachable / "out"), reachable / "out", settings_of())
        assert outcome.state == "failed"
        (done,) = seen
        assert done.returncode == 0, done.stderr
        assert done.stdout == "", "everything is refused, and nothing is even known to be a folder"


class TestRemoving:
    def test_a_link_in_the_place_of_the_work_folder_is_not_followed(self, tmp_path: Path, elsewhere: Path) -> None:
        (tmp_path / ".work").symlink_to(elsewhere)
        assert not has_work(tmp_path)
        assert maps_of(tmp_path, "0") == []
        remove_work(tmp_path)

    @pytest.mark.whole
    def test_neither_by_a_whole_run(self, slide: Path, tmp_path: Path, elsewhere: Path) -> None:
        out = tmp_path / "out"
        out.mkdir()
        (out / ".work").symlink_to(elsewhere)
        with pytest.raises(WsiParseError, match="is a link, and intermediate files are not written through links"):
            run_slide(slide, out, settings_of())
        (out / ".work").unlink()
        manifest = run_slide(slide, out, settings_of())
        # Of a run that is done.
        (out / ".work").symlink_to(elsewhere)
        assert run_slide(slide, out, settings_of()) == manifest
        assert (out / ".work").is_symlink()

    def test_links_in_it_are_removed_and_not_followed(self, tmp_path: Path, elsewhere: Path) -> None:
        work = private_folder(tmp_path / ".work")
        for name in ("maps-0-0", "objects-1-0", "outputs-2", "jobs"):
            (work / name).symlink_to(elsewhere / name.rpartition("-")[0], target_is_directory=True)
        (work / "maps-3-0").mkdir()
        (work / "maps-3-0" / "c").symlink_to(elsewhere)
        os.mkfifo(work / "maps-3-0" / "pipe")
        open_work(tmp_path)
        assert {path.name for path in work.iterdir()} == {"maps-3-0"}
        assert list((work / "maps-3-0").iterdir()) == []

    def test_void_results_that_are_links(self, tmp_path: Path, elsewhere: Path) -> None:
        work = private_folder(tmp_path / ".work")
        (work / "maps-0-0").symlink_to(elsewhere / "maps-0-0")
        remove_void(work, (), lambda _: None)
        assert list(work.iterdir()) == []

    def test_only_names_of_ours_go(self, tmp_path: Path) -> None:
        work = private_folder(tmp_path / ".work")
        for name in ("maps-0a-4-1b", "objects-0a-1b", "outputs-export", "jobs", "tls-x1y"):
            (work / name).mkdir()
        for name in ("maps", "maps of mine", "Objects-1", "my outputs-1", "notes"):
            (work / name).mkdir()
        for name in ("prepare.pickle", ".prepare.pickle.host-1.part", "mine.pickle", ".mine.part"):
            (work / name).write_text("x")
        remove_void(work, (), lambda _: None)
        remove_work(tmp_path)
        left = {path.name for path in work.iterdir()}
        assert left == {"maps", "maps of mine", "Objects-1", "my outputs-1", "notes", "mine.pickle", ".mine.part"}

    def test_parts_of_our_own_names_go(self, tmp_path: Path, elsewhere: Path) -> None:
        ours = (".run.json.host-12.part", ".objects.parquet.a.host.name-7.part", ".maps.zarr.host-7.earlier.part")
        theirs = (".mine.part", ".mine-1.part", ".other.json.host-12.part", ".run.json.part", "run.json.host-12.part")
        for name in (*ours, *theirs):
            (tmp_path / name).write_text("x")
        (tmp_path / ".run.json.host-13.part").symlink_to(elsewhere)
        remove_parts(tmp_path, ["run.json", "objects.parquet", "maps.zarr"])
        assert {path.name for path in tmp_path.glob("*.part")} == set(theirs)

    @pytest.mark.whole
    def test_a_file_of_the_user_named_like_a_part_stays(self, slide: Path, tmp_path: Path) -> None:
        (tmp_path / ".mine.part").write_text("mine")
        (tmp_path / ".run.json.gone-1.part").write_text("{")
        run_slide(slide, tmp_path, settings_of())
        assert (tmp_path / ".mine.part").read_text() == "mine"
        assert not (tmp_path / ".run.json.gone-1.part").exists()

    def test_a_lock_that_is_a_link_is_not_opened(self, tmp_path: Path, elsewhere: Path) -> None:
        (tmp_path / ".lock").symlink_to(elsewhere / "prepare.pickle")
        with pytest.raises(UsageError, match="is a link"), claim(tmp_path):
            pass


class TestStaging:
    def test_it_is_empty_private_and_gone_afterwards(self, tmp_path: Path) -> None:
        (tmp_path / ".work" / "outputs-1").mkdir(parents=True)
        (tmp_path / ".work" / "outputs-1" / "old").write_text("of a run that was killed")
        with staging(tmp_path, "1") as staged:
            assert list(staged.iterdir()) == []
            assert mode(staged.parent) == 0o700
        assert not (tmp_path / ".work").exists()

    def test_what_else_is_there_stays(self, tmp_path: Path) -> None:
        (tmp_path / ".work" / "maps-1-2").mkdir(parents=True)
        with pytest.raises(StageError), staging(tmp_path, "1"):
            raise StageError("stopped")
        assert [path.name for path in (tmp_path / ".work").iterdir()] == ["maps-1-2"]


class TestSharing:
    def test_the_group_may_write_while_it_is_wanted(self, tmp_path: Path) -> None:
        earlier = os.umask(0o027)
        try:
            with shared_with_group(True), shared_with_group(True):
                assert is_shared_with_group()
                (tmp_path / "file").write_text("x")
                folder = private_folder(tmp_path / ".work")
                with claim(tmp_path):
                    pass
            assert not is_shared_with_group()
            (tmp_path / "later").write_text("x")
        finally:
            assert os.umask(earlier) == 0o027
        assert mode(tmp_path / "file") == 0o660
        assert mode(tmp_path / "later") == 0o640
        assert mode(folder) == 0o2770
        assert mode(tmp_path / ".lock") & 0o070 == 0o060
        assert folder.stat().st_gid == tmp_path.stat().st_gid

    @pytest.mark.whole
    def test_another_one_of_the_group_continues_a_run_and_nobody_else(self, slide: Path, reachable: Path) -> None:
        """The first is killed; the second continues in the same folder, and gets the bytes of a fresh run."""
        need_another_user()
        if os.geteuid() != 0:
            pytest.skip("only root can give a folder to a group")
        fresh = run_slide(slide, reachable / "fresh", settings_of(*SMALL)).outputs
        shared, group = reachable / "shared", 54321
        shared.mkdir()
        os.chown(shared, -1, group)
        shared.chmod(0o2770)
        shutil.copy(slide, reachable / "s.svs")
        (reachable / "s.svs").chmod(0o644)
        runs = dict.fromkeys((61001, 61002), (reachable / "s.svs", shared / "s"))
        for user, stop in ((61001, True), (61002, False)):
            done = as_member(user, group, *runs[user], stop=stop, share=True)
            assert (done.returncode == -9) if stop else (done.returncode == 0), done.stderr
            if stop:
                assert mode(shared / "s" / ".work") == 0o2770
                outsider = as_member(61003, 54322, *runs[user], stop=False, share=True)
                assert "Permission denied" in outsider.stderr or "not writable" in outsider.stderr
        from wsi_parse.run.manifest import RunManifest

        manifest = RunManifest.load(shared / "s")
        assert manifest is not None
        assert manifest.outputs == fresh
        assert (shared / "s" / "run.json").stat().st_uid == 61002


def as_member(
    user: int, group: int, slide: Path, out: Path, *, stop: bool, share: bool
) -> subprocess.CompletedProcess[str]:
    """Run a slide as a member of a group, with a umask that keeps everything from it; perhaps die amid the work."""
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import tests.run.test_work as test\n"
        "from wsi_parse.progress import Silent\n"
        "slide, out, group, user, stop, share = sys.argv[1:]\n"
        "class Killer(Silent):\n"
        "    done = 0\n"
        "    def advance(self, stage, steps=1):\n"
        "        self.done += stage == 'outline'\n"
        "        if stop == 'True' and self.done == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "settings = test.settings_of(*test.SMALL, f'compute.share_group={share.lower()}')\n"
        # All that a run imports: the interpreter may lie where that user cannot read.
        "test.run_slide(Path(slide), Path(slide).parent / f'warm-{user}', test.settings_of())\n"
        "os.setgroups([]); os.setgid(int(group)); os.setuid(int(user)); os.umask(0o077)\n"
        "os.environ['HOME'] = '/nonexistent'; os.chdir('/')\n"
        "test.run_slide(Path(slide), Path(out), settings, Killer())\n"
    )
    arguments = [str(part) for part in (slide, out, group, user, stop, share)]
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
